"""Lambda's API, as programs and people use it: functions, versions, aliases, layers, permissions."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from conftest import REGION
from expect import refused
from packages import zipped

AWS = Path(sys.executable).with_name("aws")
EXTENSION = f"arn:aws:lambda:{REGION}:177933569100:layer:AWS-Parameters-and-Secrets-Lambda-Extension:18"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture(scope="module")
def functions(client_of):
    return client_of("lambda")


@pytest.fixture(scope="module")
def role(client_of):
    made = client_of("iam").create_role(RoleName="functions", AssumeRolePolicyDocument=json.dumps(TRUST))
    return made["Role"]["Arn"]


@pytest.fixture
def make(functions, role, new_name):
    def make(**more):
        name = new_name("function").replace("/", "-")
        words = {"Runtime": "python3.12", "Handler": "lambda_function.lambda_handler", "Role": role, "Code": {"ZipFile": zipped()}}
        return functions.create_function(FunctionName=name, **{**words, **more})

    return make


def test_a_function_is_made_changed_twice_in_a_row_and_waited_for(functions, make):
    made = make(Environment={"Variables": {"STAGE": "test"}})
    name = made["FunctionName"]
    assert made["State"] == "Pending"
    assert made["CodeSha256"] == base64.b64encode(hashlib.sha256(zipped()).digest()).decode()
    functions.update_function_configuration(FunctionName=name, Timeout=10)
    changed = functions.update_function_configuration(FunctionName=name, Description="twice")
    assert changed["LastUpdateStatus"] == "InProgress"
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    functions.get_waiter("function_updated_v2").wait(FunctionName=made["FunctionArn"])
    found = functions.get_function(FunctionName=name)["Configuration"]
    assert (found["Timeout"], found["Description"], found["State"]) == (10, "twice", "Active")
    assert found["Environment"] == {"Variables": {"STAGE": "test"}}
    functions.delete_function(FunctionName=name)
    with refused("ResourceNotFoundException", f"Function not found: {made['FunctionArn']}"):
        functions.get_function(FunctionName=name)


def test_the_code_can_be_fetched_by_whoever_has_the_url(functions, make):
    location = functions.get_function(FunctionName=make()["FunctionName"])["Code"]["Location"]
    with urllib.request.urlopen(location) as answer:
        assert answer.read() == zipped()
    with pytest.raises(urllib.error.HTTPError, match="403") as refusal:
        urllib.request.urlopen(location[:-4] + "AAAA")
    # It holds the connection; whoever runs when it is collected would be blamed.
    refusal.value.close()


def test_a_package_of_fifty_megabytes_is_kept_and_one_more_byte_is_too_much(functions, make):
    # Bytes that do not get smaller.
    large = zipped(os.urandom(20 << 20).hex(), "large.txt")
    made = make(Code={"ZipFile": large})
    assert made["CodeSize"] == len(large)
    location = functions.get_function(FunctionName=made["FunctionName"])["Code"]["Location"]
    with urllib.request.urlopen(location) as answer:
        assert answer.read() == large
    with refused("RequestEntityTooLargeException"):
        make(Code={"ZipFile": b"x" * 52_428_801})


def test_versions_and_aliases(functions, make):
    name = make()["FunctionName"]
    assert functions.publish_version(FunctionName=name)["Version"] == "1"
    functions.update_function_code(FunctionName=name, ZipFile=zipped("x = 1"))
    assert functions.publish_version(FunctionName=name)["Version"] == "2"
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    dry = functions.invoke(FunctionName=name, Qualifier="live", InvocationType="DryRun")
    assert (dry["StatusCode"], dry["ExecutedVersion"] in "12") == (204, True)
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion="2", RoutingConfig={})
    assert functions.get_function_configuration(FunctionName=f"{name}:live")["Version"] == "2"
    with refused("ResourceConflictException"):
        functions.delete_function(FunctionName=name, Qualifier="2")
    versions = functions.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    assert [version["Version"] for page in versions for version in page["Versions"]] == ["$LATEST", "1", "2"]


def test_layers_and_the_extension_of_aws(functions, make, new_name):
    layer = new_name("layer").replace("/", "-")
    published = functions.publish_layer_version(LayerName=layer, Content={"ZipFile": zipped()}, CompatibleRuntimes=["python3.12"])
    made = make(Layers=[published["LayerVersionArn"], EXTENSION])
    assert [used["Arn"] for used in made["Layers"]] == [published["LayerVersionArn"], EXTENSION]
    assert functions.get_layer_version_by_arn(Arn=published["LayerVersionArn"])["Content"]["CodeSha256"] == made["CodeSha256"]
    functions.delete_layer_version(LayerName=layer, VersionNumber=1)
    with refused("InvalidParameterValueException", f"Layer version {published['LayerVersionArn']} does not exist."):
        make(Layers=[published["LayerVersionArn"]])


def test_permissions_and_tags(functions, make):
    arn = make(Tags={"team": "orders"})["FunctionArn"]
    said = functions.add_permission(FunctionName=arn, StatementId="sm", Action="lambda:InvokeFunction", Principal="secretsmanager.amazonaws.com")
    statement = json.loads(said["Statement"])
    assert statement["Resource"] == arn
    assert json.loads(functions.get_policy(FunctionName=arn)["Policy"])["Statement"] == [statement]
    functions.remove_permission(FunctionName=arn, StatementId="sm")
    with refused("ResourceNotFoundException"):
        functions.get_policy(FunctionName=arn)
    functions.tag_resource(Resource=arn, Tags={"stage": "test"})
    functions.untag_resource(Resource=arn, TagKeys=["team"])
    assert functions.list_tags(Resource=arn)["Tags"] == {"stage": "test"}


def test_whoever_may_not_is_told_so(new_person, make):
    arn = make()["FunctionArn"]
    person = new_person()
    with refused("AccessDeniedException"):
        person.client("lambda").invoke(FunctionName=arn, InvocationType="DryRun")


def test_the_walk_of_a_user_with_the_cli(server, role, new_place):
    place = new_place()
    (place / "f.zip").write_bytes(zipped())
    credentials = server.credentials()
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_PAGER": "",
    }

    def aws(*words: str) -> dict:
        done = subprocess.run([AWS, "lambda", *words], cwd=place, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr.strip()) == (0, ""), done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else {}

    create = ["--runtime", "python3.12", "--handler", "lambda_function.lambda_handler", "--role", role, "--zip-file", "fileb://f.zip"]
    made = aws("create-function", "--function-name", "walk", *create, "--layers", EXTENSION)
    assert made["Layers"][0]["Arn"] == EXTENSION
    aws("update-function-configuration", "--function-name", "walk", "--timeout", "10")
    aws("update-function-configuration", "--function-name", "walk", "--memory-size", "256")
    aws("wait", "function-updated-v2", "--function-name", "walk")
    aws("publish-version", "--function-name", "walk")
    aws("create-alias", "--function-name", "walk", "--name", "live", "--function-version", "1")
    permission = ["--statement-id", "sm", "--action", "lambda:InvokeFunction", "--principal", "secretsmanager.amazonaws.com"]
    aws("add-permission", "--function-name", "walk", *permission)
    assert "walk" in [function["FunctionName"] for function in aws("list-functions")["Functions"]]
    aws("delete-function", "--function-name", "walk")

"""A rotation function in Python, as AWS's templates are written, rotates a secret; and one that breaks is found by its step."""

import json

import pytest

from packages import zipped
from process import run
from rotators import MAY, TRUST, layer, skip_without_functions, until

FUNCTION = '''
import os
import boto3
from botocore.exceptions import ClientError

def refused(call, **words):
    try:
        call(**words)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDeniedException", error
    else:
        raise AssertionError("it was not refused")

def handler(event, context):
    client = boto3.client("secretsmanager", endpoint_url=os.environ["SECRETS_MANAGER_ENDPOINT"])
    arn, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    described = client.describe_secret(SecretId=arn)
    versions = described["VersionIdsToStages"]
    if not described["RotationEnabled"] or "AWSPENDING" not in versions[token]:
        raise ValueError("not staged for rotation")
    if step == "createSecret":
        client.get_secret_value(SecretId=arn, VersionStage="AWSCURRENT")
        try:
            client.get_secret_value(SecretId=arn, VersionId=token, VersionStage="AWSPENDING")
        except client.exceptions.ResourceNotFoundException:
            made = client.get_random_password(PasswordLength=24, ExcludePunctuation=True)["RandomPassword"]
            client.put_secret_value(SecretId=arn, ClientRequestToken=token, SecretString=made, VersionStages=["AWSPENDING"])
    elif step == "setSecret" and "BROKEN" in os.environ:
        old = client.get_secret_value(SecretId=arn, VersionStage="AWSCURRENT")["SecretString"]
        raise SyntaxError("syntax error at or near " + old)
    elif step == "testSecret":
        # Its role allows both, and a rotation needs neither.
        refused(client.get_secret_value, SecretId="somebody-else-s")
        refused(client.put_secret_value, SecretId=arn, ClientRequestToken="0" * 32, SecretString="x", VersionStages=["AWSPENDING"])
    elif step == "finishSecret":
        current = next(version for version, labels in versions.items() if "AWSCURRENT" in labels)
        client.update_secret_version_stage(
            SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=current
        )
'''


@pytest.fixture(scope="module", autouse=True)
def _functions_run(new_place):
    skip_without_functions(new_place())


@pytest.fixture(scope="module")
def rotator(client_of):
    """Makes a function that may rotate secrets, and answers its ARN."""
    iam, functions = client_of("iam"), client_of("lambda")
    role = iam.create_role(RoleName="rotates", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName="rotates", PolicyName="rotates", PolicyDocument=json.dumps(MAY))
    brought = functions.publish_layer_version(LayerName="boto", Content={"ZipFile": layer()})["LayerVersionArn"]

    def make(name: str, **variables: str) -> str:
        endpoint = f"https://secretsmanager.{functions.meta.region_name}.amazonaws.com"
        made = functions.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role=role,
            Handler="index.handler",
            Code={"ZipFile": zipped(FUNCTION, "index.py")},
            Layers=[brought],
            Timeout=30,
            LoggingConfig={"LogGroup": f"/rotations/{name}"},
            Environment={"Variables": {"SECRETS_MANAGER_ENDPOINT": endpoint, **variables}},
        )
        functions.add_permission(
            FunctionName=name, StatementId="rotation", Action="lambda:InvokeFunction", Principal="secretsmanager.amazonaws.com"
        )
        return made["FunctionArn"]

    return make


def test_three_rotations_in_a_row(sm, rotator, new_name):
    name, function = new_name("rotated"), rotator("rotates-well")
    sm.create_secret(Name=name, SecretString="the-first-one")
    sm.create_secret(Name="somebody-else-s", SecretString="not-for-rotations")
    seen = ["the-first-one"]
    for _ in range(3):
        begun = sm.rotate_secret(SecretId=name, RotationLambdaARN=function, RotationRules={"AutomaticallyAfterDays": 30})

        def rotated():
            described = sm.describe_secret(SecretId=name)
            labels = described["VersionIdsToStages"].get(begun["VersionId"], [])
            return "AWSCURRENT" in labels and described.get("LastRotatedDate")

        until(rotated, "the end of the rotation")
        seen.append(sm.get_secret_value(SecretId=name)["SecretString"])
        previous = sm.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"]
        assert previous == seen[-2]
    assert len(set(seen)) == 4


def test_a_function_that_breaks_is_found_by_step_error_and_log(sm, rotator, new_name, server, client_of):
    name, function = new_name("broken"), rotator("rotates-badly", BROKEN="yes")
    sm.create_secret(Name=name, SecretString="stays-as-it-is-0123")
    sm.rotate_secret(SecretId=name, RotationLambdaARN=function, RotationRules={"AutomaticallyAfterDays": 30})

    def shown():
        words = ["rotation", "show", name, "--json", "--region", sm.meta.region_name]
        store = ["--data-dir", str(server.data_dir), "--keyfile", str(server.keyfile)]
        rotation = json.loads(run(*words, *store, home=server.home).stdout)
        return rotation.get("failure") and rotation

    rotation = until(shown, "the failure")
    failure = rotation["failure"]
    assert (failure["step"], failure["error_type"]) == ("setSecret", "SyntaxError")
    assert failure["error_message"] == "syntax error at or near ****"
    assert failure["message"] == f"Error when executing lambda {function} during setSecret step"
    assert failure["log_group"] == "/rotations/rotates-badly"
    kept = client_of("logs").get_log_events(logGroupName=failure["log_group"], logStreamName=failure["log_stream"])
    assert "syntax error at or near ****" in "".join(event["message"] for event in kept["events"])
    assert sm.get_secret_value(SecretId=name)["SecretString"] == "stays-as-it-is-0123"

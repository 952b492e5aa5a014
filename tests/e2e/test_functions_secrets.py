"""A function with the AWS Parameters and Secrets layer reads its secret from localhost:2773, as AWS's examples do."""

import json

import pytest

from conftest import REGION
from packages import zipped
from rotators import TRUST, skip_without_functions

EXTENSION = f"arn:aws:lambda:{REGION}:177933569100:layer:AWS-Parameters-and-Secrets-Lambda-Extension:18"
FUNCTION = '''
import json
import os
import urllib.error
import urllib.request

def handler(event, context):
    url = "http://localhost:2773/secretsmanager/get?secretId=" + event["secret"] + event.get("more", "")
    token = event.get("token") or os.environ["AWS_SESSION_TOKEN"]
    request = urllib.request.Request(url, headers={"X-Aws-Parameters-Secrets-Token": token})
    try:
        with urllib.request.urlopen(request) as answer:
            return {"status": answer.status, "secret": json.loads(answer.read())}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "text": error.read().decode()}
    except urllib.error.URLError as error:
        return {"status": 0, "text": type(error.reason).__name__}
'''


@pytest.fixture(scope="module", autouse=True)
def _functions_run(new_place):
    skip_without_functions(new_place())


@pytest.fixture(scope="module")
def reader(client_of):
    """Makes a function that may read secrets below `open/`, and answers what invokes it."""
    iam, functions = client_of("iam"), client_of("lambda")
    role = iam.create_role(RoleName="reads", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    may = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "arn:aws:secretsmanager:*:*:secret:open/*"}
    iam.put_role_policy(RoleName="reads", PolicyName="reads", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [may]}))

    def make(name: str, layers: list[str]):
        code = {"ZipFile": zipped(FUNCTION, "index.py")}
        functions.create_function(
            FunctionName=name, Runtime="python3.11", Role=role, Handler="index.handler", Code=code, Layers=layers, Timeout=30
        )

        def invoke(secret: str, **event: str) -> dict:
            said = functions.invoke(FunctionName=name, Payload=json.dumps({"secret": secret, **event}))
            answer = json.loads(said["Payload"].read())
            assert "FunctionError" not in said, answer
            return answer

        return invoke

    return make


@pytest.fixture(scope="module")
def read(reader):
    return reader("reads", [EXTENSION])


def test_a_secret_is_read_and_kept_until_it_has_to_be_fresh(sm, read, new_name):
    name = new_name("open/secret")
    made = sm.create_secret(Name=name, SecretString='{"password": "one"}')
    said = read(name)
    assert said["status"] == 200, said
    found = said["secret"]
    assert (found["ARN"], found["Name"], found["VersionId"]) == (made["ARN"], name, made["VersionId"])
    assert json.loads(found["SecretString"]) == {"password": "one"}
    assert (found["SecretBinary"], found["VersionStages"], found["ResultMetadata"]) == (None, ["AWSCURRENT"], {})
    sm.put_secret_value(SecretId=name, SecretString="two")
    assert read(name)["secret"]["SecretString"] == '{"password": "one"}'
    assert read(name, more="&refreshNow=true")["secret"]["SecretString"] == "two"
    assert read(name)["secret"]["SecretString"] == "two"
    assert read(made["ARN"], more="&versionStage=AWSPREVIOUS")["secret"]["SecretString"] == '{"password": "one"}'


def test_a_secret_of_bytes_is_base64(sm, read, new_name):
    name = new_name("open/bytes")
    sm.create_secret(Name=name, SecretBinary=b"\x00\xff")
    found = read(name)["secret"]
    assert (found["SecretBinary"], found["SecretString"]) == ("AP8=", None)


def test_only_what_the_role_may_read_and_only_with_the_token(sm, read, new_name):
    name = new_name("closed/secret")
    sm.create_secret(Name=name, SecretString="hidden-0123")
    denied = read(name)
    assert (denied["status"], denied["text"].split(":")[0]) == (400, "AccessDeniedException")
    assert ":assumed-role/reads/reads is not authorized" in denied["text"] and "hidden" not in denied["text"]
    missing = read("open/missing")
    assert (missing["status"], missing["text"].split(":")[0]) == (400, "ResourceNotFoundException")
    assert read(name, token="wrong")["status"] == 403


def test_what_was_read_is_on_record_in_the_name_of_the_role(sm, read, new_name, client_of):
    name = new_name("open/recorded")
    sm.create_secret(Name=name, SecretString="one")
    assert read(name)["status"] == 200
    trail = client_of("cloudtrail")
    about = [{"AttributeKey": "EventName", "AttributeValue": "GetSecretValue"}]
    events = [json.loads(event["CloudTrailEvent"]) for event in trail.lookup_events(LookupAttributes=about)["Events"]]
    found = [event for event in events if (event["requestParameters"] or {}).get("secretId") == name]
    assert len(found) == 1
    assert "AWS-Parameters-and-Secrets-Lambda-Extension" in found[0]["userAgent"]
    assert found[0]["userIdentity"]["type"] == "AssumedRole"
    assert found[0]["userIdentity"]["arn"].endswith(":assumed-role/reads/reads")


def test_without_the_layer_nobody_listens(reader):
    assert reader("reads-nothing", [])("open/secret") == {"status": 0, "text": "ConnectionRefusedError"}

"""Events that nobody waits for, and the function that is told how they ended."""

import json

import pytest

from packages import zipped
from rotators import TRUST, skip_without_functions, until

WORKS_OR_NOT = '''
def handler(event, context):
    if event["fails"]:
        raise ValueError("not today")
    return {"done": event["name"]}
'''
TOLD = '''
import json

def handler(event, context):
    print(json.dumps(event))
'''


@pytest.fixture(scope="module", autouse=True)
def _functions_run(new_place):
    skip_without_functions(new_place())


@pytest.fixture(scope="module")
def send(client_of):
    """Sends events to a function, whose ends another one prints into its log."""
    iam, functions = client_of("iam"), client_of("lambda")
    role = iam.create_role(RoleName="tells", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    may = {"Effect": "Allow", "Action": ["lambda:InvokeFunction", "logs:*"], "Resource": "*"}
    iam.put_role_policy(RoleName="tells", PolicyName="tells", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [may]}))
    make = lambda name, code: functions.create_function(  # noqa: E731
        FunctionName=name, Runtime="python3.11", Role=role, Handler="index.handler", Code={"ZipFile": zipped(code, "index.py")}, Timeout=30
    )["FunctionArn"]
    make("works-or-not", WORKS_OR_NOT)
    told = {"Destination": make("is-told", TOLD)}
    functions.put_function_event_invoke_config(
        FunctionName="works-or-not", MaximumRetryAttempts=0, DestinationConfig={"OnSuccess": told, "OnFailure": told}
    )

    def send(**event) -> str:
        said = functions.invoke(FunctionName="works-or-not", InvocationType="Event", Payload=json.dumps(event))
        assert (said["StatusCode"], said["Payload"].read()) == (202, b"")
        return said["ResponseMetadata"]["RequestId"]

    return send


@pytest.fixture(scope="module")
def told(client_of):
    """What the other function was told of a request."""
    logs = client_of("logs")

    def found(request: str):
        groups = {group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]}
        if "/aws/lambda/is-told" not in groups:
            return None
        events = logs.filter_log_events(logGroupName="/aws/lambda/is-told", filterPattern=f'{{ $.requestContext.requestId = "{request}" }}')["events"]
        return json.loads(events[0]["message"]) if events else None

    return lambda request: until(lambda: found(request), f"the end of {request}")


def test_a_function_is_told_of_what_failed(send, told):
    request = send(fails=True, name="one")
    record = told(request)
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["requestContext"]["functionArn"].endswith(":function:works-or-not:$LATEST")
    assert record["requestPayload"] == {"fails": True, "name": "one"}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert (record["responsePayload"]["errorType"], record["responsePayload"]["errorMessage"]) == ("ValueError", "not today")


def test_a_function_is_told_of_what_was_done(send, told):
    record = told(send(fails=False, name="two"))
    assert record["requestContext"]["condition"] == "Success"
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert record["responsePayload"] == {"done": "two"}

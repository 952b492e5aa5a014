"""The judge of all answers is judged here: it lets through what AWS sends and objects to what AWS would not send."""

import json

import botocore.session
import pytest

from conformance import complaints_about

MODEL = botocore.session.Session().get_service_model("secretsmanager")
ID = "01234567-89ab-cdef-0123-456789abcdef"
ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:a-k3X9aQ"


def judge(operation, body, status=200, request_id=ID, content_type="application/x-amz-json-1.1"):
    headers = {"x-amzn-requestid": request_id, "content-type": content_type}
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return complaints_about(MODEL.operation_model(operation), status, headers, body)


@pytest.mark.parametrize(
    ("operation", "body", "status"),
    [
        ("GetSecretValue", {"ARN": ARN, "Name": "a", "SecretBinary": "AA==", "CreatedDate": 1523477145.713}, 200),
        ("DescribeSecret", {"ARN": ARN, "VersionIdsToStages": {ID: ["AWSCURRENT"]}, "Tags": []}, 200),
        ("DeleteSecret", b'{"DeletionDate": 1523477145}', 200),
        ("TagResource", {}, 200),
        ("GetSecretValue", {"__type": "ResourceNotFoundException", "Message": "x"}, 400),
        ("GetSecretValue", {"__type": "InternalServiceError", "Message": "x"}, 500),
        ("GetSecretValue", {"__type": "ValidationException", "message": "x"}, 400),
        ("GetSecretValue", {"__type": "AccessDeniedException", "Message": "x"}, 400),
    ],
)
def test_what_aws_sends(operation, body, status):
    assert judge(operation, body, status) == []


@pytest.mark.parametrize(
    ("operation", "body", "status", "part"),
    [
        ("GetSecretValue", b"<xml/>", 200, "not JSON"),
        ("GetSecretValue", b'{"Name": "a", "Name": "b"}', 200, "twice"),
        ("GetSecretValue", {"Nmae": "a"}, 200, "not in the model"),
        ("GetSecretValue", {"name": "a"}, 200, "not in the model"),
        ("GetSecretValue", {"Name": None}, 200, "null"),
        ("GetSecretValue", {"Name": 1}, 200, "no string"),
        ("GetSecretValue", {"Name": ""}, 200, "size 0"),
        ("GetSecretValue", {"SecretBinary": "AA"}, 200, "base64"),
        ("GetSecretValue", {"CreatedDate": "2018-04-11T20:05:45Z"}, 200, "seconds"),
        ("GetSecretValue", {"CreatedDate": "1523477145"}, 200, "seconds"),
        ("GetSecretValue", b'{"CreatedDate": 1.523477145713E9}', 200, "seconds"),
        ("GetSecretValue", b'{"CreatedDate": 1523477145.7131}', 200, "seconds"),
        ("GetSecretValue", {"VersionStages": "AWSCURRENT"}, 200, "no list"),
        ("GetSecretValue", {"VersionStages": []}, 200, "size 0"),
        ("DescribeSecret", {"RotationEnabled": "true"}, 200, "no boolean"),
        ("DescribeSecret", {"VersionIdsToStages": {ID: "AWSCURRENT"}}, 200, "no list"),
        ("DescribeSecret", {"RotationRules": {"AutomaticallyAfterDays": 1.5}}, 200, "no integer"),
        ("DescribeSecret", {"ReplicationStatus": [{"Status": "Maybe"}]}, 200, "Maybe"),
        ("TagResource", {"ARN": ARN}, 200, "the model has none"),
        ("GetSecretValue", {}, 204, "204"),
        ("GetSecretValue", {"Message": "x"}, 400, "__type"),
        ("GetSecretValue", {"__type": "ResourceNotFoundException", "message": "x"}, 400, "Message"),
        ("GetSecretValue", {"__type": "ResourceNotFoundException", "Message": "x"}, 404, "404"),
        ("GetSecretValue", {"__type": "ResourceNotFoundException", "Message": ""}, 400, "empty"),
        ("GetSecretValue", {"__type": "LimitExceededException", "Message": "x"}, 400, "does not declare"),
        ("GetSecretValue", {"__type": "ValidationException", "Message": "x"}, 400, "message"),
    ],
)
def test_what_aws_would_not_send(operation, body, status, part):
    assert any(part in complaint for complaint in judge(operation, body, status))


def test_headers_are_looked_at():
    assert judge("TagResource", {}, request_id="") != []
    assert judge("TagResource", {}, content_type="application/json") != []


def test_every_answer_is_looked_at(sm, watch):
    before = watch.answers
    sm.list_secrets(MaxResults=1)
    assert watch.answers == before + 1

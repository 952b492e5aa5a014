"""What is not served is refused by name and with a client's error, so that nobody mistakes it for a fault or for a success."""

import botocore.session
import pytest

from expect import refused

SERVED = {
    "BatchGetSecretValue", "CancelRotateSecret", "CreateSecret", "DeleteResourcePolicy", "DeleteSecret", "DescribeSecret",
    "GetRandomPassword", "GetResourcePolicy", "GetSecretValue", "ListResourcePolicies", "ListSecretVersionIds",
    "ListSecrets", "PutResourcePolicy", "PutSecretValue", "RemoveRegionsFromReplication", "ReplicateSecretToRegions",
    "RestoreSecret", "RotateSecret", "StopReplicationToReplica", "TagResource", "UntagResource", "UpdateSecret",
    "UpdateSecretVersionStage", "ValidateResourcePolicy",
}  # fmt: skip
MODEL = botocore.session.Session().get_service_model("secretsmanager")
UNSERVED = sorted(set(MODEL.operation_names) - SERVED)


def call(client, operation):
    """Calls an operation by the name on the wire, with nothing in it."""
    return getattr(client, botocore.xform_name(operation))()


@pytest.mark.parametrize("operation", UNSERVED)
def test_an_operation_that_is_not_served(unchecked, operation):
    with refused("UnknownOperationException", operation) as caught:
        call(unchecked, operation)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize("operation", sorted(SERVED))
def test_an_operation_that_is_served_is_known(unchecked, operation):
    try:
        call(unchecked, operation)
    except unchecked.exceptions.ClientError as error:
        codes = ("ValidationException", "InvalidRequestException", "InvalidParameterException")
        assert error.response["Error"]["Code"] in codes


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("kms", "DescribeCustomKeyStores", "UnknownOperationException"),
        ("kms", "CreateCustomKeyStore", "UnknownOperationException"),
        ("iam", "ListVirtualMFADevices", "InvalidAction"),
        ("sts", "GetFederationToken", "InvalidAction"),
        ("dynamodb", "ListTables", "UnknownOperationException"),
    ],
)
def test_another_service(client_of, service, operation, code):
    with refused(code, operation) as caught:
        call(client_of(service, parameter_validation=False), operation)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400

"""What is not served is refused by name and with a client's error, so that nobody mistakes it for a fault or for a success."""

import botocore.session
import pytest

from expect import refused

MODEL = botocore.session.Session().get_service_model("secretsmanager")


def call(client, operation):
    """Calls an operation by the name on the wire, with nothing in it."""
    return getattr(client, botocore.xform_name(operation))()


@pytest.mark.parametrize("operation", sorted(MODEL.operation_names))
def test_every_operation_of_secrets_manager_is_known(unchecked, operation):
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

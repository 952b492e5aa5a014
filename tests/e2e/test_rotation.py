"""Rotation as far as a server without functions goes: whatever would start one is refused, and leaves the secret as it was."""

import pytest

from expect import refused


ROTATION = {"RotationEnabled", "RotationLambdaARN", "RotationRules", "NextRotationDate", "LastRotatedDate"}


@pytest.fixture
def function(sm, secret):
    """A function of the account itself: one of another account must let in whoever asks."""
    _, _, _, region, account, *_ = secret["ARN"].split(":")
    return f"arn:aws:lambda:{region}:{account}:function:rotate"


def test_without_a_function_there_is_nothing_to_rotate_or_to_cancel(sm, secret):
    name = secret["Name"]
    with refused("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret."):
        sm.rotate_secret(SecretId=name, RotationRules={"AutomaticallyAfterDays": 30})
    with refused("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret."):
        sm.cancel_rotate_secret(SecretId=name)


@pytest.mark.parametrize("immediately", [True, False])
def test_a_function_that_cannot_be_invoked_changes_nothing(sm, secret, function, immediately):
    before = sm.describe_secret(SecretId=secret["Name"])
    with refused("AccessDeniedException", "Secrets Manager cannot invoke the specified Lambda function."):
        sm.rotate_secret(
            SecretId=secret["Name"],
            RotationLambdaARN=function,
            RotationRules={"AutomaticallyAfterDays": 30},
            RotateImmediately=immediately,
        )
    after = sm.describe_secret(SecretId=secret["Name"])
    assert after["LastChangedDate"] == before["LastChangedDate"]
    assert after["VersionIdsToStages"] == before["VersionIdsToStages"]
    assert not ROTATION & after.keys()


def test_an_external_secret_without_a_rotator(sm, new_name):
    name = new_name()
    sm.create_secret(Name=name, SecretString="one", Type="SalesforceClientSecret")
    with refused("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret."):
        sm.rotate_secret(
            SecretId=name,
            ExternalSecretRotationMetadata=[{"Key": "baseUri", "Value": "https://example.com"}],
            ExternalSecretRotationRoleArn="arn:aws:iam::111122223333:role/rotator",
        )
    described = sm.describe_secret(SecretId=name)
    assert described["Type"] == "SalesforceClientSecret"
    assert not {"ExternalSecretRotationMetadata", "ExternalSecretRotationRoleArn"} & described.keys()


def test_rules_that_contradict_each_other_are_refused_before_the_function_is_looked_for(sm, secret, function):
    # Terraform repeats an InvalidRequestException for a minute; this code it shows at once.
    rules = {"AutomaticallyAfterDays": 1, "ScheduleExpression": "rate(1 day)"}
    sentence = "You cannot specify both rotation frequency and schedule expression together."
    with refused("InvalidParameterException", sentence):
        sm.rotate_secret(SecretId=secret["Name"], RotationLambdaARN=function, RotationRules=rules)


def test_a_schedule_is_read_after_the_function_was_found(sm, secret, function):
    rules = {"ScheduleExpression": "rate(10 minutes)"}
    with refused("AccessDeniedException", "Secrets Manager cannot invoke the specified Lambda function."):
        sm.rotate_secret(SecretId=secret["Name"], RotationLambdaARN=function, RotationRules=rules)


def test_a_raw_request_needs_a_token(sm, secret):
    # The SDK makes one up; a handler takes it out again.
    def forget(params, **_):
        params["body"] = params["body"].replace(b'"ClientRequestToken"', b'"Forgotten"')

    sm.meta.events.register_last("before-call.secrets-manager.RotateSecret", forget)
    try:
        with refused("InvalidParameterException", "You must provide a ClientRequestToken value."):
            sm.rotate_secret(SecretId=secret["Name"])
    finally:
        sm.meta.events.unregister("before-call.secrets-manager.RotateSecret", forget)

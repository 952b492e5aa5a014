"""Deletion with a way back, and without one, through boto3."""

from datetime import timedelta

import pytest

from expect import MARKED_FOR_DELETION, NOT_FOUND, is_recent, labels, refused, token


@pytest.mark.parametrize("days", [None, 7, 30])
def test_a_deletion_is_scheduled_and_taken_back(sm, secret, days):
    name, window = secret["Name"], {"RecoveryWindowInDays": days} if days else {}
    before = labels(sm, name)
    deleted = sm.delete_secret(SecretId=name, **window)
    assert (deleted["ARN"], deleted["Name"]) == (secret["ARN"], name)
    assert is_recent(deleted["DeletionDate"] - timedelta(days=days or 30))
    described = sm.describe_secret(SecretId=name)
    assert is_recent(described["DeletedDate"])
    assert described["VersionIdsToStages"] == {secret["VersionId"]: ["AWSCURRENT"]}

    restored = sm.restore_secret(SecretId=name)
    assert (restored["ARN"], restored["Name"]) == (secret["ARN"], name)
    assert "DeletedDate" not in sm.describe_secret(SecretId=name)
    assert sm.get_secret_value(SecretId=name)["SecretString"] == "one"
    assert labels(sm, name) == before


def test_what_is_scheduled_is_closed(sm, secret):
    name = secret["Name"]
    sm.delete_secret(SecretId=name)
    for attempt in (
        lambda: sm.get_secret_value(SecretId=name),
        lambda: sm.put_secret_value(SecretId=name, SecretString="two"),
        lambda: sm.update_secret(SecretId=name, Description="x"),
        lambda: sm.update_secret_version_stage(
            SecretId=name, VersionStage="x", MoveToVersionId=secret["VersionId"]
        ),
        lambda: sm.tag_resource(SecretId=name, Tags=[{"Key": "k", "Value": "v"}]),
        lambda: sm.untag_resource(SecretId=name, TagKeys=["k"]),
        lambda: sm.delete_secret(SecretId=name),
    ):
        with refused("InvalidRequestException", MARKED_FOR_DELETION):
            attempt()
    with refused("InvalidRequestException", "a secret with this name is already scheduled for deletion"):
        sm.create_secret(Name=name, SecretString="one")
    assert len(labels(sm, name)) == 1


def test_a_deletion_by_force_is_final_and_frees_the_name(sm, secret):
    name = secret["Name"]
    deleted = sm.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    assert is_recent(deleted["DeletionDate"])
    for attempt in (sm.describe_secret, sm.get_secret_value, sm.restore_secret, sm.delete_secret):
        with refused("ResourceNotFoundException", NOT_FOUND):
            attempt(SecretId=name)
    again = sm.create_secret(Name=name, SecretString="new", ClientRequestToken=token())
    assert again["ARN"] != secret["ARN"], "a new secret has a new suffix"
    assert sm.get_secret_value(SecretId=name)["SecretString"] == "new"
    with refused("ResourceNotFoundException"):
        sm.get_secret_value(SecretId=secret["ARN"])


def test_force_ends_a_scheduled_deletion(sm, secret):
    sm.delete_secret(SecretId=secret["Name"])
    sm.delete_secret(SecretId=secret["Name"], ForceDeleteWithoutRecovery=True)
    with refused("ResourceNotFoundException", NOT_FOUND):
        sm.describe_secret(SecretId=secret["Name"])


def test_force_on_nothing_succeeds(sm, new_name):
    name = new_name("never")
    deleted = sm.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    assert deleted["Name"] == name and f":secret:{name}-" in deleted["ARN"]
    assert is_recent(deleted["DeletionDate"])


def test_windows_that_are_refused(sm, secret):
    name = secret["Name"]
    for days in (-1, 0, 6, 31, 2**40):
        with refused("InvalidParameterException", "must be between 7 and 30 days (inclusive)"):
            sm.delete_secret(SecretId=name, RecoveryWindowInDays=days)
    with refused("InvalidParameterException", "in conjunction with RecoveryWindowInDays"):
        sm.delete_secret(SecretId=name, RecoveryWindowInDays=7, ForceDeleteWithoutRecovery=True)
    assert sm.get_secret_value(SecretId=name)["SecretString"] == "one"
    sm.delete_secret(SecretId=name, RecoveryWindowInDays=7, ForceDeleteWithoutRecovery=False)
    assert "DeletedDate" in sm.describe_secret(SecretId=name)


def test_a_secret_that_is_live_can_be_restored_without_harm(sm, secret):
    assert sm.restore_secret(SecretId=secret["Name"])["ARN"] == secret["ARN"]
    assert sm.get_secret_value(SecretId=secret["Name"])["SecretString"] == "one"

"""Secrets and their values through boto3: what goes in comes out, and every way to name it leads to it."""

import re

import pytest

from expect import INVALID_NAME, NOT_FOUND, is_recent, is_today, refused, token

VALUE_BYTES_MAX = 65_536


@pytest.mark.parametrize(
    "value",
    [
        "hunter2",
        " leading and trailing \n",
        '{"user": "admin", "password": "\\"quoted\\" \\\\ back"}',
        "Ключ 鍵 🗝️ \u202eright to left\u202c e\u0301",
        "\x00\x01\x7f\x80\uffff",
        "\U0010ffff",
    ],
    ids=["plain", "blanks", "json", "scripts", "control", "last"],
)
def test_text_comes_back_as_it_was(sm, new_name, value):
    name = new_name()
    sm.create_secret(Name=name, SecretString=value)
    answer = sm.get_secret_value(SecretId=name)
    assert answer["SecretString"] == value
    assert "SecretBinary" not in answer


def test_bytes_come_back_as_they_were(sm, new_name, chance):
    for value in [b"\x00", bytes(range(256)), chance.randbytes(VALUE_BYTES_MAX), "no text: é".encode("latin-1")]:
        name = new_name()
        sm.create_secret(Name=name, SecretBinary=value)
        answer = sm.get_secret_value(SecretId=name)
        assert answer["SecretBinary"] == value
        assert "SecretString" not in answer


@pytest.mark.parametrize("unit", ["x", "é", "鍵!", "🗝"], ids=["1 byte", "2 bytes", "4 bytes in 2", "4 bytes"])
def test_a_value_may_have_65536_bytes_and_no_more(sm, new_name, unit):
    name, largest = new_name(), unit * (VALUE_BYTES_MAX // len(unit.encode()))
    assert len(largest.encode()) == VALUE_BYTES_MAX
    sm.create_secret(Name=name, SecretString=largest)
    assert sm.get_secret_value(SecretId=name)["SecretString"] == largest
    with refused("ValidationException", "'secretString' failed to satisfy constraint") as caught:
        sm.put_secret_value(SecretId=name, SecretString=largest + "y")
    assert unit * 8 not in str(caught.value), "a value that is refused is not repeated"


def test_65537_bytes_of_binary_are_refused(sm, new_name, chance):
    with refused("ValidationException", "Value at 'secretBinary' failed to satisfy constraint"):
        sm.create_secret(Name=new_name(), SecretBinary=chance.randbytes(VALUE_BYTES_MAX + 1))


def test_values_that_cannot_be(sm, unchecked, new_name, secret):
    with refused("InvalidParameterException", "both a binary secret value and a string secret value"):
        sm.create_secret(Name=new_name(), SecretString="a", SecretBinary=b"a")
    with refused("InvalidRequestException", "You must provide either SecretString or SecretBinary."):
        sm.put_secret_value(SecretId=secret["Name"])
    with refused("ValidationException", "'secretString' failed to satisfy constraint"):
        unchecked.create_secret(Name=new_name(), SecretString="")


def test_a_fresh_secret_shows_what_it_has_and_nothing_else(sm, new_name):
    name = new_name()
    created = sm.create_secret(Name=name, SecretString="one", Description="the first", Tags=[{"Key": "k", "Value": "v"}])
    assert _members(created) == {"ARN", "Name", "VersionId"}
    assert re.fullmatch(rf"arn:aws:secretsmanager:eu-west-1:\d{{12}}:secret:{name}-[A-Za-z0-9]{{6}}", created["ARN"])

    seen = sm.describe_secret(SecretId=name)
    assert _members(seen) == {
        "ARN", "Name", "Description", "CreatedDate", "LastChangedDate", "Tags", "VersionIdsToStages",
    }  # fmt: skip
    assert (seen["ARN"], seen["Name"], seen["Description"]) == (created["ARN"], name, "the first")
    assert seen["Tags"] == [{"Key": "k", "Value": "v"}]
    assert seen["VersionIdsToStages"] == {created["VersionId"]: ["AWSCURRENT"]}
    assert is_recent(seen["CreatedDate"]) and is_recent(seen["LastChangedDate"])

    value = sm.get_secret_value(SecretId=name)
    assert _members(value) == {"ARN", "Name", "VersionId", "SecretString", "VersionStages", "CreatedDate"}
    assert is_recent(value["CreatedDate"])
    assert is_today(sm.describe_secret(SecretId=name)["LastAccessedDate"])
    assert sm.describe_secret(SecretId=name)["LastChangedDate"] == seen["LastChangedDate"], "reading changes nothing"


def test_a_secret_without_a_value_waits_for_one(sm, new_name):
    name = new_name()
    assert _members(sm.create_secret(Name=name)) == {"ARN", "Name"}
    assert _members(sm.describe_secret(SecretId=name)) == {"ARN", "Name", "CreatedDate", "LastChangedDate"}
    assert sm.list_secret_version_ids(SecretId=name)["Versions"] == []
    with refused("ResourceNotFoundException", "the specified secret value for staging label: AWSCURRENT"):
        sm.get_secret_value(SecretId=name)
    put = sm.put_secret_value(SecretId=name, SecretString="first")
    assert put["VersionStages"] == ["AWSCURRENT"]
    assert sm.get_secret_value(SecretId=name)["SecretString"] == "first"


def test_a_secret_is_found_by_name_arn_and_partial_arn(sm, secret):
    partial = secret["ARN"].rsplit("-", 1)[0]
    for secret_id in (secret["Name"], secret["ARN"], partial):
        answer = sm.get_secret_value(SecretId=secret_id)
        assert (answer["ARN"], answer["Name"]) == (secret["ARN"], secret["Name"]), secret_id


def test_a_secret_is_not_found_by_anything_else(sm, secret):
    suffix = secret["ARN"].rsplit("-", 1)[1]
    for secret_id in (
        secret["Name"].upper(),
        f"{secret['Name']}-{suffix}",
        f"{secret['ARN'].rsplit('-', 1)[0]}-aaaaaa",
        secret["ARN"].replace("eu-west-1", "eu-west-2"),
    ):
        with refused("ResourceNotFoundException", NOT_FOUND):
            sm.get_secret_value(SecretId=secret_id)


@pytest.mark.parametrize("name", ["/leading/slash", "all/_+=.@!-of-them", "ends-in-a1b2c3", "1", "x" * 512])
def test_names_may_look_like_this(sm, name):
    arn = sm.create_secret(Name=name, SecretString="v")["ARN"]
    for secret_id in (name, arn):
        assert sm.get_secret_value(SecretId=secret_id)["SecretString"] == "v"


def test_names_may_not_look_like_this(sm, unchecked):
    for name in (" x", "x ", "a b", "ключ", "a\\b", "a:b", "a*"):
        with refused("ValidationException", INVALID_NAME):
            sm.create_secret(Name=name, SecretString="v")
        with refused("ValidationException", INVALID_NAME):
            sm.get_secret_value(SecretId=name)
    with refused("ValidationException", "less than or equal to 512"):
        sm.create_secret(Name="x" * 513, SecretString="v")
    with refused("ValidationException", "1 validation error detected: Value null at 'name' failed to satisfy"):
        unchecked.create_secret(ClientRequestToken=token(), SecretString="v")


def test_all_violations_are_told_at_once(unchecked):
    with refused("ValidationException", "3 validation errors detected: ") as caught:
        unchecked.create_secret(Name="", ClientRequestToken="short", SecretString="sesame" * 20_000)
    text = caught.value.response["Error"]["Message"]
    assert "'name'" in text and "'clientRequestToken'" in text and "'secretString'" in text
    assert "sesame" not in text


def test_exceptions_have_the_types_of_the_sdk(sm, secret, new_name):
    with pytest.raises(sm.exceptions.ResourceNotFoundException) as caught:
        sm.get_secret_value(SecretId=new_name("missing"))
    assert caught.value.response["Message"] == NOT_FOUND, "modelled errors carry a capital Message too"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(sm.exceptions.ResourceExistsException, match="the secret .* already exists"):
        sm.create_secret(Name=secret["Name"], SecretString="other")
    with pytest.raises(sm.exceptions.InvalidParameterException):
        sm.delete_secret(SecretId=secret["Name"], RecoveryWindowInDays=3)
    sm.delete_secret(SecretId=secret["Name"])
    with pytest.raises(sm.exceptions.InvalidRequestException):
        sm.get_secret_value(SecretId=secret["Name"])


def test_an_update_changes_what_it_names(sm, new_name):
    name = new_name()
    created = sm.create_secret(Name=name, SecretString="one", Description="before")
    first = sm.describe_secret(SecretId=name)

    assert "VersionId" not in sm.update_secret(SecretId=name, Description="after")
    second = sm.describe_secret(SecretId=name)
    assert second["Description"] == "after"
    assert second["LastChangedDate"] > first["LastChangedDate"]
    assert second["VersionIdsToStages"] == {created["VersionId"]: ["AWSCURRENT"]}

    updated = sm.update_secret(SecretId=name, SecretBinary=b"two")
    third = sm.describe_secret(SecretId=name)
    assert third["Description"] == "after"
    assert third["VersionIdsToStages"] == {created["VersionId"]: ["AWSPREVIOUS"], updated["VersionId"]: ["AWSCURRENT"]}
    assert sm.get_secret_value(SecretId=name)["SecretBinary"] == b"two"

    sm.update_secret(SecretId=name, Description="")
    assert "Description" not in sm.describe_secret(SecretId=name)


def _members(answer):
    return set(answer) - {"ResponseMetadata"}

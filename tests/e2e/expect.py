"""Small words that several tests use."""

import uuid
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

NOT_FOUND = "Secrets Manager can't find the specified secret."
MARKED_FOR_DELETION = "You can't perform this operation on the secret because it was marked for deletion."
INVALID_NAME = (
    "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
)


def token() -> str:
    return str(uuid.uuid4())


@contextmanager
def refused(code: str, text: str = ""):
    """The call inside is refused with this code, and with this part of the sentence. Gives the exception info."""
    with pytest.raises(ClientError) as caught:
        yield caught
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    assert text in error["Message"], error


def is_recent(moment: datetime) -> bool:
    """Of the last minute, and with a zone: what an SDK makes of a number of seconds."""
    return timedelta(seconds=-1) < datetime.now(timezone.utc) - moment < timedelta(minutes=1)


def is_today(moment: datetime) -> bool:
    """The midnight of today, or of yesterday if midnight was just now."""
    now = datetime.now(timezone.utc)
    midnights = [datetime(day.year, day.month, day.day, tzinfo=timezone.utc) for day in (now, now - timedelta(minutes=2))]
    return moment in midnights


def labels(client, secret_id: str) -> dict[str, set[str]]:
    """Version id to staging labels, deprecated versions included."""
    answer = client.list_secret_version_ids(SecretId=secret_id, IncludeDeprecated=True)
    assert "NextToken" not in answer
    return {version["VersionId"]: set(version.get("VersionStages", [])) for version in answer["Versions"]}

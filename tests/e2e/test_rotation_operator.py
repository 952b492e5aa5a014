"""What whoever works on the machine can do about a rotation that does not end: try again once the cause is gone, and decide which of two versions counts."""

import datetime
import json

import pytest

from clock import Clock
from rotators import REGION, PlainNode, until

MINUTE = 60
#: How long after each attempt the next one comes.
WAITS = (1 * MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE)


@pytest.fixture(scope="module")
def clock(new_place):
    with pytest.MonkeyPatch.context() as patch:
        made = Clock(new_place())
        made.sign_by(patch)
        yield made


@pytest.fixture(scope="module")
def rotating(new_node, make_client, postgres, clock):
    node = PlainNode(new_node(), make_client, [postgres], around=clock.around)
    yield node
    assert node.node.stop() == 0, node.node.said()
    said = node.node.said()
    assert "a defect of Coffer" not in said and "fault of Coffer" not in said, said


@pytest.fixture(scope="module")
def look(rotating):
    """Has the server look for what is due. It looks by itself every minute of its own, which a test does not wait for."""
    sm = rotating.client()
    sm.create_secret(Name="of-nobody", SecretString="no database")
    rotating.rotate("of-nobody", rotating.built_in("postgres", "single"))
    return lambda: rotating.retry("of-nobody")


@pytest.fixture
def broken(rotating, postgres, new_name):
    """A rotation that cannot change the password: name, what the secret says, the version that was begun, and its failure."""
    name = new_name("broken")
    words = rotating.secret(postgres, name, name.replace("/", "_"), "single_user")
    postgres.set_password(words["username"], "set-by-somebody-else")
    version = rotating.rotate(name, rotating.built_in("postgres", "single"))
    return name, words, version, rotating.failure(name)


def instant(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def failed(rotating, name: str, attempt: int) -> dict | None:
    """How this attempt failed, once it has. While it goes well nothing is shown of those before."""
    failure = rotating.shown(name).get("failure")
    return failure if failure and failure["attempt"] == attempt else None


def asked(rotating, *words: str) -> dict:
    return json.loads(rotating.command("rotation", *words, "--json", "--region", REGION).stdout)


def told(rotating, arn: str) -> list[str]:
    """What is on record of rotations of a secret, the oldest first."""
    lines = rotating.command("audit", "search", "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    names = [event["eventName"] for event in events if (event.get("additionalEventData") or {}).get("SecretId") == arn]
    return [name for name in names if name != "GetRotation"]


def test_a_rotation_that_failed_five_times_waits_for_its_window_or_for_the_operator(rotating, postgres, clock, look, broken):
    name, words, version, failure = broken
    arn = rotating.shown(name)["secret"]
    for attempt, wait in enumerate(WAITS, 1):
        shown = rotating.shown(name)
        assert (failure["step"], failure["attempt"], shown["under_way"]["attempt"]) == ("setSecret", attempt, attempt + 1)
        assert instant(shown["due"]) - instant(failure["at"]) == datetime.timedelta(seconds=wait)
        clock.move(wait)
        look()
        failure = until(lambda: failed(rotating, name, attempt + 1), f"attempt {attempt + 1}")
    shown = rotating.shown(name)
    assert (failure["attempt"], shown["under_way"]["version"], shown["pending"]) == (5, version, version)
    # The next one comes with the next window, thirty days after the one it belongs to, which may have begun a day before.
    assert instant(shown["due"]) - instant(failure["at"]) > datetime.timedelta(days=28)
    clock.move(60 * MINUTE)
    look()
    looked = lambda: (found := failed(rotating, "of-nobody", 1)) and instant(found["at"]) > instant(failure["at"])  # noqa: E731
    until(looked, "another rotation, for which the server looked")
    assert rotating.shown(name)["failure"] == failure
    assert rotating.value(name) == words
    listed = {rotation["name"]: rotation for rotation in asked(rotating, "list")}
    assert listed[name]["failure"] == failure
    due = [rotation for rotation in listed.values() if rotation["due"]]
    failing = [rotation for rotation in due if "failure" in rotation]
    findings = json.loads(rotating.attempt("doctor", "--json").stdout)
    [finding] = [finding for finding in findings if finding["about"] == "rotations"]
    assert finding["says"].startswith(f"{len(failing)} of {len(due)} in account "), finding

    # The cause is gone, and he says so.
    postgres.set_password(words["username"], words["password"])
    pending = rotating.value(name, "AWSPENDING")
    again = asked(rotating, "retry", name)
    assert (again["under_way"]["version"], again["under_way"]["attempt"]) == (version, 1)
    until(lambda: rotating.has_rotated(name, version), f"the rotation of {name}: {rotating.shown(name)}")
    assert rotating.value(name) == pending and rotating.value(name, "AWSPREVIOUS") == words
    assert postgres.logs_in(pending["username"], pending["password"])
    shown = rotating.shown(name)
    assert "failure" not in shown and (shown["current"], shown["previous"]) == (version, again["current"])
    assert told(rotating, arn) == ["RotationStarted", *["RotationFailed"] * 5, "RetryRotation", "RotationSucceeded"]


def test_a_rotation_that_waits_for_its_window_is_begun_by_the_operator(rotating, postgres, new_name):
    name = new_name("waits")
    rotating.secret(postgres, name, name.replace("/", "_"), "single_user")
    first = rotating.rotate(name, rotating.built_in("postgres", "single"))
    until(lambda: rotating.has_rotated(name, first), f"the rotation of {name}")
    rotating.retry(name)
    until(lambda: rotating.shown(name)["current"] != first and not rotating.shown(name).get("under_way"), f"another rotation of {name}")
    current = rotating.value(name)
    assert rotating.shown(name)["previous"] == first and postgres.logs_in(current["username"], current["password"])


@pytest.mark.parametrize("decision", ["--promote-pending", "--drop-pending"])
def test_the_operator_decides_which_of_two_versions_counts(rotating, postgres, broken, decision):
    """A version under AWSPENDING is left behind, and whoever has tried both says which one logs in."""
    name, words, version, _ = broken
    sm, before = rotating.client(), rotating.shown(name)
    pending = rotating.value(name, "AWSPENDING")
    is_promoted = decision == "--promote-pending"
    counts, other = (pending, words) if is_promoted else (words, pending)
    postgres.set_password(words["username"], counts["password"])
    said = rotating.command("rotation", "repair", decision, name, "--region", REGION).stdout
    assert words["password"] not in said and pending["password"] not in said
    shown = rotating.shown(name)
    assert "under_way" not in shown and shown["pending"] is None
    assert shown["current"] == (version if is_promoted else before["current"])
    assert rotating.value(name) == counts and postgres.logs_in(counts["username"], counts["password"])
    # Nothing is deleted: the other can still be read.
    assert rotating.version(name, before["current"] if is_promoted else version) == other
    described = sm.describe_secret(SecretId=name)
    labels = {"AWSCURRENT", "AWSPREVIOUS"} if is_promoted else {"AWSCURRENT"}
    assert set().union(*described["VersionIdsToStages"].values()) == labels
    # The rotation is over, and the next one may begin.
    assert instant(shown["due"]) > instant(before["failure"]["at"]) + datetime.timedelta(days=29)
    assert ("failure" in shown) != is_promoted
    ended = "RotationSucceeded" if is_promoted else "RotationAbandoned"
    assert told(rotating, shown["secret"]) == ["RotationStarted", "RotationFailed", ended, "RepairRotation"]
    again = rotating.rotate(name)
    until(lambda: rotating.has_rotated(name, again), f"the rotation of {name}: {rotating.shown(name)}")
    current = rotating.value(name)
    assert postgres.logs_in(current["username"], current["password"])


def test_there_is_nothing_to_repair_where_nothing_is_pending(rotating, postgres, new_name):
    name = new_name("whole")
    words = rotating.secret(postgres, name, name.replace("/", "_"), "single_user")
    version = rotating.rotate(name, rotating.built_in("postgres", "single"))
    until(lambda: rotating.has_rotated(name, version), f"the rotation of {name}")
    for decision in ("--promote-pending", "--drop-pending"):
        refused = rotating.attempt("rotation", "repair", decision, name, "--region", REGION)
        assert refused.returncode != 0 and "AWSPENDING" in refused.stderr, refused
    assert rotating.shown(name)["current"] == version and rotating.value(name) != words

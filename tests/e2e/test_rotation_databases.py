"""Passwords of real databases, changed by functions that do what AWS's published ones do, behind full walls."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rotators import ADDRESS, NAME, REGION, SOURCES, STRATEGIES, RotatingNode, package, skip_without_functions, until

AWS = Path(sys.executable).with_name("aws")


@pytest.fixture(scope="module")
def rotating(new_node, new_place, make_client, request):
    skip_without_functions(new_place())
    databases = []
    for name in ("postgres", "mariadb"):
        try:
            databases.append(request.getfixturevalue(name))
        except pytest.skip.Exception:
            # Its own tests say so.
            pass
    node = RotatingNode(new_node(), make_client, databases)
    yield node
    assert node.node.stop() == 0, node.node.said()
    assert "a defect of Coffer" not in node.node.said() and "fault of Coffer" not in node.node.said(), node.node.said()


@pytest.fixture
def named(rotating):
    if NAME not in rotating.hosts:
        pytest.skip("this machine gives no process names of its own")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_three_rotations_in_a_row_and_the_passwords_log_in(rotating, database, strategy, new_name):
    name = new_name("database")
    words = rotating.secret(database, name, f"app{strategy[0]}{database.engine[0]}", strategy, extra={"kept": ["as", "it", "is"]})
    function = rotating.function(name.replace("/", "-"), database.engine, strategy)
    used = [(words["username"], words["password"])]
    for _ in range(3):
        version = rotating.rotate(name, function)
        until(lambda: rotating.has_rotated(name, version), f"the rotation of {name}: {rotating.shown(name)}")
        current, previous = rotating.value(name), rotating.value(name, "AWSPREVIOUS")
        assert rotating.value(name, "AWSPENDING") == current
        used.append((current["username"], current["password"]))
        assert (previous["username"], previous["password"]) == used[-2]
        assert database.logs_in(*used[-1])
        # One user has one password; of two, the one before still has his.
        assert database.logs_in(*used[-2]) == (strategy == "alternating_users")
        kept = {member: value for member, value in words.items() if member not in ("username", "password")}
        assert {member: current[member] for member in kept} == kept
    user, clone = words["username"], words["username"] + "_clone"
    expected = [user] * 4 if strategy == "single_user" else [user, clone, user, clone]
    assert [user for user, _ in used] == expected
    assert len({password for _, password in used}) == 4


@pytest.mark.usefixtures("named")
def test_a_database_keeps_its_name(rotating, database, new_name):
    name = new_name("named")
    rotating.secret(database, name, f"named{database.engine[0]}", "alternating_users", host=NAME)
    function = rotating.function(name.replace("/", "-"), database.engine, "alternating_users")
    version = rotating.rotate(name, function)
    until(lambda: rotating.has_rotated(name, version), f"the rotation of {name}")
    current = rotating.value(name)
    assert current["host"] == NAME and database.logs_in(current["username"], current["password"])


def test_rds_is_asked_in_vain_and_the_function_says_so(rotating, database, new_name):
    """The published functions ask RDS whether one host is a replica of the other. There is none here, and they go on to say no."""
    sm, name = rotating.client(), new_name("replica")
    words = rotating.secret(database, name, f"replica{database.engine[0]}", "alternating_users")
    master = {**rotating.value(f"{name}-master"), "host": "another.example.com"}
    sm.put_secret_value(SecretId=f"{name}-master", SecretString=json.dumps(master))
    function = rotating.function(name.replace("/", "-"), database.engine, "alternating_users")
    rotating.rotate(name, function)
    failure = until(lambda: rotating.shown(name).get("failure"), "the failure")
    assert (failure["step"], failure["error_type"]) == ("setSecret", "ValueError")
    assert failure["error_message"] == f"Current database host {ADDRESS} is not the same host as/rds replica of master another.example.com"
    assert database.logs_in(words["username"], words["password"])


CLASSIC_MISTAKE = '''
import pg8000.dbapi

from mended import *

def set_own_password(_, pending):
    user, password = pending["username"], pending["password"]
    where = {"host": pending["host"], "port": pending["port"], "database": pending["dbname"]}
    with pg8000.dbapi.connect(user, password=CURRENT, **where) as connection:
        cursor = connection.cursor()
        cursor.execute("ALTER USER %s WITH PASSWORD %s", (user, password))
'''


def aws(node, *words: str) -> dict:
    """A command of a person with the AWS CLI."""
    credentials = node.credentials()
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_ENDPOINT_URL": node.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_PAGER": "",
    }
    done = subprocess.run([AWS, *words], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (0, ""), done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else {}


def test_the_classic_mistake_is_found_without_help_and_mended(rotating, postgres, new_name, new_place):
    """`ALTER USER` takes no parameters. A function that passes them breaks in the second step, before anything has changed."""
    name = new_name("mistaken")
    function_name = name.replace("/", "-")
    words = rotating.secret(postgres, name, "mistaken", "single_user")
    mended = package("postgres", "single_user")
    mistaken = package(
        "postgres",
        "single_user",
        engine=CLASSIC_MISTAKE.replace("CURRENT", repr(words["password"])),
        mended=(SOURCES / "postgres.py").read_text(),
    )
    function = rotating.function(function_name, "postgres", "single_user", code=mistaken)
    version = rotating.rotate(name, function)

    # Whoever works at the machine: step, error and log, and no value.
    failure = until(lambda: rotating.shown(name).get("failure"), "the failure")
    assert failure["step"] == "setSecret" and rotating.shown(name)["pending"] == version
    assert failure["error_type"] == "DatabaseError" and 'syntax error at or near "$1"' in failure["error_message"]
    assert failure["log_group"] == f"/aws/lambda/{function_name}" and "[$LATEST]" in failure["log_stream"]
    shown = rotating.command("rotation", "show", name, "--region", REGION).stdout
    for part in ("setSecret", "DatabaseError", "syntax error", failure["log_group"], failure["log_stream"]):
        assert part in shown, shown
    # Whoever has the AWS CLI.
    looked_up = aws(
        rotating.node, "cloudtrail", "lookup-events", "--lookup-attributes", "AttributeKey=EventName,AttributeValue=RotationFailed"
    )
    events = [json.loads(event["CloudTrailEvent"]) for event in looked_up["Events"]]
    said = [event["additionalEventData"]["ErrorMessage"] for event in events if name in json.dumps(event)]
    assert f"Error when executing lambda {function} during setSecret step" in said, events
    # The stream that was named tells the rest: the command that shows it stands there.
    [command] = [line.strip() for line in shown.splitlines() if "aws logs get-log-events" in line]
    told = aws(rotating.node, *shlex.split(command)[shlex.split(command).index("aws") + 1 :])["events"]
    assert any("syntax error" in event["message"] for event in told), told
    assert [event["message"].split()[0] for event in told].count("REPORT") == 2, told
    pending = rotating.value(name, "AWSPENDING")
    for secret in (words["password"], pending["password"]):
        assert secret not in shown and secret not in json.dumps(looked_up) and secret not in json.dumps(told)
        assert secret not in json.dumps(failure)

    # Nothing that worked has ended.
    assert rotating.value(name) == words and postgres.logs_in("mistaken", words["password"])

    place = new_place() / "mended.zip"
    place.write_bytes(mended)
    aws(rotating.node, "lambda", "update-function-code", "--function-name", function_name, "--zip-file", f"fileb://{place}")
    rotating.retry(name)
    until(lambda: rotating.has_rotated(name, version), "the rotation of the mended function")
    assert rotating.value(name) == pending and postgres.logs_in("mistaken", pending["password"])
    assert rotating.shown(name).get("failure") is None

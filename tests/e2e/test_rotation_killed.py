"""The real server is killed while it rotates the passwords of a real PostgreSQL, at each step and at moments that chance picks.

At every instant some version of the secret logs in, and within half a minute of the next start the current one does.
"""

import os
import random
import time
from pathlib import Path

import pytest

from conftest import SEED
from rotators import STRATEGIES, RotatingNode, package, skip_without_functions, until

RECOVERY_SECONDS_MAX = 30
IS_LONG = os.environ.get("COFFER_CAMPAIGN") == "long"
#: Kills at moments that chance picks, for each strategy.
RANDOM_KILLS = 200 if IS_LONG else 4
#: So many leave room below the hundred versions that a secret has in a day.
KILLS_PER_SECRET = 50
#: A rotation with a cold function takes about so long on a machine that is not busy.
ROTATION_SECONDS = 0.9

#: Tells the database where it is, and waits there for as long as the database says.
TELLING = """
import pg8000.native

import steps
import {strategy}

WHERE = {where!r}

def tell(point):
    with pg8000.native.Connection(**WHERE) as connection:
        connection.run("INSERT INTO points VALUES (:point)", point=point)
        while connection.run("SELECT 1 FROM held WHERE point = :point", point=point):
            connection.run("SELECT pg_sleep(0.02)")

def lambda_handler(event, context):
    step = event["Step"]
    tell(step + " begins")
    {strategy}.lambda_handler(event, context)
    tell(step + " is done")
"""
POINTS = [f"{step} {when}" for step in ("createSecret", "setSecret", "testSecret", "finishSecret") for when in ("begins", "is done")]


@pytest.fixture(scope="module")
def rotating(new_node, new_place, make_client, postgres):
    skip_without_functions(new_place())
    postgres.execute("CREATE TABLE points (point text, at timestamptz DEFAULT now())")
    postgres.execute("CREATE TABLE held (point text)")
    node = RotatingNode(new_node(), make_client, [postgres])
    yield node
    assert node.node.stop() == 0, node.node.said()


def descendants(process: int) -> list[int]:
    found = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *descendants(child)]
    return found


def is_alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


class Victim:
    """A secret whose rotations are interrupted."""

    def __init__(self, rotating: RotatingNode, postgres, name: str, strategy: str):
        self.rotating, self.postgres, self.name = rotating, postgres, name
        rotating.secret(postgres, name, name.replace("/", "_"), strategy)
        where = {"user": postgres.admin, "host": postgres.host, "port": postgres.port, "database": "postgres", "password": postgres.admin_password}
        telling = TELLING.format(strategy=strategy, where=where)
        self.function = rotating.function(
            name.replace("/", "-"), "postgres", strategy, package("postgres", strategy, told=telling), handler="told.lambda_handler"
        )
        self.rotate()

    def rotate(self) -> None:
        """One that is not interrupted, so that there is a previous version."""
        version = self.rotating.rotate(self.name, self.function)
        until(lambda: self.rotating.has_rotated(self.name, version), f"a rotation of {self.name}")

    def kill(self) -> None:
        """The server and, without anybody's help, all that runs for it: a function that went on could change the password once more."""
        begun = descendants(self.rotating.node.process_id())
        self.rotating.node.kill()
        until(lambda: not [process for process in begun if is_alive(process)], "the end of the functions of a killed server")

    def some_version_logs_in(self, when: str) -> None:
        """While the server is up: of all that it has stored. The rotation goes on meanwhile, so what it puts an end to is looked at first."""
        sm = self.rotating.client()
        versions = sm.list_secret_version_ids(SecretId=self.name, IncludeDeprecated=True)["Versions"]
        versions.sort(key=lambda version: ("AWSPENDING" in version.get("VersionStages", []), "AWSCURRENT" not in version.get("VersionStages", [])))
        for version in versions:
            try:
                words = self.rotating.version(self.name, version["VersionId"])
            except sm.exceptions.ResourceNotFoundException:
                # Begun, and without a value yet.
                continue
            if self.postgres.logs_in(words["username"], words["password"]):
                return
        pytest.fail(f"no version of {self.name} logs in {when} (COFFER_SEED={SEED}): {versions}")

    def recovers(self, version: str, when: str) -> None:
        begun = time.monotonic()
        self.rotating.start()
        # The function goes on at once, so this may come before it or after it; both times something has to log in.
        self.some_version_logs_in(when)

        def logs_in():
            words = self.rotating.value(self.name)
            return self.postgres.logs_in(words["username"], words["password"])

        what = f"a current version of {self.name} that logs in {when} (COFFER_SEED={SEED}), which rotates so: {self.rotating.shown(self.name)}"
        until(lambda: self.rotating.has_rotated(self.name, version) and logs_in(), what, RECOVERY_SECONDS_MAX - (time.monotonic() - begun))


@pytest.fixture(scope="module", params=STRATEGIES)
def victim(rotating, postgres, request):
    return Victim(rotating, postgres, f"killed/{request.param}", request.param)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_step(victim, postgres, point):
    postgres.execute("DELETE FROM points")
    postgres.execute(f"INSERT INTO held VALUES ('{point}')")
    try:
        version = victim.rotating.rotate(victim.name)
        until(lambda: postgres.execute(f"SELECT 1 FROM points WHERE point = '{point}'"), point)
        victim.some_version_logs_in(f"during {point}")
        assert len(descendants(victim.rotating.node.process_id())) >= 3, "the function and those that attend to it"
        victim.kill()
    finally:
        postgres.execute("DELETE FROM held")
    victim.recovers(version, f"after a kill when {point}")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("first", range(0, RANDOM_KILLS, KILLS_PER_SECRET))
def test_killed_at_any_moment(rotating, postgres, strategy, first):
    victim = Victim(rotating, postgres, f"killed-{first}/{strategy}", strategy)
    chance = random.Random(f"{SEED} {victim.name}")
    for number in range(first, min(first + KILLS_PER_SECRET, RANDOM_KILLS)):
        version = victim.rotating.rotate(victim.name)
        pause = chance.uniform(0, ROTATION_SECONDS)
        time.sleep(pause)
        victim.kill()
        victim.recovers(version, f"after kill {number}, {pause:.3f} s after its begin")

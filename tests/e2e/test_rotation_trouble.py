"""Databases that are down, slow, refuse a password, or take it and hang up: the rotation says so, and some password always works.

The first attempt after a failure comes a minute later; the tests do not wait for it, as an operator would not: `coffer rotation retry`.
"""

import socket
import threading
from contextlib import contextmanager

import pg8000.native
import pytest

from databases import Postgres
from rotators import ADDRESS, STRATEGIES, RotatingNode, skip_without_functions, until


class HangsUp:
    """A way to a database that ends when it has carried a change of a password, before the answer is back."""

    def __init__(self, port: int):
        self.to = port
        self.is_patient = False
        self._listener = socket.create_server((ADDRESS, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # Wakes up whoever waits in `accept`, too.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                inside, _ = self._listener.accept()
            except OSError:
                return
            outside = socket.create_connection((ADDRESS, self.to))
            state = {"is_cut": False}
            threading.Thread(target=self._carry, args=(inside, outside, state, True), daemon=True).start()
            threading.Thread(target=self._carry, args=(outside, inside, state, False), daemon=True).start()

    def _carry(self, start: socket.socket, end: socket.socket, state: dict, is_forth: bool) -> None:
        try:
            while data := start.recv(65536):
                if is_forth and not self.is_patient and b"WITH PASSWORD" in data:
                    state["is_cut"] = True
                if not is_forth and state["is_cut"]:
                    # The database has done it and says so, to nobody.
                    break
                end.sendall(data)
        except OSError:
            pass
        for one in (start, end):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        start.close()


@pytest.fixture(scope="module")
def database(postgres):
    """One that may be stopped without hurting others."""
    made = Postgres()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def way(database):
    made = HangsUp(database.port)
    yield made
    made.close()


@pytest.fixture(scope="module")
def rotating(new_node, new_place, make_client, database, way):
    skip_without_functions(new_place())
    node = RotatingNode(new_node(), make_client, [database], ports=(way.port,))
    yield node
    assert node.node.stop() == 0, node.node.said()
    assert "a defect of Coffer" not in node.node.said() and "fault of Coffer" not in node.node.said(), node.node.said()


@pytest.fixture
def rotation(rotating, database, new_name):
    """Makes a secret and its function: name, what the secret says, ARN."""

    def make(kind: str, strategy: str = "single_user", port: int | None = None, **more):
        name = new_name(kind)
        words = rotating.secret(database, name, name.replace("/", "_"), strategy, **({"port": port} if port else {}))
        return name, words, rotating.function(name.replace("/", "-"), "postgres", strategy, **more)

    return make


def works(rotating, database, name) -> bool:
    words = rotating.value(name)
    return database.logs_in(words["username"], words["password"])


@contextmanager
def watched(rotating):
    """Whoever reads other secrets meanwhile does not notice."""
    sm, name = rotating.client(), "of-somebody-else"
    try:
        sm.create_secret(Name=name, SecretString="theirs")
    except sm.exceptions.ResourceExistsException:
        pass
    seen, is_over = [], threading.Event()

    def read():
        while not is_over.is_set():
            try:
                seen.append(sm.get_secret_value(SecretId=name)["SecretString"])
            except Exception as error:
                seen.append(repr(error))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        is_over.set()
        reader.join()
    assert set(seen) == {"theirs"}, set(seen)


def failure_of(rotating, name: str) -> dict:
    return until(lambda: rotating.shown(name).get("failure"), f"the failure of {name}")


def test_a_database_that_is_down(rotating, database, rotation):
    name, words, function = rotation("down")
    with watched(rotating):
        database.stop()
        try:
            version = rotating.rotate(name, function)
            failure = failure_of(rotating, name)
        finally:
            database.start()
    assert (failure["step"], failure["error_type"]) == ("setSecret", "ValueError")
    assert failure["error_message"].startswith("Unable to log into database with previous, current, or pending secret")
    assert rotating.value(name) == words and works(rotating, database, name)
    rotating.retry(name)
    until(lambda: rotating.has_rotated(name, version), "the rotation once it is up again")
    assert works(rotating, database, name)


def test_a_database_that_takes_too_long(rotating, database, rotation):
    name, words, function = rotation("slow", timeout=3)
    with watched(rotating), pg8000.native.Connection(
        database.admin, host=database.host, port=database.port, database=database.dbname, password=database.admin_password
    ) as busy:
        busy.run("BEGIN")
        # Who logs in may read it; nobody may change it.
        busy.run("LOCK TABLE pg_authid IN EXCLUSIVE MODE")
        version = rotating.rotate(name, function)
        failure = failure_of(rotating, name)
        assert (failure["step"], failure["error_type"]) == ("setSecret", "Sandbox.Timedout")
        assert "Task timed out after 3.00 seconds" in failure["error_message"]
        assert rotating.value(name) == words and works(rotating, database, name)
        busy.run("ROLLBACK")
    # The change may have been waiting in the database; then the new password works, and else the old one.
    pending = rotating.value(name, "AWSPENDING")
    assert works(rotating, database, name) or database.logs_in(pending["username"], pending["password"])
    rotating.retry(name)
    until(lambda: rotating.has_rotated(name, version), "the rotation once it is fast again")
    assert works(rotating, database, name)


def test_a_database_that_refuses_the_new_password(rotating, database, rotation):
    name, words, function = rotation("refused", EXCLUDE_NUMBERS="true", EXCLUDE_PUNCTUATION="true")
    user = words["username"]
    database.execute(f"ALTER ROLE {user} SET session_preload_libraries = 'passwordcheck'")
    with watched(rotating):
        rotating.rotate(name, function)
        failure = failure_of(rotating, name)
    assert (failure["step"], failure["error_type"]) == ("setSecret", "DatabaseError")
    assert "password must contain both letters and nonletters" in failure["error_message"]
    pending = rotating.value(name, "AWSPENDING")
    assert pending["password"] not in str(failure) and not database.logs_in(user, pending["password"])
    assert rotating.value(name) == words and works(rotating, database, name)
    database.execute(f"ALTER ROLE {user} RESET session_preload_libraries")
    rotating.retry(name)
    until(lambda: rotating.value(name) == pending, "the rotation once it is not as strict")
    assert works(rotating, database, name)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_database_that_takes_the_new_password_and_hangs_up(rotating, database, way, rotation, strategy):
    name, words, function = rotation("hangs-up", strategy, port=way.port)
    if strategy == "alternating_users":
        # The administrator goes the same way.
        master = rotating.value(f"{name}-master")
        rotating.put(f"{name}-master", {**master, "port": way.port})
    way.is_patient = True
    version = rotating.rotate(name, function)
    until(lambda: rotating.has_rotated(name, version), "a rotation without trouble")
    words = rotating.value(name)
    way.is_patient = False
    with watched(rotating):
        version = rotating.rotate(name, function)
        failure = failure_of(rotating, name)
    assert failure["step"] == "setSecret" and failure["error_type"] in ("InterfaceError", "ConnectionResetError", "OSError", "error"), failure
    pending = rotating.value(name, "AWSPENDING")
    assert database.logs_in(pending["username"], pending["password"]), "the new one works"
    assert rotating.value(name) == words
    # With one user it is the only one that does, so the next attempt may not make another.
    assert works(rotating, database, name) == (strategy == "alternating_users")
    way.is_patient = True
    rotating.retry(name)
    until(lambda: rotating.has_rotated(name, version), "the rotation once nobody hangs up")
    current = rotating.value(name)
    assert works(rotating, database, name) and current["username"] == pending["username"]
    if strategy == "single_user":
        assert current == pending


def test_a_database_that_nobody_can_log_into_is_repaired_by_hand(rotating, database, rotation):
    """Somebody changed the password behind everybody's back: nothing is deleted, and a value that works put by hand ends it."""
    name, words, function = rotation("strange")
    database.set_password(words["username"], "of-somebody-else-3")
    rotating.rotate(name, function)
    failure = failure_of(rotating, name)
    assert (failure["step"], failure["error_type"]) == ("setSecret", "ValueError")
    assert rotating.value(name) == words
    rotating.put(name, {**words, "password": "of-somebody-else-3"})
    assert works(rotating, database, name)
    version = rotating.rotate(name)
    until(lambda: rotating.has_rotated(name, version), "the rotation after the repair")
    assert works(rotating, database, name)

"""Passwords of real databases, changed by functions that do what AWS's published ones do, behind full walls."""

import json

import pytest

from rotators import ADDRESS, NAME, STRATEGIES, RotatingNode, skip_without_functions, until


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

"""One server for all tests of a kind, a fresh name for each secret, and clients that are watched.

A server lives for the whole run, so a test may not count on an empty store. It takes names from `new_name`, and where it lists it
filters by such a name or takes a region of its own from `new_region`, which is as good as an empty store.
"""

import itertools
import os
import random
import shutil
import tempfile
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.session import Session

from conformance import Watch
from people import Person
from process import Credentials, Node

# Fixtures that are there for every test.
pytest_plugins = ("databases",)

SEED = int(os.environ.get("COFFER_SEED") or random.SystemRandom().getrandbits(48))
# The processes that run tests for this one have the same.
os.environ["COFFER_SEED"] = str(SEED)
REGION = "eu-west-1"


def pytest_report_header():
    return f"seed {SEED} (COFFER_SEED={SEED} repeats the random values)"


@pytest.fixture(scope="session", autouse=True)
def _nothing_of_this_machine():
    """No settings of whoever runs the tests: neither variables nor files."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture(scope="session")
def new_place():
    """Makes directories that are gone after the run. Their paths are short, because a socket's path has to be."""
    root = Path(tempfile.mkdtemp(prefix="coffer-e2e-"))
    numbers = itertools.count(1)

    def make() -> Path:
        place = root / str(next(numbers))
        place.mkdir()
        return place

    yield make
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def new_node(new_place):
    """Nodes that a test starts and stops as it likes; what still runs at the end of the run is killed."""
    nodes = []

    def make() -> Node:
        nodes.append(Node(new_place()))
        return nodes[-1]

    yield make
    for node in nodes:
        node.kill()


@pytest.fixture(scope="session")
def server(new_node):
    """A production server with a fresh store, and the proof at the end that it stops well."""
    node = new_node().start()
    yield node
    assert node.stop() == 0, node.said()
    assert "a defect of Coffer" not in node.said() and "fault of Coffer" not in node.said(), node.said()


@pytest.fixture(scope="session")
def dev(new_node):
    node = new_node().start("dev", "--listen", "127.0.0.1:0")
    yield node
    assert node.stop() == 0, node.said()
    assert "a defect of Coffer" not in node.said() and "fault of Coffer" not in node.said(), node.said()


@pytest.fixture(scope="session")
def watch():
    return Watch()


@pytest.fixture(autouse=True)
def _answers_conform(watch):
    """Every test is also a test of all answers that it saw."""
    watch.complaints.clear()
    yield
    assert watch.complaints == []


@pytest.fixture(scope="session")
def make_client(watch):
    """Clients of any node. One attempt, because a second one would hide what the first one got."""
    session = boto3.Session(botocore_session=Session())

    def make(node, credentials, service="secretsmanager", region=REGION, token=None, verify=None, **config):
        config = Config(retries={"total_max_attempts": 1}, **config)
        client = session.client(
            service,
            region_name=region,
            endpoint_url=node.endpoint,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=token,
            verify=verify,
            config=config,
        )
        watch.attach(client)
        return client

    return make


@pytest.fixture(scope="session")
def client_of(make_client, server):
    """Clients of the production server, as its administrator."""
    credentials = server.credentials()
    return lambda *words, **more: make_client(server, credentials, *words, **more)


@pytest.fixture(scope="session")
def sm(client_of):
    return client_of()


@pytest.fixture(scope="session")
def unchecked(client_of):
    """A client that sends what it is given, so that the server has to judge it."""
    return client_of(parameter_validation=False)


@pytest.fixture(scope="session")
def dev_client_of(make_client, dev):
    return lambda key_id="test", *words, **more: make_client(dev, Credentials(key_id, "test"), *words, **more)


@pytest.fixture(scope="session")
def chance():
    return random.Random(SEED)


@pytest.fixture(scope="session")
def new_name():
    numbers = itertools.count(1)
    return lambda prefix="test": f"{prefix}/{next(numbers)}"


@pytest.fixture(scope="session")
def new_region():
    """A region that nobody else uses."""
    numbers = itertools.count(1)
    return lambda: f"eu-test-{next(numbers)}"


@pytest.fixture(scope="session")
def new_person(make_client, server, client_of):
    """Users of the production server, with a key and no policies; words are their tags, and `name` is a name."""
    numbers = itertools.count(1)

    def make(name=None, path="/", boundary=None, **tags) -> Person:
        name = name or f"person-{next(numbers)}"
        return Person(client_of("iam"), lambda *words, **more: make_client(server, *words, **more), name, tags, path, boundary)

    return make


@pytest.fixture
def secret(sm, new_name):
    """A secret with one version: the answer of CreateSecret."""
    return sm.create_secret(Name=new_name(), SecretString="one")

"""The life of a production server as its operator sees it: files, a second start, a second process, health."""

import json
import stat

import pytest

from expect import labels, refused
from process import http, run

CANARY = "canary-6f1d0e4b9a"


@pytest.fixture
def node(new_node):
    node = new_node().start()
    yield node
    node.kill()


def test_a_store_survives_a_restart(node, make_client):
    client = make_client(node, node.credentials())
    client.create_secret(Name="db/password", SecretString="one", Tags=[{"Key": "k", "Value": "v"}])
    client.put_secret_value(SecretId="db/password", SecretString="two")
    client.create_secret(Name="going", SecretString="x")
    client.delete_secret(SecretId="going")
    token = client.list_secrets(MaxResults=1, IncludePlannedDeletion=True)["NextToken"]
    before = client.describe_secret(SecretId="db/password"), labels(client, "db/password")
    credentials = node.credentials()

    assert node.stop() == 0, node.said()
    node.start()
    assert node.credentials() == credentials, "there is one administrator, made once"
    client = make_client(node, credentials)
    after = client.describe_secret(SecretId="db/password"), labels(client, "db/password")
    for answer in (before[0], after[0]):
        del answer["ResponseMetadata"]
    assert after == before
    assert client.get_secret_value(SecretId="db/password")["SecretString"] == "two"
    assert client.get_secret_value(SecretId="db/password", VersionStage="AWSPREVIOUS")["SecretString"] == "one"
    page = client.list_secrets(MaxResults=1, IncludePlannedDeletion=True, NextToken=token)
    assert [entry["Name"] for entry in page["SecretList"]] == ["going"], "a page token outlives the process"
    assert client.restore_secret(SecretId="going")["Name"] == "going"


def test_files_are_private_and_tell_nothing(node, make_client):
    client = make_client(node, node.credentials())
    names = {"name": f"{CANARY}/name", "value": f"{CANARY}-value", "tag": f"{CANARY}-tag", "text": f"{CANARY} text"}
    client.create_secret(
        Name=names["name"],
        SecretString=names["value"],
        Description=names["text"],
        Tags=[{"Key": names["tag"], "Value": names["tag"]}],
    )
    with refused("ResourceExistsException", CANARY):
        client.create_secret(Name=names["name"], SecretString=names["value"] + "2")
    assert node.stop() == 0
    files = [path for path in node.place.rglob("*") if path.is_file()]
    assert {"store.db", "keyring", "credentials"} <= {path.name for path in files}
    for path in files:
        assert CANARY.encode() not in path.read_bytes(), path
    # What functions run from is read by them; nobody else gets that far, because the directory around it is private.
    functions = node.data_dir / "functions"
    for path in (node.data_dir, *node.data_dir.rglob("*"), node.keyfile):
        if functions in path.parents:
            continue
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_store_has_one_server(node, make_client):
    second = run(*node.server_words(), home=node.home)
    assert second.returncode == 1
    assert "is in use" in second.stderr
    client = make_client(node, node.credentials())
    assert client.create_secret(Name="still/served", SecretString="v")["Name"] == "still/served"


def test_health_and_metrics_need_no_key(node):
    for page, expected in (("live", {"status": "live"}), ("ready", {"status": "ready"})):
        status, headers, body = http("GET", f"{node.endpoint}/health/{page}")
        assert (status, json.loads(body)) == (200, expected)
    status, headers, body = http("GET", f"{node.endpoint}/metrics")
    assert status == 200 and body.endswith(b"# EOF\n")


def test_a_sealed_store_answers_nobody(node, make_client):
    client = make_client(node, node.credentials())
    client.create_secret(Name="kept", SecretString="v")
    place = ("--data-dir", str(node.data_dir), "--keyfile", str(node.keyfile))
    sealed = run("seal", *place, home=node.home)
    assert sealed.returncode == 0, sealed.stderr
    with refused("ServiceUnavailable"):
        client.get_secret_value(SecretId="kept")
    status, _, body = http("GET", f"{node.endpoint}/health/ready")
    assert status == 503 and b"sealed" in body
    unsealed = run("unseal", *place, home=node.home)
    assert unsealed.returncode == 0, unsealed.stderr
    assert client.get_secret_value(SecretId="kept")["SecretString"] == "v"
    assert http("GET", f"{node.endpoint}/health/ready")[0] == 200


def test_without_its_key_a_store_stays_closed(node, make_client):
    make_client(node, node.credentials()).create_secret(Name="kept", SecretString="v")
    assert node.stop() == 0
    aside = node.keyfile.with_name("aside")
    node.keyfile.rename(aside)
    refusal = run(*node.server_words(), home=node.home)
    assert refusal.returncode == 1
    assert f"the keyfile {node.keyfile} is missing" in refusal.stderr
    assert not node.keyfile.exists(), "a new key would open nothing"
    aside.rename(node.keyfile)
    node.start()
    assert make_client(node, node.credentials()).get_secret_value(SecretId="kept")["SecretString"] == "v"

"""A store that a KMS opens: another Coffer here, which answers or does not, and decides each time."""

import json
import subprocess
import time

import pytest
from botocore.exceptions import ClientError

from process import Node, binary, environment, http

PATIENCE_SECONDS = 60
# Longer than a server waits before it asks again for the first time, and than its next question.
ASKED_AGAIN_SECONDS = 4


class At:
    """A store, and the KMS that its configuration names."""

    def __init__(self, kms: Node, node: Node, key: str):
        self.kms, self.node, self.key = kms, node, key
        self.config = node.place / "coffer.toml"
        self.write(kms.data_dir / "bootstrap" / "credentials")

    def write(self, credentials) -> None:
        section = {"endpoint": self.kms.endpoint, "key": self.key, "credentials": str(credentials)}
        lines = [f"{name} = {json.dumps(value)}" for name, value in section.items()]
        self.config.write_text("\n".join(["[seal.kms]", *lines, ""]))

    def run(self, *words: str) -> subprocess.CompletedProcess:
        place = ["--config", self.config, "--data-dir", self.node.data_dir, "--keyfile", self.node.keyfile]
        command = [binary(), *words, *place]
        return subprocess.run(
            command, env=environment(self.node.home), capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )

    def done(self, *words: str) -> str:
        ended = self.run(*words)
        assert ended.returncode == 0, (words, ended.stderr)
        return ended.stdout

    def refused(self, *words: str) -> str:
        ended = self.run(*words)
        assert ended.returncode == 1, (words, ended.stdout)
        return ended.stderr

    def start(self) -> str:
        self.node.start(*self.node.server_words(), "--config", str(self.config))
        return self.node.output.read_text()

    def restart(self) -> str:
        assert self.node.stop() == 0, self.node.said()
        return self.start()

    def is_open(self) -> bool:
        return http("GET", f"{self.node.endpoint}/health/ready")[0] == 200

    def wait_open(self) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.is_open():
            assert time.monotonic() < end, self.node.said()
            time.sleep(0.1)

    def stop_kms(self) -> None:
        assert self.kms.stop() == 0, self.kms.said()

    def start_kms(self) -> None:
        listen = self.kms.endpoint.removeprefix("http://")
        self.kms.start(*self.kms.server_words()[:-1], listen)


@pytest.fixture(scope="module")
def kms(new_node):
    node = new_node().start()
    yield node
    assert node.stop() == 0, node.said()


@pytest.fixture(scope="module")
def at(kms, new_node, make_client):
    """A store whose one slot but recovery shares is at the KMS."""
    key = make_client(kms, kms.credentials(), "kms").create_key()["KeyMetadata"]["Arn"]
    at = At(kms, new_node(), key)
    at.start()
    make_client(at.node, at.node.credentials()).create_secret(Name="db/password", SecretString="hunter2")
    at.done("key", "shares", "create", "--shares", "2/3", "--out", str(at.node.place / "shares"))
    said = at.done("key", "kms", "create")
    assert "The kms slot" in said
    at.node.keyfile.unlink()
    (keyfile,) = [line.split()[0] for line in at.done("key", "slot", "list").splitlines() if "keyfile" in line]
    # With the key that the KMS gives: there is no other on this machine any more.
    at.done("key", "slot", "remove", keyfile)
    yield at
    assert at.node.stop() == 0, at.node.said()


def shares(at) -> list[str]:
    return [word for number in (1, 3) for word in ("--share", str(at.node.place / "shares" / f"share-{number}"))]


def test_a_restart_is_opened_by_the_kms(at, make_client):
    assert "Coffer is ready" in at.restart()
    client = make_client(at.node, at.node.credentials())
    assert client.get_secret_value(SecretId="db/password")["SecretString"] == "hunter2"
    listed = json.loads(at.done("key", "slot", "list", "--json"))
    (slot,) = [slot for slot in listed if slot["kind"] == "kms"]
    assert (slot["kms_key_id"], slot["endpoint"]) == (at.key, at.kms.endpoint)
    assert at.key in at.done("key", "slot", "list")
    assert at.done("audit", "search", "--event-name", "CreateKmsSlot").count("CreateKmsSlot") == 1
    assert [line for line in at.done("doctor").splitlines() if at.kms.endpoint in line and "kms" in line]


def test_what_was_encrypted_for_one_slot_is_decrypted_for_no_other(at, make_client):
    """The open part of the slot, as a thief of a keyring and of the right to decrypt would use it."""
    keyring = (at.node.data_dir / "keyring").read_bytes()
    behind = keyring.index(at.key.encode()) + len(at.key)
    length = int.from_bytes(keyring[behind : behind + 4])
    ciphertext = keyring[behind + 4 : behind + 4 + length]
    short = next(slot["slot"] for slot in json.loads(at.done("key", "slot", "list", "--json")) if slot["kind"] == "kms")
    where = keyring.index(bytes.fromhex(short))
    right = {"store": keyring[6:22].hex(), "slot": keyring[where : where + 16].hex()}
    client = make_client(at.kms, at.kms.credentials(), "kms")
    assert len(client.decrypt(CiphertextBlob=ciphertext, EncryptionContext=right)["Plaintext"]) == 32
    for wrong in ({**right, "store": "00" * 16}, {**right, "slot": "00" * 16}, {}):
        with pytest.raises(ClientError, match="InvalidCiphertextException"):
            client.decrypt(CiphertextBlob=ciphertext, EncryptionContext=wrong)


def test_while_the_kms_is_away_the_store_is_sealed_and_opens_by_itself_when_it_comes(at):
    at.stop_kms()
    said = at.restart()
    assert "Coffer is sealed" in said and f"the KMS at {at.kms.endpoint} does not open the store" in said, said
    assert not at.is_open()
    at.start_kms()
    at.wait_open()


def test_who_opens_or_seals_it_meanwhile_decides(at):
    at.stop_kms()
    at.restart()
    at.done("unseal", *shares(at))
    assert at.is_open()
    at.done("seal")
    at.start_kms()
    time.sleep(ASKED_AGAIN_SECONDS)
    assert not at.is_open(), "sealed by hand, and opened by nobody"
    assert "The store is open" in at.done("unseal")
    at.stop_kms()
    at.restart()
    at.done("seal")
    at.start_kms()
    time.sleep(ASKED_AGAIN_SECONDS)
    assert not at.is_open(), "sealed by hand while it waited"
    at.done("unseal")


def test_a_disabled_key_keeps_it_sealed_and_is_named(at, make_client):
    client = make_client(at.kms, at.kms.credentials(), "kms")
    client.disable_key(KeyId=at.key)
    said = at.restart()
    assert "Coffer is sealed" in said and "DisabledException" in said, said
    finding = at.run("doctor").stdout
    assert "DisabledException" in finding and f"enable the KMS key {at.key}" in finding, finding
    assert "DisabledException" in at.refused("unseal")
    client.enable_key(KeyId=at.key)
    at.wait_open()


def test_another_root_key_is_wrapped_there_too(at):
    at.stop_kms()
    refused = at.refused("key", "rekey-root", *shares(at))
    assert "the root key is not changed" in refused and at.kms.endpoint in refused, refused
    at.start_kms()
    assert "wrapped in all 2 seal slots" in at.done("key", "rekey-root", *shares(at))
    assert "Coffer is ready" in at.restart()


def test_an_access_key_that_may_not_decrypt_makes_no_slot(at, make_client):
    iam = make_client(at.kms, at.kms.credentials(), "iam")
    iam.create_user(UserName="half")
    statement = {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": at.key}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="half", PolicyName="encrypt", PolicyDocument=policy)
    key = iam.create_access_key(UserName="half")["AccessKey"]
    half = at.node.place / "half"
    half.touch(mode=0o600)
    lines = ["[default]", f"aws_access_key_id = {key['AccessKeyId']}", f"aws_secret_access_key = {key['SecretAccessKey']}"]
    half.write_text("\n".join([*lines, ""]))
    before = at.done("key", "slot", "list")
    at.write(half)
    assert "Coffer is sealed" in at.restart()
    at.done("unseal", *shares(at))
    refused = at.refused("key", "kms", "create", *shares(at))
    assert "AccessDeniedException" in refused and "call kms:Decrypt" in refused, refused
    half.chmod(0o644)
    assert "open to others" in at.refused("key", "kms", "create", *shares(at))
    at.write(at.kms.data_dir / "bootstrap" / "credentials")
    assert at.done("key", "slot", "list") == before
    assert "Coffer is ready" in at.restart()


def test_a_store_may_have_no_other_key_from_the_beginning(at, new_node):
    fresh = At(at.kms, new_node(), at.key)
    assert "is set up" in fresh.done("init", "--kms")
    assert not fresh.node.keyfile.exists()
    assert [line.split()[1] for line in fresh.done("key", "slot", "list").splitlines()] == ["kms"]
    assert "Coffer is ready" in fresh.start()
    (slot,) = [line.split()[0] for line in fresh.done("key", "slot", "list").splitlines()]
    assert "it is the last one" in fresh.refused("key", "slot", "remove", slot)
    assert fresh.node.stop() == 0, fresh.node.said()
    # Without a server, and without its KMS.
    assert "problems        0" in fresh.done("verify")
    fresh.config.write_text("")
    assert "the configuration has no KMS" in fresh.refused("verify")
    assert "[seal.kms]" in fresh.refused("server", "--listen", "127.0.0.1:0")

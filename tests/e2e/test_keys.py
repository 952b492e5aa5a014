"""The keys under everything are changed while clients use the store, and no client notices."""

import json
import os
import subprocess
import threading
import time

import pytest

from process import Credentials, binary, environment

SECRETS, CLIENTS, ROTATIONS = 40, 4, 3
PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def node(new_node):
    node = new_node().start()
    yield node
    assert node.stop() == 0, node.said()


def coffer(node, *words: str, given: str = "") -> str:
    command = [binary(), *words, "--data-dir", str(node.data_dir), "--keyfile", str(node.keyfile)]
    ended = subprocess.run(command, env=environment(node.home), input=given, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, (words, ended.stderr)
    return ended.stdout


def status(node) -> dict:
    return json.loads(coffer(node, "key", "status", "--json"))


def wait_for_sweep(node) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while status(node)["older_epochs"]:
        assert time.monotonic() < end, status(node)
        time.sleep(0.2)


def test_nobody_notices_another_epoch_or_another_root_key(node, make_client):
    clients = [make_client(node, node.credentials()) for _ in range(CLIENTS)]
    names = [f"keys/{number}" for number in range(SECRETS)]
    for name in names:
        clients[0].create_secret(Name=name, SecretString="0")
    over, faults, calls = threading.Event(), [], [0] * CLIENTS

    def use(number: int) -> None:
        client, mine = clients[number], names[number::CLIENTS]
        values = dict.fromkeys(mine, "0")
        try:
            while not over.is_set():
                for name in mine:
                    assert client.get_secret_value(SecretId=name)["SecretString"] == values[name]
                    values[name] = str(int(values[name]) + 1)
                    client.put_secret_value(SecretId=name, SecretString=values[name])
                    calls[number] += 2
        except Exception as fault:
            faults.append(fault)

    users = [threading.Thread(target=use, args=(number,)) for number in range(CLIENTS)]
    for user in users:
        user.start()
    for _ in range(ROTATIONS):
        coffer(node, "key", "rotate-epoch")
        coffer(node, "key", "rekey-root")
        wait_for_sweep(node)
    over.set()
    for user in users:
        user.join()
    assert not faults and all(calls), faults
    assert status(node)["active_epoch"] == ROTATIONS + 1
    # Every client has its credentials from before, and so has a process that remembers nothing.
    values = {name: clients[0].get_secret_value(SecretId=name)["SecretString"] for name in names}
    assert node.stop() == 0, node.said()
    assert "problems        0" in coffer(node, "verify")
    node.start()
    again = make_client(node, node.credentials())
    assert {name: again.get_secret_value(SecretId=name)["SecretString"] for name in names} == values


def test_a_page_token_and_a_session_outlive_an_epoch(node, make_client):
    client = make_client(node, node.credentials())
    first = client.list_secrets(MaxResults=1)
    session = make_client(node, node.credentials(), "sts").get_session_token()["Credentials"]
    coffer(node, "key", "rotate-epoch")
    wait_for_sweep(node)
    assert client.list_secrets(MaxResults=1, NextToken=first["NextToken"])["SecretList"] != first["SecretList"]
    given = Credentials(session["AccessKeyId"], session["SecretAccessKey"])
    later = make_client(node, given, token=session["SessionToken"])
    assert later.list_secrets(MaxResults=1)["SecretList"] == first["SecretList"]
    events = coffer(node, "audit", "search")
    assert events.count("EpochKeysDestroyed ") == events.count("RotateEpoch ") == ROTATIONS + 1


def test_passphrase_and_shares_are_both_wrapped_around_another_root_key(new_node):
    node = new_node().start()
    phrase = node.place / "phrase"
    phrase.write_text("correct horse battery staple\n")
    phrase.chmod(0o600)
    out = node.place / "shares"
    coffer(node, "key", "passphrase", "create", "--new-passphrase-file", str(phrase))
    coffer(node, "key", "shares", "create", "--shares", "2/3", "--out", str(out))
    shares = [word for number in (1, 2) for word in ("--share", str(out / f"share-{number}"))]
    passphrase = ["--passphrase-file", str(phrase)]
    command = [binary(), "key", "rekey-root", *passphrase, "--data-dir", str(node.data_dir), "--keyfile", str(node.keyfile)]
    refused = subprocess.run(command, env=environment(node.home), capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1 and "no key was given for recovery" in refused.stderr, refused.stderr
    assert "all 3 seal slots" in coffer(node, "key", "rekey-root", *shares, *passphrase)
    for key in ([], shares, passphrase):
        coffer(node, "seal")
        coffer(node, "unseal", *key)
    assert node.stop() == 0, node.said()
    assert "all 3 seal slots" in coffer(node, "key", "rekey-root", *shares, *passphrase)
    assert "problems        0" in coffer(node, "verify", *shares)


def test_a_keyring_from_before_an_epoch_is_refused_and_the_right_one_stays(new_node):
    node = new_node().start()
    keyring = node.data_dir / "keyring"
    before = keyring.read_bytes()
    coffer(node, "key", "rotate-epoch")
    assert node.stop() == 0, node.said()
    after = keyring.read_bytes()
    keyring.write_bytes(before)
    place = ["--data-dir", str(node.data_dir), "--keyfile", str(node.keyfile)]
    for words in (["server", "--listen", "127.0.0.1:0"], ["key", "rotate-epoch"], ["verify"]):
        refused = subprocess.run([binary(), *words, *place], env=environment(node.home), capture_output=True, text=True, timeout=60)
        assert refused.returncode == 1 and "is older than the store" in refused.stderr, (words, refused.stderr)
        assert "keyring.previous" in refused.stderr, refused.stderr
    previous = node.data_dir / "keyring.previous"
    assert previous.read_bytes() == after, "the advice is good"
    previous.rename(keyring)
    node.start()
    wait_for_sweep(node)
    assert node.stop() == 0, node.said()


def test_each_kind_of_slot_opens_the_store(node, make_client):
    place = node.home
    passphrase = place / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    passphrase.chmod(0o600)
    coffer(node, "key", "passphrase", "create", "--new-passphrase-file", str(passphrase))
    credential = place / "credential"
    coffer(node, "key", "credential", "create", "--out", str(credential))
    assert os.stat(credential).st_mode & 0o077 == 0
    kinds = [line.split()[1] for line in coffer(node, "key", "slot", "list").splitlines()]
    assert kinds == ["keyfile", "passphrase", "systemd"]
    coffer(node, "seal")
    coffer(node, "unseal", "--passphrase-file", str(passphrase))
    assert make_client(node, node.credentials()).list_secrets(MaxResults=1)["SecretList"]
    # The systemd slot's key is not the server's, so another root key needs that slot gone.
    command = [binary(), "key", "rekey-root", "--passphrase-file", str(passphrase), "--data-dir", str(node.data_dir), "--keyfile", str(node.keyfile)]
    refused = subprocess.run(command, env=environment(place), capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0 and "no key was given for systemd" in refused.stderr
    (slot,) = [line.split()[0] for line in coffer(node, "key", "slot", "list").splitlines() if "systemd" in line]
    coffer(node, "key", "slot", "remove", slot)
    coffer(node, "key", "rekey-root", "--passphrase-file", str(passphrase))
    for key in ([], ["--passphrase-file", str(passphrase)]):
        coffer(node, "seal")
        coffer(node, "unseal", *key)

"""A store that a PKCS#11 token opens: SoftHSM, which is one in software."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from process import Node, binary, environment

PIN = "271828"
PATIENCE_SECONDS = 60
PLACES = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"]
MODULE = next((place for place in PLACES if Path(place).is_file()), None)

pytestmark = pytest.mark.skipif(
    MODULE is None or shutil.which("softhsm2-util") is None, reason="SoftHSM is not installed"
)


class Token:
    """Tokens of a directory of their own, and a store whose configuration names one of them."""

    def __init__(self, node: Node):
        self.node = node
        self.tokens = node.place / "tokens"
        self.tokens.mkdir()
        settings = node.place / "softhsm2.conf"
        settings.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.environment = {**environment(node.home), "SOFTHSM2_CONF": str(settings)}
        self.pin = node.place / "pin"
        self.write_pin(PIN)
        self.config = node.place / "coffer.toml"
        self.write()
        self.make("coffer")

    def make(self, label: str) -> None:
        words = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "314159"]
        subprocess.run(words, env=self.environment, check=True, capture_output=True)

    def write_pin(self, pin: str) -> None:
        self.pin.touch(mode=0o600)
        self.pin.write_text(pin + "\n")

    def write(self, token: str = "coffer", key: str = "seal", module: str | None = MODULE) -> None:
        section = {"module": module, "token": token, "key": key, "pin": str(self.pin)}
        lines = [f"{name} = {json.dumps(value)}" for name, value in section.items()]
        self.config.write_text("\n".join(["[seal.pkcs11]", *lines, ""]))

    def run(self, *words: str) -> subprocess.CompletedProcess:
        place = ["--config", self.config, "--data-dir", self.node.data_dir, "--keyfile", self.node.keyfile]
        command = [binary(), *words, *place]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)

    def done(self, *words: str) -> str:
        ended = self.run(*words)
        assert ended.returncode == 0, (words, ended.stderr)
        return ended.stdout

    def refused(self, *words: str) -> str:
        ended = self.run(*words)
        assert ended.returncode == 1, (words, ended.stdout)
        return ended.stderr


@pytest.fixture(scope="module")
def token(new_node):
    """A store with a slot on the token, shares, and no keyfile. It is changed by commands, as no server runs."""
    token = Token(new_node())
    token.node.start()
    assert token.node.stop() == 0, token.node.said()
    assert "has no key seal" in token.refused("key", "pkcs11", "create")
    assert "The pkcs11 slot" in token.done("key", "pkcs11", "create", "--generate")
    assert "has a key seal already" in token.refused("key", "pkcs11", "create", "--generate")
    token.done("key", "shares", "create", "--shares", "2/3", "--out", str(token.node.place / "shares"))
    token.node.keyfile.unlink()
    (keyfile,) = [line.split()[0] for line in token.done("key", "slot", "list").splitlines() if "keyfile" in line]
    token.done("key", "slot", "remove", keyfile)
    return token


def shares(token) -> list[str]:
    return [word for number in (1, 2) for word in ("--share", str(token.node.place / "shares" / f"share-{number}"))]


def start(token) -> str:
    """A start with the settings of the token's library, and what it said."""
    node = token.node
    node.start_with(token.environment, *node.server_words(), "--config", str(token.config))
    said = node.output.read_text()
    assert node.stop() == 0, node.said()
    return said


def test_a_start_is_opened_by_the_token(token):
    assert "Coffer is ready" in start(token)
    assert "problems        0" in token.done("verify")
    (slot,) = [slot for slot in json.loads(token.done("key", "slot", "list", "--json")) if slot["kind"] == "pkcs11"]
    assert (slot["token"], slot["key"]) == ("coffer", "seal") and slot["serial"]
    assert "all 2 seal slots" in token.done("key", "rekey-root", *shares(token))
    assert "Coffer is ready" in start(token)


def test_a_wrong_pin_is_named_and_the_store_stays_sealed(token):
    token.write_pin("000000")
    said = start(token)
    assert "Coffer is sealed" in said and "the token coffer refuses the PIN" in said and "000000" not in said, said
    assert "the token coffer refuses the PIN" in token.refused("verify")
    token.write_pin(PIN)
    token.pin.chmod(0o640)
    assert "open to others" in token.refused("verify")
    token.pin.chmod(0o600)
    assert "Coffer is ready" in start(token)


def test_a_token_that_is_not_there_is_named_and_one_of_the_same_name_needs_the_same_key(token):
    away = token.node.place / "away"
    token.tokens.rename(away)
    token.tokens.mkdir()
    said = start(token)
    assert "Coffer is sealed" in said and "the token coffer (serial" in said and "is not there" in said, said
    token.make("coffer")
    assert "has no key seal" in token.refused("verify"), "a token of the same name may have a copy of the key"
    shutil.rmtree(token.tokens)
    away.rename(token.tokens)
    assert "Coffer is ready" in start(token)


def test_a_key_that_is_gone_is_named(token):
    token.write(module="/nowhere/libtoken.so")
    assert "the PKCS#11 module /nowhere/libtoken.so cannot be used" in token.refused("verify")
    token.write()
    objects = [path for path in token.tokens.rglob("*.object") if path.name != "token.object"]
    assert objects
    kept = {path: path.read_bytes() for path in objects}
    for path in objects:
        path.unlink()
    assert "the token coffer has no key seal" in token.refused("verify")
    for path, content in kept.items():
        path.write_bytes(content)
        path.chmod(0o600)
    assert "Coffer is ready" in start(token)


def test_without_its_section_the_configuration_is_told_what_is_needed(token):
    token.config.write_text("")
    assert "[seal.pkcs11]" in token.refused("verify")
    token.write()

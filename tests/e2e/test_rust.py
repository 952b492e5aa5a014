"""The SDK for Rust: a program built on it plays a life of secrets, and each of its stories is a test here.

`./check` builds the program; its own lock file says from what.
"""

import os
import subprocess
from pathlib import Path

import pytest

from process import environment

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = Path("tests/e2e/rust/Cargo.toml")
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "rust-sdk"
PROGRAM = TARGET / "debug" / "coffer-e2e-rust"

if not PROGRAM.is_file():
    how = f"cargo build --manifest-path {MANIFEST} --target-dir {TARGET}"
    pytest.skip(f"The SDK for Rust is not tested: it is not built (./check does it, or: {how})", allow_module_level=True)


def run(*words, **variables):
    return subprocess.run(
        [PROGRAM, *words],
        env=variables or None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


NAMES = run("--list").stdout.splitlines()


@pytest.fixture(scope="module")
def surroundings(server, new_place):
    """What a program of somebody who uses the SDK would find in its environment."""
    credentials = server.credentials()
    return {
        **environment(new_place()),
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
    }


@pytest.fixture
def play(surroundings, new_name, new_region):
    regions = {"AWS_REGION": new_region(), "REPLICA_REGION": new_region()}
    return lambda *names, **more: run(*names, **{**surroundings, **regions, "PREFIX": new_name("rust"), **more})


@pytest.mark.parametrize("name", NAMES)
def test_in_rust(play, name):
    played = play(name)
    assert played.returncode == 0, played.stdout


def test_the_program_has_its_stories():
    assert len(NAMES) == len(set(NAMES)) >= 18


def test_a_story_can_fail_and_says_at_which_step(play):
    failed = play(NAMES[0], AWS_SECRET_ACCESS_KEY="of somebody else")
    assert failed.returncode != 0
    steps = [line.strip() for line in failed.stdout.splitlines() if line.startswith("  ")]
    assert steps[0] == "create" and "InvalidSignatureException" in failed.stdout, failed.stdout


def test_a_story_that_is_not_there_is_no_success(play):
    assert play("a story that nobody wrote").returncode != 0

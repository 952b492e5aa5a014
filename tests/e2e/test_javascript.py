"""The SDK for JavaScript, run by Node's own test runner: each of its tests is one here.

`./check` installs the SDK beside the tests, in the versions of package-lock.json.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from process import environment

HERE = Path(__file__).resolve().parent / "javascript"
SOURCE = HERE / "life.test.js"
NAMES = re.findall(r'^test\("(.+?)"', SOURCE.read_text(), re.MULTILINE)
# A line of TAP, at whatever depth.
RESULT = re.compile(r"^\s*(ok|not ok) \d+ - (.+)$", re.MULTILINE)
VERSION_MIN = 20


def missing() -> str:
    node = shutil.which("node")
    if node is None:
        return "there is no node on the path"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < VERSION_MIN:
        return f"node is {version}, and {VERSION_MIN} is needed"
    if not (HERE / "node_modules" / "@aws-sdk").is_dir():
        return f"the SDK is not installed (./check does it, or: npm ci --prefix {HERE.name})"
    return ""


if MISSING := missing():
    pytest.skip(f"The SDK for JavaScript is not tested: {MISSING}", allow_module_level=True)


@pytest.fixture(scope="module")
def outcome(server, new_place):
    """What Node printed, and which test ended how."""
    credentials = server.credentials()
    home = new_place()
    ran = subprocess.run(
        ["node", "--test", "--test-reporter=tap", SOURCE.name],
        cwd=HERE,
        env={
            **environment(home),
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "PREFIX": "javascript",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    printed = ran.stdout + ran.stderr
    return printed, {name: result == "ok" for result, name in RESULT.findall(printed)}, ran.returncode


@pytest.mark.parametrize("name", NAMES)
def test_in_javascript(outcome, name):
    printed, results, _ = outcome
    assert results.get(name), printed


def test_all_of_it_was_run(outcome):
    printed, results, status = outcome
    assert len(NAMES) >= 10 and set(NAMES) <= results.keys()
    assert status == 0, printed

"""The AWS CLI, as people type it: the tour of the README, and a few things that scripts do."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import tour
from process import binary, environment, run

HERE = Path(__file__).resolve().parent
README = tour.read_page(HERE.parents[1] / "README.md", "A two-minute tour")
STEPS = README + tour.read_script(HERE / "tour.sh")
AWS = Path(sys.executable).with_name("aws")


def install_profile(node, *words):
    return run("profile", "install", "--data-dir", str(node.data_dir), *words, home=node.home)


@pytest.fixture(scope="module")
def outcomes(new_node):
    """What came of the steps, run like a newcomer would: in a directory with target/release/coffer, one after the other."""
    node = new_node().start()
    program = node.place / "target" / "release" / "coffer"
    program.parent.mkdir(parents=True)
    # A newcomer's server has the default places and needs no flag.
    program.write_text(f'#!/bin/sh\nexec "{binary()}" "$@" --data-dir "{node.data_dir}"\n')
    program.chmod(0o755)
    path = f"{AWS.parent}{os.pathsep}{os.environ['PATH']}"
    yield tour.run(STEPS, node.place, {**environment(node.home), "PATH": path, "AWS_PAGER": ""})
    assert node.stop() == 0


@pytest.mark.parametrize("number", range(len(STEPS)), ids=lambda number: f"{number}: {STEPS[number]}")
def test_the_tour(outcomes, number):
    step, outcome = STEPS[number], outcomes[number]
    if step.complains:
        assert outcome.status != 0, outcome
        assert tour.matches(step.complains, outcome.complained), outcome.complained
        return
    assert (outcome.status, outcome.complained.strip()) == (0, "")
    if step.prints:
        assert tour.matches(step.prints, outcome.printed), outcome.printed


def test_the_readme_was_read():
    commands = [str(step) for step in README]
    assert sum(command.startswith("aws secretsmanager ") for command in commands) >= 5
    assert sum("profile install" in command for command in commands) == 1
    assert sum(bool(step.prints or step.complains) for step in README) >= 5


@pytest.mark.parametrize(
    ("expected", "found", "is_match"),
    [
        (["a", "b"], "a\nb\n", True),
        (["a [..] c"], "a b c", True),
        (["a [..] c"], "a b\nb c", False),
        (["a"], "a\nb", False),
        (["a.c"], "abc", False),
        (["a"], "", False),
    ],
)
def test_the_comparison_of_the_tour_can_fail(expected, found, is_match):
    assert tour.matches(expected, found) == is_match


@pytest.fixture(scope="module")
def aws(server):
    """Runs the AWS CLI with the profile of the server."""
    installed = install_profile(server)
    assert installed.returncode == 0, installed.stderr

    def call(*words, **more):
        command = [AWS, "--profile", "coffer", *words]
        env = {**environment(server.home), "AWS_PAGER": ""}
        return subprocess.run(command, env=env, capture_output=True, timeout=60, **more)

    return call


def test_a_profile_leaves_other_profiles_alone(new_node):
    node = new_node().start()
    place = node.home / ".aws"
    place.mkdir()
    mine = "[profile mine]\nregion = eu-north-1\n# a note\n"
    (place / "config").write_text(mine)
    for name in ("coffer", "coffer", "second"):
        installed = install_profile(node, "--name", name)
        assert installed.returncode == 0, installed.stderr
        assert node.credentials().secret_access_key not in installed.stdout + installed.stderr
    config, keys = (place / "config").read_text(), (place / "credentials").read_text()
    assert mine.strip() in config
    assert config.count("[profile coffer]") == 1 and config.count("[profile second]") == 1
    assert f"endpoint_url = {node.endpoint}\n" in config
    assert keys.count(node.credentials().secret_access_key) == 2
    assert stat.S_IMODE((place / "credentials").stat().st_mode) == 0o600
    assert node.stop() == 0


def test_files_go_in_and_come_out(aws, new_name, tmp_path, chance):
    name, content = new_name("cli"), chance.randbytes(1000)
    (tmp_path / "key.bin").write_bytes(content)
    created = aws("secretsmanager", "create-secret", "--name", name, "--secret-binary", f"fileb://{tmp_path}/key.bin")
    assert created.returncode == 0, created.stderr
    got = aws("secretsmanager", "get-secret-value", "--secret-id", name, "--query", "SecretBinary", "--output", "text")
    decoded = subprocess.run(["base64", "-d"], input=got.stdout, capture_output=True, check=True)
    assert decoded.stdout == content


def test_json_goes_in_and_comes_out(aws, new_name, tmp_path):
    name = new_name("cli")
    value = json.dumps({"user": "админ", "password": "it's \"quoted\""}, ensure_ascii=False)
    request = {"Name": name, "SecretString": value, "Tags": [{"Key": "k", "Value": "v"}]}
    (tmp_path / "request.json").write_text(json.dumps(request))
    created = aws("secretsmanager", "create-secret", "--cli-input-json", f"file://{tmp_path}/request.json")
    assert created.returncode == 0, created.stderr
    got = aws("secretsmanager", "get-secret-value", "--secret-id", name)
    assert json.loads(json.loads(got.stdout)["SecretString"]) == json.loads(value)
    described = json.loads(aws("secretsmanager", "describe-secret", "--secret-id", name).stdout)
    assert described["Tags"] == [{"Key": "k", "Value": "v"}]
    assert isinstance(described["CreatedDate"], float), "this version of the CLI prints seconds"


def test_lists_are_paged_by_the_cli(aws, new_region):
    region = new_region()
    for number in range(3):
        made = aws("secretsmanager", "create-secret", "--region", region, "--name", f"page/{number}")
        assert made.returncode == 0, made.stderr
    listed = aws("secretsmanager", "list-secrets", "--region", region, "--page-size", "1", "--query", "SecretList[].Name")
    assert json.loads(listed.stdout) == ["page/0", "page/1", "page/2"]
    first = json.loads(aws("secretsmanager", "list-secrets", "--region", region, "--max-items", "2").stdout)
    assert [entry["Name"] for entry in first["SecretList"]] == ["page/0", "page/1"]
    rest = aws("secretsmanager", "list-secrets", "--region", region, "--starting-token", first["NextToken"])
    assert [entry["Name"] for entry in json.loads(rest.stdout)["SecretList"]] == ["page/2"]
    # The CLI stops within a page of the server and begins there again.
    words = ("--region", region, "--page-size", "2", "--max-items", "1", "--query", "[SecretList[0].Name, NextToken]")
    token, found = [], []
    while not found or token:
        name, more = json.loads(aws("secretsmanager", "list-secrets", *words, *token).stdout)
        found.append(name)
        token = ["--starting-token", more] if more else []
    assert found == ["page/0", "page/1", "page/2"]


def test_what_the_cli_does_not_page_is_paged_by_hand(aws, new_region):
    region = new_region()
    for number in range(3):
        words = ("--region", region, "--name", f"page/{number}", "--secret-string", f"value {number}")
        assert aws("secretsmanager", "create-secret", *words).returncode == 0
    for value in ("two", "three"):
        put = aws("secretsmanager", "put-secret-value", "--region", region, "--secret-id", "page/0", "--secret-string", value)
        assert put.returncode == 0, put.stderr

    def pages(*words):
        found, token = [], []
        while not found or token:
            told = aws("secretsmanager", *words, "--region", region, "--max-results", "2", *token)
            assert told.returncode == 0, told.stderr
            found.append(json.loads(told.stdout))
            token = ["--next-token", found[-1]["NextToken"]] if "NextToken" in found[-1] else []
        return found

    versions = pages("list-secret-version-ids", "--secret-id", "page/0", "--include-deprecated")
    labels = [[version.get("VersionStages", []) for version in page["Versions"]] for page in versions]
    assert labels == [[[], ["AWSPREVIOUS"]], [["AWSCURRENT"]]]
    batches = pages("batch-get-secret-value", "--filters", "Key=name,Values=page/")
    values = [[entry["SecretString"] for entry in page["SecretValues"]] for page in batches]
    assert values == [["three", "value 1"], ["value 2"]]


def test_refusals_are_told_by_name_and_by_status(aws, new_name):
    name = new_name("missing")
    missing = aws("secretsmanager", "get-secret-value", "--secret-id", name)
    assert missing.returncode == 255
    assert b"(ResourceNotFoundException) when calling the GetSecretValue operation" in missing.stderr
    stores = aws("kms", "describe-custom-key-stores")
    assert stores.returncode == 255
    assert b"(UnknownOperationException)" in stores.stderr and b"DescribeCustomKeyStores" in stores.stderr

"""Version 2 of the AWS CLI, where it differs from version 1: times, pages, exit statuses, YAML, and binary values in parameters."""

import base64
import json
import subprocess
from datetime import datetime

import pytest

import aws_cli_2
from expect import is_recent
from process import environment

AWS = aws_cli_2.find()
if AWS is None:
    pytest.skip("AWS CLI 2 is not tested: there is none (COFFER_AWS_CLI_2 names one)", allow_module_level=True)

REFUSED, USAGE = 254, 252


@pytest.fixture(scope="module")
def aws(server):
    """Runs the CLI as a script does. Older ones of version 2 take an endpoint as a parameter only."""
    credentials = server.credentials()
    env = {
        **environment(server.home),
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_PAGER": "",
        "AWS_MAX_ATTEMPTS": "1",
    }

    def call(*words, service="secretsmanager", status=0):
        command = [AWS, "--endpoint-url", server.endpoint, service, *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr

    return call


def test_a_secret_lives(aws, new_name):
    name = new_name("cli2")
    made = json.loads(aws("create-secret", "--name", name, "--secret-string", "it's “one”", "--tags", "Key=k,Value=a b"))
    assert aws("get-secret-value", "--secret-id", made["ARN"], "--query", "SecretString", "--output", "text") == "it's “one”\n"
    aws("put-secret-value", "--secret-id", name, "--secret-string", "two", "--version-stages", "AWSCURRENT", "mine")
    listed = json.loads(aws("list-secret-version-ids", "--secret-id", name))["Versions"]
    assert sorted(sorted(version["VersionStages"]) for version in listed) == [["AWSCURRENT", "mine"], ["AWSPREVIOUS"]]
    aws(
        "update-secret-version-stage", "--secret-id", name, "--version-stage", "AWSCURRENT",
        "--move-to-version-id", made["VersionId"],
        "--remove-from-version-id", next(each["VersionId"] for each in listed if "mine" in each["VersionStages"]),
    )  # fmt: skip
    described = json.loads(aws("describe-secret", "--secret-id", name))
    assert is_recent(datetime.fromisoformat(described["CreatedDate"])), "this version prints times, not numbers"
    assert described["VersionIdsToStages"][made["VersionId"]] == ["AWSCURRENT"]
    assert described["Tags"] == [{"Key": "k", "Value": "a b"}]


def test_a_deletion_waits_and_is_taken_back(aws, new_name):
    name = new_name("cli2")
    aws("create-secret", "--name", name)
    deleted = json.loads(aws("delete-secret", "--secret-id", name, "--recovery-window-in-days", "7"))
    due = datetime.fromisoformat(deleted["DeletionDate"])
    assert (due - datetime.now(due.tzinfo)).days in (6, 7)
    aws("restore-secret", "--secret-id", name)
    aws("delete-secret", "--secret-id", name, "--force-delete-without-recovery")
    assert "(ResourceNotFoundException)" in aws("describe-secret", "--secret-id", name, status=REFUSED)


def test_bytes_are_base64_in_parameters_and_raw_in_files(aws, new_name, tmp_path, chance):
    content = chance.randbytes(300)
    (tmp_path / "key").write_bytes(content)
    for value in (base64.b64encode(content).decode(), f"fileb://{tmp_path}/key"):
        name = new_name("cli2")
        aws("create-secret", "--name", name, "--secret-binary", value)
        got = aws("get-secret-value", "--secret-id", name, "--query", "SecretBinary", "--output", "text")
        assert base64.b64decode(got) == content


def test_pages_and_yaml(aws, new_name):
    prefix = new_name("cli2")
    for number in range(3):
        aws("create-secret", "--name", f"{prefix}/{number}")
    mine = ("list-secrets", "--filters", f"Key=name,Values={prefix}/", "--query", "SecretList[].Name", "--output", "yaml")
    names = [f"- {prefix}/{number}" for number in range(3)]
    assert aws(*mine, "--page-size", "1").splitlines() == names
    assert aws(*mine, "--max-items", "2", "--page-size", "1").splitlines()[:2] == names[:2]


def test_a_list_is_taken_up_where_it_was_left(aws, new_name):
    prefix = new_name("cli2")
    expected = [f"{prefix}/{number}" for number in range(3)]
    for name in expected:
        aws("create-secret", "--name", name)
    mine = ("list-secrets", "--filters", f"Key=name,Values={prefix}/", "--max-items", "2", "--output", "json")
    # With pages of two the CLI stops at the end of a page of the server, with pages of three within one.
    for size in ("2", "3"):
        found, token = [], []
        while not found or token:
            told = json.loads(aws(*mine, "--page-size", size, *token))
            found.append([entry["Name"] for entry in told["SecretList"]])
            token = ["--starting-token", told["NextToken"]] if "NextToken" in told else []
        assert found == [expected[0:2], expected[2:3]], size


def by_hand(aws, *words):
    """The pages of a list that the CLI does not page by itself."""
    found, token = [], []
    while not found or token:
        found.append(json.loads(aws(*words, *token)))
        token = ["--next-token", found[-1]["NextToken"]] if "NextToken" in found[-1] else []
    return found


def test_versions_are_paged_by_hand(aws, new_name):
    name = new_name("cli2")
    aws("create-secret", "--name", name, "--secret-string", "one")
    aws("put-secret-value", "--secret-id", name, "--secret-string", "two")
    pages = by_hand(aws, "list-secret-version-ids", "--secret-id", name, "--max-results", "1")
    assert [version["VersionStages"] for page in pages for version in page["Versions"]] == [["AWSPREVIOUS"], ["AWSCURRENT"]]
    assert len(pages) == 2


def test_batches_are_paged_by_hand(aws, new_name):
    if "Invalid choice" in aws("batch-get-secret-value", "--no-such-parameter", status=USAGE):
        pytest.skip(f"this {AWS} is older than BatchGetSecretValue")
    prefix = new_name("cli2")
    for number in range(3):
        aws("create-secret", "--name", f"{prefix}/{number}", "--secret-string", f"value {number}")
    pages = by_hand(aws, "batch-get-secret-value", "--filters", f"Key=name,Values={prefix}/", "--max-results", "2")
    values = [[entry["SecretString"] for entry in page["SecretValues"]] for page in pages]
    assert values == [["value 0", "value 1"], ["value 2"]]


def test_refusals_are_told_by_name_and_by_status(aws, new_name):
    missing = aws("get-secret-value", "--secret-id", new_name("cli2"), status=REFUSED)
    assert "(ResourceNotFoundException) when calling the GetSecretValue operation" in missing
    aws("get-secret-value", status=USAGE)


def test_who_am_i(aws):
    assert aws("get-caller-identity", "--query", "Arn", "--output", "text", service="sts").strip().endswith(":user/administrator")

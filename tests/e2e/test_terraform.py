"""Terraform with the provider of AWS, against a server that verifies its signatures.

One story is told once, because each command takes seconds: everything in `terraform/story` is made, found unchanged, changed in place,
found unchanged, imported into an empty state, found unchanged, destroyed, and missed. The tests look at what each chapter left behind, in
Terraform's state and through boto3. That a plan is empty says most: each attribute comes back as it was written.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from workspace import Outcome, Workspace, find

TOOLS = find()
if TOOLS.missing:
    pytest.skip(f"Terraform is not tested: {TOOLS.missing}", allow_module_level=True)

HERE = Path(__file__).resolve().parent / "terraform"
NAME = "tf"
# The provider knows the regions of AWS by name. Nobody else here uses these.
REGION = "ap-south-1"
REPLICA_KEPT, REPLICAS_EXCHANGED = "ap-east-1", ["ca-central-1", "sa-east-1"]
PATIENCE_SECONDS = 20
# Resources whose value is written only, so that nobody can tell an import what it was.
WRITTEN_ONLY = {"origin", "copy"}


@dataclass
class Chapter:
    """What was there when a command had ended: what it said, Terraform's state, and the server's side of it by a secret's name."""

    outcome: Outcome
    resources: dict[str, dict]
    outputs: dict
    state: str
    secrets: dict[str, dict]
    values: dict[str, str | bytes]
    policies: dict[str, dict]
    replicas: dict[str, str]


@pytest.fixture(scope="module")
def story(rotation, server, client_of, new_place):
    client = client_of(region=REGION)

    def workspace(*left_out: str) -> Workspace:
        sources = [source for source in sorted((HERE / "story").glob("*.tf")) if source.stem not in left_out]
        return Workspace(
            TOOLS, new_place(), sources, server.credentials(), endpoint=server.endpoint, region=REGION, name=NAME,
            region_kept=REPLICA_KEPT, regions_exchanged=REPLICAS_EXCHANGED,
        )  # fmt: skip

    def chapter(told_by: Workspace, outcome: Outcome) -> Chapter:
        secrets = described(client)
        return Chapter(
            outcome, told_by.resources(), told_by.outputs(), told_by.state_text(), secrets, values(client, secrets),
            policies(client, secrets), replicas(client_of),
        )  # fmt: skip

    first, told = workspace(), {}
    told["made"] = chapter(first, first.apply(stage=1))
    told["made, again"] = chapter(first, first.plan(stage=1))
    told["changed"] = chapter(first, first.apply(stage=2))
    told["changed, again"] = chapter(first, first.plan(stage=2))

    second = workspace("write_only")
    known = {address: what for address, what in first.resources().items() if address.split(".")[1] not in WRITTEN_ONLY}
    second.import_at_the_next_apply(known)
    told["imported"] = chapter(second, second.apply(stage=2))
    told["imported, again"] = chapter(second, second.plan(stage=2))

    told["destroyed"] = chapter(first, first.destroy(stage=2))
    told["missed"] = chapter(second, second.plan(stage=2))
    return told


@pytest.fixture(scope="module")
def rotation(server, new_place):
    """Begun before everything else and looked at last, because the provider does not give up for a minute."""
    workspace = Workspace(
        TOOLS, new_place(), [HERE / "rotation" / "main.tf"], server.credentials(),
        endpoint=server.endpoint, region=REGION, name="rotated-by-tf",
    )  # fmt: skip
    running = workspace.start("apply", "-auto-approve")
    yield lambda: workspace.finish(running)
    if running.poll() is None:
        running.kill()
        running.communicate()


def described(client) -> dict[str, dict]:
    """All secrets of the story by the rest of their name, once all replicas are as they will be."""
    end = time.monotonic() + PATIENCE_SECONDS
    filters = [{"Key": "name", "Values": [f"{NAME}/"]}]
    while True:
        listed = client.list_secrets(MaxResults=100, IncludePlannedDeletion=True, Filters=filters)["SecretList"]
        found = {entry["Name"].removeprefix(f"{NAME}/"): client.describe_secret(SecretId=entry["ARN"]) for entry in listed}
        statuses = [status["Status"] for secret in found.values() for status in secret.get("ReplicationStatus", [])]
        if "InProgress" not in statuses:
            return found
        assert time.monotonic() < end, found
        time.sleep(0.05)


def values(client, secrets: dict[str, dict]) -> dict[str, str | bytes]:
    readable = {name: secret for name, secret in secrets.items() if "VersionIdsToStages" in secret and "DeletedDate" not in secret}
    answers = {name: client.get_secret_value(SecretId=secret["ARN"]) for name, secret in readable.items()}
    return {name: answer.get("SecretString", answer.get("SecretBinary")) for name, answer in answers.items()}


def policies(client, secrets: dict[str, dict]) -> dict[str, dict]:
    live = {name: secret["ARN"] for name, secret in secrets.items() if "DeletedDate" not in secret}
    texts = {name: client.get_resource_policy(SecretId=arn).get("ResourcePolicy") for name, arn in live.items()}
    return {name: json.loads(text) for name, text in texts.items() if text}


def replicas(client_of) -> dict[str, str]:
    """Region to value, where there is a replica."""
    found = {}
    for region in (REPLICA_KEPT, *REPLICAS_EXCHANGED):
        client = client_of(region=region)
        try:
            found[region] = client.get_secret_value(SecretId=f"{NAME}/primary")["SecretString"]
        except client.exceptions.ResourceNotFoundException:
            pass
    return found


def labels(chapter: Chapter, secret: str) -> list[list[str]]:
    return sorted(sorted(stages) for stages in chapter.secrets[secret]["VersionIdsToStages"].values())


@pytest.mark.parametrize("chapter", ["made, again", "changed, again", "imported, again"])
def test_what_was_applied_is_found_unchanged(story, chapter):
    outcome = story[chapter].outcome
    assert (outcome.status, outcome.planned(), outcome.errors()) == (0, {}, [])


def test_secrets_are_made_as_written(story):
    made = story["made"]
    assert set(made.outcome.planned().values()) == {"create"}
    assert made.resources.keys() == made.outcome.planned().keys()
    assert made.secrets["described"]["Description"] == "the orders database"
    assert tags(made, "described") == {"team": "orders", "old": ""}
    for name, without in (("plain", ("Description", "Tags", "KmsKeyId", "VersionIdsToStages")), ("prefixed", ("Tags",))):
        (secret,) = [secret for known, secret in made.secrets.items() if known.startswith(name)]
        assert not set(without) & secret.keys()
    assert len([name for name in made.secrets if name.startswith("prefixed-")]) == 1


def test_secrets_are_changed_in_place(story):
    made, changed = story["made"], story["changed"]
    in_place = {address for address, action in changed.outcome.planned().items() if action == "update"}
    assert in_place == {
        "aws_secretsmanager_secret.described",
        "aws_secretsmanager_secret.stripped",
        "aws_secretsmanager_secret.guarded",
        "aws_secretsmanager_secret.primary",
        "aws_secretsmanager_secret_policy.shared",
        "aws_secretsmanager_secret_version.blue",
        "aws_secretsmanager_secret_version.green",
    }
    assert {name: secret["ARN"] for name, secret in made.secrets.items()} == {
        name: secret["ARN"] for name, secret in changed.secrets.items()
    }
    assert changed.secrets["described"]["Description"] == "“orders”, since moved"
    assert tags(changed, "described") == {"team": "billing", "new": "a b+c=d"}
    assert "Description" not in changed.secrets["stripped"]
    assert tags(changed, "stripped") == {}


def tags(chapter: Chapter, secret: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in chapter.secrets[secret].get("Tags", [])}


def test_policies_come_and_change(story):
    made, changed = story["made"], story["changed"]
    assert made.policies.keys() == changed.policies.keys() == {"guarded", "shared", "read"}
    assert made.policies["guarded"]["Statement"][0]["Principal"] == {"AWS": made.outputs["account"]}
    for name, before, after in (
        ("guarded", ["secretsmanager:DeleteSecret"], ["secretsmanager:DeleteSecret", "secretsmanager:PutSecretValue"]),
        ("shared", "secretsmanager:GetSecretValue", ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]),
    ):
        assert made.policies[name]["Statement"][0]["Action"] == before
        assert sorted(changed.policies[name]["Statement"][0]["Action"]) == sorted(after)


def test_values_are_text_or_bytes(story):
    made, changed = story["made"].values, story["changed"].values
    assert json.loads(made["text"]) == {"user": "admin", "password": "one"}
    assert json.loads(changed["text"]) == {"user": "admin", "password": "zwölf €\n"}
    assert made["bytes"] == b"\x00\xff\x01\x02\x03"
    assert changed["bytes"] == b"\x00\xff\x01\x02\x03\x04\x05"


def test_labels_move_between_versions(story):
    made, changed = story["made"], story["changed"]
    assert labels(made, "labelled") == [["AWSCURRENT", "blue", "live"], ["green"]]
    assert labels(changed, "labelled") == [["AWSCURRENT", "blue"], ["green", "live"]]
    assert made.values["labelled"] == changed.values["labelled"] == "blue"


def test_a_token_of_terraform_is_the_version(story):
    version = story["made"].resources["aws_secretsmanager_secret_version.text"]
    assert version["version_id"].startswith("terraform-")
    assert story["made"].secrets["text"]["VersionIdsToStages"] == {version["version_id"]: ["AWSCURRENT"]}


def test_a_value_that_is_written_only_leaves_no_trace(story):
    made, changed = story["made"], story["changed"]
    passwords = {made.values["origin"], changed.values["origin"]}
    assert len(passwords) == 2 and all(len(password) == 40 and password.isalnum() for password in passwords)
    for chapter in (made, changed):
        assert chapter.values["copy"] == chapter.values["origin"], "it was read by the version that was just written"
        assert not [password for password in passwords if password in chapter.state]
    assert json.dumps("stage 1")[1:-1] in made.state, "other values are there, so a trace would have been seen"


def test_data_sources(story):
    for stage, chapter in ((1, story["made"]), (2, story["changed"])):
        found, secret = chapter.outputs["sources"], chapter.secrets["read"]
        assert found["by_name"] == found["by_arn"]
        assert found["by_arn"]["arn"] == secret["ARN"]
        assert (found["by_arn"]["description"], found["by_arn"]["tags"]) == ("to be read", {"team": "orders"})
        assert json.loads(found["by_arn"]["policy"]) == chapter.policies["read"]
        assert found["current"]["secret_string"] == found["by_id"]["secret_string"] == f"stage {stage}"
        assert found["current"]["version_stages"] == ["AWSCURRENT"]
        assert found["names"] == [f"{NAME}/read"]
        assert {version["version_id"] for version in found["versions"]} == secret["VersionIdsToStages"].keys()
        assert len(found["versions"]) == stage
        assert found["letters"] == 50


def test_replicas_are_exchanged_and_follow(story):
    left, right = REPLICAS_EXCHANGED
    assert story["made"].replicas == {REPLICA_KEPT: "stage 1", left: "stage 1"}
    assert story["changed"].replicas == {REPLICA_KEPT: "stage 2", right: "stage 2"}
    statuses = {status["Region"]: status["Status"] for status in story["changed"].secrets["primary"]["ReplicationStatus"]}
    assert statuses == {REPLICA_KEPT: "InSync", right: "InSync"}


def test_an_import_knows_all_but_what_only_a_configuration_knows(story):
    imported = story["imported"]
    assert imported.outcome.imported() == len(imported.resources) == len(story["changed"].resources) - 4
    changed = {address for address, action in imported.outcome.planned().items() if action != "import"}
    # A recovery window and whether public policies are blocked are arguments of calls, and nothing gives them back.
    assert changed == {"aws_secretsmanager_secret.waiting", "aws_secretsmanager_secret_policy.shared"}
    assert imported.secrets.keys() == story["changed"].secrets.keys()
    assert imported.values == story["changed"].values


def test_what_was_destroyed_is_gone_or_waits(story):
    destroyed = story["destroyed"]
    assert destroyed.resources == {}
    assert destroyed.secrets.keys() == {"waiting"}
    assert "DeletedDate" in destroyed.secrets["waiting"]
    assert destroyed.replicas == {}


def test_what_somebody_else_destroyed_is_missed(story):
    # Gone is gone, also for a secret that waits: the provider knows each of the refusals by its sentence.
    outcome = story["missed"].outcome
    assert (outcome.status, outcome.errors()) == (2, [])
    assert outcome.planned() == dict.fromkeys(story["imported"].resources, "create")


def test_rotation_that_cannot_be_is_refused_in_the_words_of_aws(story, rotation, client_of):
    outcome = rotation()
    assert outcome.status == 1
    (error,) = outcome.errors()
    assert "AccessDeniedException: Secrets Manager cannot invoke the specified Lambda function." in error
    secret = client_of(region=REGION).describe_secret(SecretId="rotated-by-tf/rotated")
    assert not {"RotationEnabled", "RotationLambdaARN", "RotationRules"} & secret.keys()

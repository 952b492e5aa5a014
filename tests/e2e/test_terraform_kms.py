"""Keys as Terraform sets them up: policies, aliases, grants, material from outside, and a secret under a key of one's own.

Told once, like the story of secrets: everything in `terraform/keys` is made, found unchanged, changed, found unchanged, imported into an
empty state, found unchanged there, and destroyed. The tests look at what Terraform saw and at what boto3 sees.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from workspace import Workspace, find

TOOLS = find()
if TOOLS.missing:
    pytest.skip(f"Terraform is not tested: {TOOLS.missing}", allow_module_level=True)

HERE = Path(__file__).resolve().parent / "terraform"
NAME = "tfk"
REGION = "eu-central-1"
ELSEWHERE = "us-east-2"
FORGOTTEN_AT = (datetime.now(UTC) + timedelta(days=90)).replace(microsecond=0)
# Attributes that only the configuration knows: an import plans to write them.
NOT_IMPORTED = {"aws_kms_ciphertext", "aws_kms_external_key", "aws_kms_grant", "aws_secretsmanager_secret_version"}


@pytest.fixture(scope="module")
def node(new_node):
    node = new_node().start()
    yield node
    assert node.stop() == 0, node.said()


@pytest.fixture(scope="module")
def story(node, new_place, make_client):
    kms = make_client(node, node.credentials(), "kms", region=REGION)
    secrets = make_client(node, node.credentials(), region=REGION)

    def workspace() -> Workspace:
        sources = [HERE / "story" / "shared.tf", *sorted((HERE / "keys").glob("*.tf"))]
        return Workspace(
            TOOLS, new_place(), sources, node.credentials(),
            endpoint=node.endpoint, region=REGION, name=NAME, forgotten_at=FORGOTTEN_AT.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )  # fmt: skip

    first, told = workspace(), {}
    told["made"], told["made, again"] = first.apply(stage=1), first.plan(stage=1)
    told["seen"], told["found"] = seen(kms, first.resources()), first.outputs()["found"]
    told["value"] = secrets.get_secret_value(SecretId=f"{NAME}/orders")["SecretString"]
    told["changed"], told["changed, again"] = first.apply(stage=2), first.plan(stage=2)
    told["seen when changed"], told["resources"] = seen(kms, first.resources()), first.resources()
    elsewhere = make_client(node, node.credentials(), "kms", region=ELSEWHERE)
    replica = first.resources()["aws_kms_replica_key.everywhere"]["key_id"]
    told["replica when changed"] = elsewhere.describe_key(KeyId=replica)["KeyMetadata"]
    told["value when changed"] = secrets.get_secret_value(SecretId=f"{NAME}/orders")["SecretString"]

    second = workspace()
    known = {address: what for address, what in first.resources().items() if address.split(".")[0] not in NOT_IMPORTED}
    second.import_at_the_next_apply(known)
    targets = [f"-target={address}" for address in known]
    told["imported"] = second.finish(second.start("apply", "-auto-approve", "-var=stage=2", *targets)).ok()
    told["imported, again"] = second.finish(second.start("plan", "-detailed-exitcode", "-var=stage=2", *targets))
    told["known"] = known

    told["destroyed"] = first.destroy(stage=2)
    keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
    told["left"] = {
        "states": {key["KeyState"] for key in keys if key["KeyManager"] == "CUSTOMER"},
        "aliases": [alias["AliasName"] for alias in kms.list_aliases()["Aliases"] if NAME in alias["AliasName"]],
    }
    return told


def seen(kms, resources: dict[str, dict]) -> dict:
    """Each key by its name in the configuration, and what belongs to it."""
    keys = {}
    for address, known in resources.items():
        kind, name = address.split(".")
        if kind not in ("aws_kms_key", "aws_kms_external_key"):
            continue
        key = kms.describe_key(KeyId=known["key_id"] if "key_id" in known else known["id"])["KeyMetadata"]
        policy = json.loads(kms.get_key_policy(KeyId=key["KeyId"])["Policy"])
        tags = {tag["TagKey"]: tag["TagValue"] for tag in kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]}
        grants = [sorted(grant["Operations"]) for grant in kms.list_grants(KeyId=key["KeyId"])["Grants"]]
        aliases = [alias["AliasName"] for alias in kms.list_aliases(KeyId=key["KeyId"])["Aliases"]]
        keys[name] = {**key, "policy": policy, "tags": tags, "grants": grants, "aliases": aliases}
        if key["KeyUsage"] == "ENCRYPT_DECRYPT" and key["Origin"] == "AWS_KMS":
            keys[name]["rotation"] = kms.get_key_rotation_status(KeyId=key["KeyId"]).get("RotationPeriodInDays")
    return keys


@pytest.mark.parametrize("chapter", ["made, again", "changed, again", "imported, again"])
def test_what_was_applied_is_found_unchanged(story, chapter):
    outcome = story[chapter]
    assert (outcome.status, outcome.planned(), outcome.errors()) == (0, {}, [])


def test_keys_are_made_as_written(story):
    keys = story["seen"]
    assert keys["orders"]["Description"] == "of the orders"
    assert keys["orders"]["tags"] == {"team": "orders", "old": ""}
    assert keys["orders"]["rotation"] == 90
    assert [statement["Sid"] for statement in keys["orders"]["policy"]["Statement"]] == ["Administration"]
    assert [statement["Sid"] for statement in keys["plain"]["policy"]["Statement"]] == ["All"]
    assert {name: (key["KeySpec"], key["KeyUsage"], key["KeyState"]) for name, key in keys.items()} == {
        "orders": ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "Enabled"),
        "plain": ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "Enabled"),
        "everywhere": ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "Enabled"),
        "spare": ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "Enabled"),
        "codes": ("HMAC_256", "GENERATE_VERIFY_MAC", "Enabled"),
        "signatures": ("ECC_NIST_P256", "SIGN_VERIFY", "Enabled"),
        "outside": ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "Enabled"),
        "empty": ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "PendingImport"),
    }


def test_keys_are_changed_in_place(story):
    before, after = story["seen"], story["seen when changed"]
    assert {name: key["Arn"] for name, key in before.items()} == {name: key["Arn"] for name, key in after.items()}
    assert after["orders"]["Description"] == "of the orders, since moved"
    assert after["orders"]["tags"] == {"team": "billing"}
    assert after["orders"]["rotation"] == 180
    assert [statement["Sid"] for statement in after["orders"]["policy"]["Statement"]] == ["Administration", "NobodyElse"]
    assert after["plain"]["KeyState"] == "Disabled"
    assert after["outside"]["ExpirationModel"] == "KEY_MATERIAL_EXPIRES"
    assert after["outside"]["ValidTo"] == FORGOTTEN_AT


def test_a_key_of_two_regions_is_one_key_with_two_states(story):
    primary, replica = story["seen when changed"]["everywhere"], story["replica when changed"]
    assert (primary["KeyId"], primary["MultiRegionConfiguration"]["MultiRegionKeyType"]) == (replica["KeyId"], "PRIMARY")
    assert replica["MultiRegionConfiguration"]["PrimaryKey"] == {"Arn": primary["Arn"], "Region": REGION}
    assert (primary["KeyState"], replica["KeyState"], primary["rotation"]) == ("Enabled", "Disabled", 365)
    assert replica["Description"] == "elsewhere, and switched off"


def test_aliases_and_grants_follow(story):
    before, after = story["seen"], story["seen when changed"]
    assert f"alias/{NAME}/orders" in before["orders"]["aliases"]
    assert after["spare"]["aliases"] == [f"alias/{NAME}/orders"]
    (prefixed,) = after["orders"]["aliases"]
    assert prefixed.startswith(f"alias/{NAME}/made-")
    assert (before["orders"]["grants"], after["orders"]["grants"]) == ([["Decrypt", "Encrypt"]], [["Decrypt"]])


def test_data_sources_tell_what_is_there(story):
    found, keys = story["found"], story["seen"]
    assert found["key"] == keys["orders"]["Arn"]
    assert found["alias"] == keys["orders"]["KeyId"]
    assert found["public_key"].startswith("-----BEGIN PUBLIC KEY-----")
    assert found["greeting"] == "hello"


def test_a_secret_moves_to_another_key_and_keeps_its_value(story):
    assert (story["value"], story["value when changed"]) == ("hunter2", "hunter2")
    assert story["resources"]["aws_secretsmanager_secret.orders"]["kms_key_id"] == story["seen when changed"]["spare"]["Arn"]


def test_keys_can_be_imported(story):
    assert story["imported"].imported() == len(story["known"])


def test_a_destroyed_key_waits_for_its_end(story):
    assert story["left"] == {"states": {"PendingDeletion", "PendingReplicaDeletion"}, "aliases": []}

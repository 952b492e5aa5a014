"""Replicas in another account through boto3: made, linked, updated, detached, promoted; and whatever happens to the server meanwhile."""

import configparser
import json
import random
import time

import pytest

from conftest import SEED
from expect import refused
from people import allow, deny
from process import Credentials, run

PATIENCE_SECONDS = 20
PARTNER = "222233334444"
# Kills of the server while it copies.
ROUNDS = 8


def partner_on(node) -> Credentials:
    """The administrator of a second account."""
    flags = ["--data-dir", str(node.data_dir), "--keyfile", str(node.keyfile)]
    made = run("account", "create", "--name", "partner", "--id", PARTNER, *flags, home=node.home)
    assert made.returncode == 0, made
    parsed = configparser.ConfigParser()
    parsed.read_string((node.data_dir / "bootstrap" / f"credentials-{PARTNER}").read_text())
    return Credentials(parsed["default"]["aws_access_key_id"], parsed["default"]["aws_secret_access_key"])


@pytest.fixture(scope="module")
def partner(server):
    return partner_on(server)


class Pair:
    """A secret, and its replica in the account of the partner, under a key that lets the first account encrypt."""

    def __init__(self, here, there, keys, name: str):
        self.here, self.there, self.keys, self.name, self.copy = here, there, keys, name, f"copy/{name}"
        self.primary = here.create_secret(Name=name, SecretString="one")["ARN"]
        own = allow("kms:*", to=PARTNER)
        lent = allow("kms:Encrypt", to=self.primary.split(":")[4])
        policy = json.dumps({"Version": "2012-10-17", "Statement": [own, lent]})
        self.key = keys.create_key(Policy=policy)["KeyMetadata"]["KeyId"]
        made = there.create_secret(Name=self.copy, KmsKeyId=self.key, CrossAccountPrimaryARN=self.primary)
        assert set(made) - {"ResponseMetadata"} == {"ARN", "Name"}
        self.replica = made["ARN"]

    def link(self, client=None, **more):
        client = client or self.here
        return client.associate_cross_account_replica(
            SecretId=self.name, CrossAccountReplicaARN=self.replica, ReplicaRestriction="NoRestriction", **more
        )

    def statuses(self) -> list[str | None]:
        of_primary = self.here.describe_secret(SecretId=self.name).get("CrossAccountReplicas", [{}])
        of_replica = self.there.describe_secret(SecretId=self.copy).get("CrossAccountPrimary", {})
        return [side.get("ReplicationStatus") for side in (*of_primary, of_replica)]

    def until(self, *expected: str | None) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while (found := self.statuses()) != list(expected):
            assert time.monotonic() < end, (found, expected)
            time.sleep(0.05)

    def values(self) -> list[tuple]:
        """Of the current version, as the two sides tell it."""
        answers = [self.here.get_secret_value(SecretId=self.name), self.there.get_secret_value(SecretId=self.copy)]
        return [(each["VersionId"], each["SecretString"], each["VersionStages"], each["CreatedDate"]) for each in answers]


@pytest.fixture
def pair(client_of, make_client, server, partner, new_region, new_name):
    region = new_region()
    there = make_client(server, partner, region=region)
    return Pair(client_of(region=region), there, make_client(server, partner, "kms", region=region), new_name())


def test_a_replica_is_made_and_follows(pair):
    assert pair.statuses() == [None, "Pending"]
    with refused("ResourceNotFoundException", "secret value for staging label: AWSCURRENT"):
        pair.there.get_secret_value(SecretId=pair.copy)
    with refused("InvalidRequestException", "isn't in the same organization"):
        pair.here.associate_cross_account_replica(SecretId=pair.name, CrossAccountReplicaARN=pair.replica)
    linked = pair.link()
    assert (linked["ARN"], linked["CrossAccountReplicaARN"]) == (pair.primary, pair.replica)
    assert linked["ReplicationStatus"] == "InProgress"
    pair.until("InSync", "InSync")
    of_primary, of_replica = pair.values()
    assert of_primary == of_replica and of_primary[1] == "one"

    pair.here.put_secret_value(SecretId=pair.name, SecretString="two")
    pair.until("InSync", "InSync")
    of_primary, of_replica = pair.values()
    assert of_primary == of_replica and of_primary[1] == "two"
    previous = pair.there.get_secret_value(SecretId=pair.copy, VersionStage="AWSPREVIOUS")
    assert previous["SecretString"] == "one"

    policies = pair.there.list_resource_policies(SecretId=pair.copy)["ResourcePolicies"]
    assert policies == [{"PolicyName": "cross-account-replication"}]
    pages = pair.there.get_paginator("list_resource_policies").paginate(SecretId=pair.copy)
    assert [policy for page in pages for policy in page["ResourcePolicies"]] == policies


def test_only_the_primary_is_changed_and_neither_is_deleted_while_they_are_linked(pair):
    pair.link()
    pair.until("InSync", "InSync")
    with refused("InvalidParameterException", "on a cross-account replica secret. Call must be made on the primary secret."):
        pair.there.put_secret_value(SecretId=pair.copy, SecretString="mine")
    for client, name in ((pair.here, pair.name), (pair.there, pair.copy)):
        with refused("InvalidParameterException", "You can't delete"):
            client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    pair.there.tag_resource(SecretId=pair.copy, Tags=[{"Key": "team", "Value": "partner"}])
    assert "Tags" not in pair.here.describe_secret(SecretId=pair.name)


def test_a_detached_replica_is_read_until_it_is_linked_again(pair):
    pair.link()
    pair.until("InSync", "InSync")
    pair.here.put_secret_value(SecretId=pair.name, SecretString="two")
    pair.here.disassociate_cross_account_replica(SecretId=pair.name, CrossAccountReplicaARN=pair.replica)
    # Nothing arrives after that answer.
    after = pair.there.get_secret_value(SecretId=pair.copy)["SecretString"]
    assert pair.statuses() == [None, "Detached"]
    pair.here.put_secret_value(SecretId=pair.name, SecretString="three")
    time.sleep(0.5)
    assert pair.there.get_secret_value(SecretId=pair.copy)["SecretString"] == after
    with refused("ResourceNotFoundException", "can't find the specified cross-account replica"):
        pair.here.disassociate_cross_account_replica(SecretId=pair.name, CrossAccountReplicaARN=pair.replica)
    pair.link()
    pair.until("InSync", "InSync")
    assert pair.values()[1][1] == "three"


def test_a_promoted_replica_is_a_secret_of_its_own(pair):
    pair.link()
    pair.until("InSync", "InSync")
    pair.there.stop_replication_to_replica(SecretId=pair.copy)
    assert pair.statuses() == ["Detached", None]
    pair.there.put_secret_value(SecretId=pair.copy, SecretString="mine")
    pair.here.put_secret_value(SecretId=pair.name, SecretString="theirs")
    assert [value[1] for value in pair.values()] == ["theirs", "mine"]
    with refused("InvalidParameterException", "still has cross-account replicas"):
        pair.here.delete_secret(SecretId=pair.name)
    pair.here.disassociate_cross_account_replica(SecretId=pair.name, CrossAccountReplicaARN=pair.replica)
    pair.here.delete_secret(SecretId=pair.name, ForceDeleteWithoutRecovery=True)
    pair.there.delete_secret(SecretId=pair.copy, ForceDeleteWithoutRecovery=True)


def test_a_writer_who_may_not_copy_writes_and_the_next_association_repairs_the_link(pair, new_person):
    person = new_person().may(allow("*"), deny("kms:Encrypt"))
    hindered = person.client(region=pair.here.meta.region_name)
    with refused("AccessDeniedException", "Access to KMS is not allowed"):
        pair.link(hindered)
    assert pair.statuses() == [None, "Pending"]
    pair.link()
    pair.until("InSync", "InSync")
    hindered.put_secret_value(SecretId=pair.name, SecretString="two")
    pair.until("Failed", "Failed")
    (of_primary,) = pair.here.describe_secret(SecretId=pair.name)["CrossAccountReplicas"]
    of_replica = pair.there.describe_secret(SecretId=pair.copy)["CrossAccountPrimary"]
    assert of_primary["StatusMessage"] == "Replication failed: the replica secret can't be written."
    assert "isn't allowed to use the KMS key of this secret" in of_replica["StatusMessage"]
    assert person.name not in of_replica["StatusMessage"]
    assert pair.there.get_secret_value(SecretId=pair.copy)["SecretString"] == "one"
    pair.link()
    pair.until("InSync", "InSync")
    assert pair.values()[1][1] == "two"


def test_a_role_copies_whoever_writes(pair, client_of, new_name):
    iam, name = client_of("iam"), new_name("role").replace("/", "-")
    trust = {"Effect": "Allow", "Principal": {"Service": "secretsmanager.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    with refused("AccessDeniedException", "Access to KMS is not allowed"):
        pair.link(ReplicationRoleARN=role)
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow("kms:Decrypt", "kms:Encrypt")]})
    iam.put_role_policy(RoleName=name, PolicyName="keys", PolicyDocument=policy)
    pair.link(ReplicationRoleARN=role)
    pair.until("InSync", "InSync")
    (shown,) = pair.here.describe_secret(SecretId=pair.name)["CrossAccountReplicas"]
    assert shown["ReplicationRoleARN"] == role


def test_a_server_that_is_killed_while_it_copies_goes_on_and_both_sides_agree(new_node, make_client):
    """Whatever was acknowledged arrives, and what the two sides say of each other is never torn."""
    node, chance = new_node().start(), random.Random(SEED)
    partner = partner_on(node)
    clients = lambda: [
        make_client(node, node.credentials()),
        make_client(node, partner),
        make_client(node, partner, "kms"),
    ]
    pair = Pair(*clients(), "db/password")
    pair.link()
    last = 0
    for _ in range(ROUNDS):
        for _ in range(chance.randrange(1, 6)):
            last += 1
            pair.here.put_secret_value(SecretId=pair.name, SecretString=str(last))
        time.sleep(chance.random() * 0.05)
        node.kill()
        flags = ["--data-dir", str(node.data_dir), "--keyfile", str(node.keyfile)]
        found = run("verify", *flags, home=node.home)
        assert found.returncode == 0, found
        node.start()
        pair.here, pair.there, pair.keys = clients()
        pair.until("InSync", "InSync")
        of_primary, of_replica = pair.values()
        assert of_primary == of_replica and of_primary[1] == str(last)
    assert node.stop() == 0, node.said()

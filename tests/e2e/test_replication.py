"""Replicas through boto3: they follow, they go, they become secrets of their own, and only their primary is changed."""

import time

import pytest

from expect import NOT_FOUND, labels, refused

ON_REPLICA = "Operation not permitted on a replica secret. Call must be made in primary secret's region."
PATIENCE_SECONDS = 20


@pytest.fixture
def pair(client_of, new_region):
    """A client of the primary's region, and one of the replica's."""
    return client_of(region=new_region()), client_of(region=new_region())


def region_of(client) -> str:
    return client.meta.region_name


def until(client, name: str, expected: dict[str, str]) -> list[dict]:
    """Waits until the replicas have these statuses by region, and gives all that is said of them."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        statuses = client.describe_secret(SecretId=name).get("ReplicationStatus", [])
        if {status["Region"]: status["Status"] for status in statuses} == expected:
            return statuses
        assert time.monotonic() < end, statuses
        time.sleep(0.05)


def until_gone(client, name: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            client.describe_secret(SecretId=name)
        except client.exceptions.ResourceNotFoundException:
            return
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_replica_is_made_and_follows(pair, new_name):
    here, there = pair
    name = new_name()
    made = here.create_secret(
        Name=name, SecretString="one", Description="d", Tags=[{"Key": "a", "Value": "b"}],
        AddReplicaRegions=[{"Region": region_of(there)}],
    )  # fmt: skip
    assert [status["Status"] for status in made["ReplicationStatus"]] == ["InProgress"]
    (status,) = until(here, name, {region_of(there): "InSync"})
    assert status["KmsKeyId"] == "alias/aws/secretsmanager"
    assert status["StatusMessage"] == "Replication succeeded"

    replica = there.describe_secret(SecretId=name)
    assert replica["ARN"] == made["ARN"].replace(region_of(here), region_of(there))
    assert replica["PrimaryRegion"] == region_of(here)
    assert (replica["Description"], replica["Tags"]) == ("d", [{"Key": "a", "Value": "b"}])
    assert there.get_secret_value(SecretId=replica["ARN"])["SecretString"] == "one"

    here.put_secret_value(SecretId=name, SecretBinary=b"\x00two")
    until(here, name, {region_of(there): "InSync"})
    assert there.get_secret_value(SecretId=name)["SecretBinary"] == b"\x00two"
    assert there.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"] == "one"
    assert labels(there, name) == labels(here, name)
    listed = there.list_secrets(Filters=[{"Key": "primary-region", "Values": [region_of(here)]}])["SecretList"]
    assert [secret["Name"] for secret in listed] == [name]


def test_only_the_primary_is_changed_and_it_is_not_deleted_before_its_replicas(pair, new_name):
    here, there = pair
    name = new_name()
    here.create_secret(Name=name, SecretString="one", AddReplicaRegions=[{"Region": region_of(there)}])
    until(here, name, {region_of(there): "InSync"})
    with refused("InvalidParameterException", ON_REPLICA):
        there.put_secret_value(SecretId=name, SecretString="two")
    with refused("InvalidParameterException", ON_REPLICA):
        there.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    with refused("InvalidParameterException", f"replica regions [{region_of(there)}]."):
        here.delete_secret(SecretId=name)

    left = here.remove_regions_from_replication(SecretId=name, RemoveReplicaRegions=[region_of(there)])
    assert left["ReplicationStatus"] == []
    here.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    until_gone(there, name)


def test_a_replica_becomes_a_secret_of_its_own(pair, new_name):
    here, there = pair
    name = new_name()
    here.create_secret(Name=name, SecretString="one", AddReplicaRegions=[{"Region": region_of(there)}])
    until(here, name, {region_of(there): "InSync"})
    arn = there.stop_replication_to_replica(SecretId=name)["ARN"]
    there.put_secret_value(SecretId=arn, SecretString="of its own")
    until(here, name, {})
    here.put_secret_value(SecretId=name, SecretString="two")
    assert "PrimaryRegion" not in there.describe_secret(SecretId=arn)
    assert there.get_secret_value(SecretId=arn)["SecretString"] == "of its own"


def test_a_name_that_is_taken_fails_until_it_may_be_overwritten(pair, new_name):
    here, there = pair
    name = new_name()
    there.create_secret(Name=name, SecretString="another")
    here.create_secret(Name=name, SecretString="one")
    here.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": region_of(there)}])
    (status,) = until(here, name, {region_of(there): "Failed"})
    text = f"Replication failed: Secret name {name} already exists in region {region_of(there)}."
    assert status["StatusMessage"] == text
    assert there.get_secret_value(SecretId=name)["SecretString"] == "another"

    here.replicate_secret_to_regions(
        SecretId=name, AddReplicaRegions=[{"Region": region_of(there)}], ForceOverwriteReplicaSecret=True
    )
    until(here, name, {region_of(there): "InSync"})
    assert there.get_secret_value(SecretId=name)["SecretString"] == "one"


def test_what_is_refused(pair, new_name):
    here, there = pair
    name = new_name()
    with refused("InvalidParameterException", "Invalid replica region."):
        here.create_secret(Name=name, AddReplicaRegions=[{"Region": region_of(here)}])
    with refused("ResourceNotFoundException", NOT_FOUND):
        here.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": region_of(there)}])
    here.create_secret(Name=name)
    with refused("InvalidRequestException"):
        here.stop_replication_to_replica(SecretId=name)
    unknown = here.remove_regions_from_replication(SecretId=name, RemoveReplicaRegions=[region_of(there)])
    assert unknown["ReplicationStatus"] == []


def test_what_is_due_survives_a_restart(new_node, make_client, new_name):
    node = new_node().start()
    name = new_name()
    here = make_client(node, node.credentials(), region="eu-west-1")
    here.create_secret(Name=name, SecretString="one", AddReplicaRegions=[{"Region": "us-east-1"}])
    here.remove_regions_from_replication(SecretId=name, RemoveReplicaRegions=["us-east-1"])
    here.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": "us-west-2"}])
    node.kill()
    node.start()
    here = make_client(node, node.credentials(), region="eu-west-1")
    until(here, name, {"us-west-2": "InSync"})
    until_gone(make_client(node, node.credentials(), region="us-east-1"), name)
    there = make_client(node, node.credentials(), region="us-west-2")
    assert there.get_secret_value(SecretId=name)["SecretString"] == "one"

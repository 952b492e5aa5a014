"""KMS, as programs and administrators use it: keys of one's own, who may use them, grants, rotation and the end of a key."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import REGION
from expect import refused
from people import allow, deny, document

AWS = Path(sys.executable).with_name("aws")
CONTEXT = {"app": "web"}


@pytest.fixture(scope="module")
def kms(client_of):
    return client_of("kms")


@pytest.fixture
def key(kms):
    return kms.create_key(Description="of a test")["KeyMetadata"]


def test_what_is_closed_opens_with_the_same_context_alone(kms, key):
    closed = kms.encrypt(KeyId=key["Arn"], Plaintext=b"hello", EncryptionContext=CONTEXT)["CiphertextBlob"]
    opened = kms.decrypt(CiphertextBlob=closed, EncryptionContext=CONTEXT)
    assert (opened["Plaintext"], opened["KeyId"]) == (b"hello", key["Arn"])
    with refused("InvalidCiphertextException"):
        kms.decrypt(CiphertextBlob=closed)
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    moved = kms.re_encrypt(CiphertextBlob=closed, SourceEncryptionContext=CONTEXT, DestinationKeyId=other)
    assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], KeyId=other)["Plaintext"] == b"hello"


def test_a_data_key_and_its_wrapped_copy_are_the_same(kms, key):
    made = kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256", EncryptionContext=CONTEXT)
    assert len(made["Plaintext"]) == 32
    assert kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=CONTEXT)["Plaintext"] == made["Plaintext"]
    assert len(kms.generate_random(NumberOfBytes=100)["Plaintext"]) == 100


def test_codes(kms):
    key = kms.create_key(KeySpec="HMAC_384", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
    code = kms.generate_mac(KeyId=key, Message=b"hello", MacAlgorithm="HMAC_SHA_384")["Mac"]
    assert kms.verify_mac(KeyId=key, Message=b"hello", MacAlgorithm="HMAC_SHA_384", Mac=code)["MacValid"]
    with refused("KMSInvalidMacException"):
        kms.verify_mac(KeyId=key, Message=b"other", MacAlgorithm="HMAC_SHA_384", Mac=code)


def test_an_alias_is_a_way_to_a_key_that_can_be_turned(kms, key, new_name):
    alias = f"alias/{new_name()}"
    kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
    assert kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"] == key["KeyId"]
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.update_alias(AliasName=alias, TargetKeyId=other)
    names = [entry["AliasName"] for entry in kms.list_aliases(KeyId=other)["Aliases"]]
    assert names == [alias]
    kms.delete_alias(AliasName=alias)
    with refused("NotFoundException", "is not found."):
        kms.describe_key(KeyId=alias)


def test_pages_show_every_key_once(kms):
    made = {kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(5)}
    pages = kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 2})
    listed = [entry["KeyId"] for page in pages for entry in page["Keys"]]
    assert made <= set(listed) and len(listed) == len(set(listed))


def test_by_default_the_policies_of_people_decide(new_person, key):
    ann = new_person()
    client = ann.client("kms")
    with ann.denied("kms:Encrypt", key["Arn"]):
        client.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    ann.may(allow("kms:Encrypt", "kms:Decrypt", on=key["Arn"], when={"StringEquals": {"kms:EncryptionContext:app": "web"}}))
    closed = client.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    with ann.denied("kms:Encrypt", key["Arn"]):
        client.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext={"app": "db"})
    ann.may(deny("kms:Decrypt"))
    # He does not know which key it is, and is not told.
    why = "with an explicit deny in an identity-based policy"
    with refused("AccessDeniedException", f"kms:Decrypt on the resource associated with this ciphertext {why}"):
        client.decrypt(CiphertextBlob=closed, EncryptionContext=CONTEXT)


def test_a_key_policy_that_names_one_person_admits_nobody_else(kms, key, server, new_person, client_of):
    ann, bob = new_person(), new_person()
    bob.may(allow("kms:*"))
    me = client_of("sts").get_caller_identity()["Arn"]
    kms.put_key_policy(
        KeyId=key["KeyId"],
        Policy=document(allow("kms:*", to=me), allow("kms:Encrypt", to=ann.arn)),
    )
    assert ann.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")["KeyId"] == key["Arn"]
    with bob.denied("kms:Encrypt", key["Arn"], "because no resource-based policy allows the {action} action"):
        bob.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    with refused("MalformedPolicyDocumentException", "will not allow you to update the key policy"):
        kms.put_key_policy(KeyId=key["KeyId"], Policy=document(allow("kms:*", to=ann.arn)))


def test_aliases_and_tags_decide_at_once(kms, key, new_person, new_name):
    ann = new_person().may(
        allow("kms:Encrypt", when={"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/for-ann"}}),
        allow("kms:GenerateDataKeyWithoutPlaintext", when={"StringEquals": {"aws:ResourceTag/for": "ann"}}),
    )
    client = ann.client("kms")
    with ann.denied("kms:Encrypt", key["Arn"]):
        client.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    kms.create_alias(AliasName="alias/for-ann", TargetKeyId=key["KeyId"])
    client.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    with ann.denied("kms:GenerateDataKeyWithoutPlaintext", key["Arn"]):
        client.generate_data_key_without_plaintext(KeyId=key["KeyId"], KeySpec="AES_256")
    kms.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "for", "TagValue": "ann"}])
    client.generate_data_key_without_plaintext(KeyId=key["KeyId"], KeySpec="AES_256")
    kms.delete_alias(AliasName="alias/for-ann")
    with ann.denied("kms:Encrypt", key["Arn"]):
        client.encrypt(KeyId=key["KeyId"], Plaintext=b"x")


def test_a_grant_lets_in_whom_it_names_for_what_it_names(kms, key, new_person):
    ann, bob = new_person(), new_person()
    closed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    grant = kms.create_grant(
        KeyId=key["KeyId"],
        GranteePrincipal=ann.arn,
        RetiringPrincipal=bob.arn,
        Operations=["Decrypt", "CreateGrant"],
        Constraints={"EncryptionContextSubset": CONTEXT},
    )
    of_ann = ann.client("kms")
    assert of_ann.decrypt(CiphertextBlob=closed, EncryptionContext=CONTEXT)["Plaintext"] == b"x"
    with ann.denied("kms:Encrypt", key["Arn"]):
        of_ann.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=CONTEXT)

    # She hands on what she has, and no more.
    of_bob = bob.client("kms")
    more = {"KeyId": key["KeyId"], "GranteePrincipal": bob.arn}
    with ann.denied("kms:CreateGrant", key["Arn"]):
        of_ann.create_grant(Operations=["Encrypt"], Constraints={"EncryptionContextSubset": CONTEXT}, **more)
    with ann.denied("kms:CreateGrant", key["Arn"]):
        of_ann.create_grant(Operations=["Decrypt"], **more)
    of_ann.create_grant(Operations=["Decrypt"], Constraints={"EncryptionContextEquals": CONTEXT}, **more)
    assert of_bob.decrypt(CiphertextBlob=closed, EncryptionContext=CONTEXT)["Plaintext"] == b"x"

    # A denial is stronger; and whoever may retire a grant needs no policy for it.
    ann.may(deny("kms:Decrypt"))
    with refused("AccessDeniedException"):
        of_ann.decrypt(CiphertextBlob=closed, EncryptionContext=CONTEXT)
    ann.may_nothing()
    with ann.denied("kms:RetireGrant", key["Arn"]):
        of_ann.retire_grant(KeyId=key["Arn"], GrantId=grant["GrantId"])
    of_bob.retire_grant(GrantToken=grant["GrantToken"])
    with refused("AccessDeniedException"):
        of_ann.decrypt(CiphertextBlob=closed, EncryptionContext=CONTEXT)


def test_a_key_that_is_disabled_or_going_is_of_no_use_at_once(kms, key):
    closed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    kms.disable_key(KeyId=key["KeyId"])
    with refused("DisabledException", "is disabled."):
        kms.decrypt(CiphertextBlob=closed)
    kms.enable_key(KeyId=key["KeyId"])
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    with refused("KMSInvalidStateException", "is pending deletion."):
        kms.decrypt(CiphertextBlob=closed)
    kms.cancel_key_deletion(KeyId=key["KeyId"])
    kms.enable_key(KeyId=key["KeyId"])
    kms.rotate_key_on_demand(KeyId=key["KeyId"])
    assert kms.decrypt(CiphertextBlob=closed)["Plaintext"] == b"x"
    assert [one["RotationType"] for one in kms.list_key_rotations(KeyId=key["KeyId"])["Rotations"]] == ["ON_DEMAND"]


def test_the_key_of_secrets_manager_is_seen_and_not_touched(kms, sm, secret):
    managed = kms.describe_key(KeyId="alias/aws/secretsmanager")["KeyMetadata"]
    assert managed["KeyManager"] == "AWS"
    policy = json.loads(kms.get_key_policy(KeyId=managed["KeyId"])["Policy"])
    assert policy["Id"] == "auto-secretsmanager-2"
    for touch in (kms.disable_key, kms.schedule_key_deletion, kms.disable_key_rotation):
        with refused("AccessDeniedException"):
            touch(KeyId=managed["KeyId"])
    assert sm.get_secret_value(SecretId=secret["ARN"])["SecretString"] == "one"


def test_a_key_survives_a_restart(new_node, make_client):
    node = new_node().start()
    kms = make_client(node, node.credentials(), "kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    closed = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert node.stop() == 0
    node.start()
    assert make_client(node, node.credentials(), "kms").decrypt(CiphertextBlob=closed)["Plaintext"] == b"x"
    assert node.stop() == 0


def test_the_aws_cli(server, tmp_path):
    credentials = server.credentials()
    variables = {
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_PAGER": "",
    }

    def kms(*words: str) -> dict:
        done = subprocess.run([AWS, "kms", *words], env={**os.environ, **variables}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "{}")

    key = kms("create-key", "--description", "from the shell", "--tags", "TagKey=team,TagValue=red")["KeyMetadata"]["KeyId"]
    kms("create-alias", "--alias-name", "alias/from-the-shell", "--target-key-id", key)
    # Files are bytes to each version of the CLI.
    plain, closed = tmp_path / "plain", tmp_path / "closed"
    plain.write_bytes(b"hello")
    answer = kms("encrypt", "--key-id", "alias/from-the-shell", "--plaintext", f"fileb://{plain}")
    closed.write_bytes(base64.b64decode(answer["CiphertextBlob"]))
    assert kms("decrypt", "--ciphertext-blob", f"fileb://{closed}")["Plaintext"] == "aGVsbG8="
    kms("enable-key-rotation", "--key-id", key, "--rotation-period-in-days", "180")
    assert kms("get-key-rotation-status", "--key-id", key)["RotationPeriodInDays"] == 180
    assert kms("list-resource-tags", "--key-id", key)["Tags"] == [{"TagKey": "team", "TagValue": "red"}]
    assert kms("schedule-key-deletion", "--key-id", key, "--pending-window-in-days", "7")["KeyState"] == "PendingDeletion"

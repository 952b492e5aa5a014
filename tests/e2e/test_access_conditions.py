"""When somebody may: conditions on the call, on the connection, and on what was asked for.

What stands in a condition has to be true in the answer of the next call already, so each test asks once for yes and once for no.
"""

import pytest

from expect import refused
from people import OWN_POLICY_DENIES, POLICY_OF_RESOURCE_DENIES, READ, allow, deny, document

KMS_DENIED = "Access to KMS is not allowed"


@pytest.fixture
def ann(new_person):
    return new_person()


def test_a_stage_counts_only_when_it_is_asked_for(ann, sm, secret):
    sm.put_secret_value(SecretId=secret["ARN"], SecretString="two")
    stage = "secretsmanager:VersionStage"
    client = ann.may(allow(READ, when={"StringEquals": {stage: "AWSCURRENT"}})).client()
    assert client.get_secret_value(SecretId=secret["ARN"], VersionStage="AWSCURRENT")["SecretString"] == "two"
    # Who names no stage gets the current version, and a condition that has nothing to compare does not hold.
    for asked in ({}, {"VersionStage": "AWSPREVIOUS"}, {"VersionId": secret["VersionId"]}):
        with ann.denied(READ, secret["ARN"]):
            client.get_secret_value(SecretId=secret["ARN"], **asked)
    ann.may(allow(READ, when={"StringEqualsIfExists": {stage: "AWSCURRENT"}}))
    assert client.get_secret_value(SecretId=secret["ARN"])["SecretString"] == "two"
    ann.may(allow(READ, when={"Null": {stage: "true", "secretsmanager:VersionId": "true"}}))
    assert client.get_secret_value(SecretId=secret["ARN"])["SecretString"] == "two"
    with ann.denied(READ, secret["ARN"]):
        client.get_secret_value(SecretId=secret["ARN"], VersionStage="AWSCURRENT")


def test_deleting_takes_a_week_at_least(ann, sm, secret):
    delete = "secretsmanager:DeleteSecret"
    ann.may(
        allow(delete),
        deny(delete, when={"Bool": {"secretsmanager:ForceDeleteWithoutRecovery": "true"}}),
        deny(delete, when={"NumericLessThan": {"secretsmanager:RecoveryWindowInDays": "14"}}),
    )
    for asked in ({"ForceDeleteWithoutRecovery": True}, {"RecoveryWindowInDays": 13}):
        with ann.denied(delete, secret["Name"], OWN_POLICY_DENIES):
            ann.client().delete_secret(SecretId=secret["Name"], **asked)
    ann.client().delete_secret(SecretId=secret["Name"], RecoveryWindowInDays=14)
    assert "DeletedDate" in sm.describe_secret(SecretId=secret["Name"])


def test_rules_of_a_rotation_may_be_left_to_others(ann, sm, secret):
    rotate = "secretsmanager:RotateSecret"
    ann.may(allow(rotate), deny(rotate, when={"Bool": {"secretsmanager:ModifyRotationRules": "true"}}))
    with ann.denied(rotate, secret["Name"], OWN_POLICY_DENIES):
        ann.client().rotate_secret(SecretId=secret["Name"], RotationRules={"AutomaticallyAfterDays": 1})
    # Without them he gets as far as the missing function.
    with refused("InvalidRequestException"):
        ann.client().rotate_secret(SecretId=secret["Name"])


def test_a_secret_is_named_by_its_arn_in_conditions_too(ann, sm, secret, new_name):
    other = sm.create_secret(Name=new_name(), SecretString="other")
    ann.may(allow(READ, when={"ArnEquals": {"secretsmanager:SecretId": secret["ARN"]}}))
    for asked in (secret["Name"], secret["ARN"]):
        assert ann.client().get_secret_value(SecretId=asked)["SecretString"] == "one"
    with ann.denied(READ, other["Name"]):
        ann.client().get_secret_value(SecretId=other["Name"])


def test_where_a_call_comes_from(ann, secret):
    here, elsewhere = {"aws:SourceIp": ["127.0.0.0/8", "::1/128"]}, {"aws:SourceIp": "203.0.113.0/24"}
    read = lambda: ann.client().describe_secret(SecretId=secret["Name"])["ARN"]
    describe = "secretsmanager:DescribeSecret"
    ann.may(allow(describe, when={"IpAddress": here}))
    assert read() == secret["ARN"]
    ann.may(allow(describe, when={"IpAddress": elsewhere}))
    with ann.denied(describe, secret["Name"]):
        read()
    ann.may(allow(describe), deny(describe, when={"NotIpAddress": here}))
    assert read() == secret["ARN"]
    ann.may(allow(describe), deny(describe, when={"NotIpAddress": elsewhere}))
    with ann.denied(describe, secret["Name"], OWN_POLICY_DENIES):
        read()


def test_a_deny_by_address_stops_the_key_of_a_secret_too_unless_it_leaves_services_alone(ann, secret):
    """Secrets Manager asks KMS for the caller, and that call has no address. AWS documents the trap and the way around it."""
    off_site = {"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    ann.may(allow("*"), deny("*", when=off_site))
    assert ann.client().describe_secret(SecretId=secret["Name"])["ARN"] == secret["ARN"]
    with refused("AccessDeniedException", KMS_DENIED):
        ann.client().get_secret_value(SecretId=secret["Name"])
    ann.may(allow("*"), deny("*", when={**off_site, "Bool": {"aws:ViaAWSService": "false"}}))
    assert ann.client().get_secret_value(SecretId=secret["Name"])["SecretString"] == "one"


def test_the_managed_key_needs_no_permission_and_obeys_a_deny(ann, secret):
    ann.may(allow(READ))
    assert ann.client().get_secret_value(SecretId=secret["Name"])["SecretString"] == "one"
    for when in (
        {"Bool": {"aws:ViaAWSService": "true"}},
        {"StringLike": {"kms:ViaService": "secretsmanager.*.amazonaws.com"}},
        {"ForAnyValue:StringEquals": {"aws:CalledVia": "secretsmanager.amazonaws.com"}},
        {"StringEquals": {"kms:EncryptionContext:SecretARN": secret["ARN"]}},
    ):
        ann.may(allow(READ), deny("kms:Decrypt", when=when))
        with refused("AccessDeniedException", KMS_DENIED):
            ann.client().get_secret_value(SecretId=secret["Name"])
    ann.may(allow(READ), deny("kms:Decrypt", when={"StringNotEquals": {"kms:EncryptionContext:SecretARN": secret["ARN"]}}))
    assert ann.client().get_secret_value(SecretId=secret["Name"])["SecretString"] == "one"


def test_only_in_some_regions(ann, client_of, new_region, secret, new_name):
    allowed, other = new_region(), new_region()
    ann.may(allow("secretsmanager:*"), deny("*", when={"StringNotEquals": {"aws:RequestedRegion": allowed}}))
    name = new_name()
    assert ann.client(region=allowed).create_secret(Name=name, SecretString="x")["Name"] == name
    with ann.denied("secretsmanager:CreateSecret", name, OWN_POLICY_DENIES):
        ann.client(region=other).create_secret(Name=name, SecretString="x")
    # The region may as well stand in the resource.
    ann.may(allow("secretsmanager:DescribeSecret", on=f"arn:aws:secretsmanager:{allowed}:*:secret:*"))
    assert ann.client(region=allowed).describe_secret(SecretId=name)["Name"] == name
    with ann.denied("secretsmanager:DescribeSecret", secret["Name"]):
        ann.client().describe_secret(SecretId=secret["Name"])


def test_until_a_date(ann, secret):
    day = "secretsmanager:DescribeSecret"
    ann.may(allow(day, when={"DateLessThan": {"aws:CurrentTime": "2099-01-01T00:00:00Z"}}))
    assert ann.client().describe_secret(SecretId=secret["Name"])["ARN"] == secret["ARN"]
    ann.may(allow(day, when={"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}))
    with ann.denied(day, secret["Name"]):
        ann.client().describe_secret(SecretId=secret["Name"])


def test_who_it_is(ann, new_person, sm, secret):
    """The policy of a secret for everybody whose ARN fits, which is how a pattern of principals is written."""
    bob = new_person(path="/apps/")
    apps = {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/apps/*"}}
    sm.put_resource_policy(SecretId=secret["ARN"], ResourcePolicy=document(allow(READ, to="*", when=apps)))
    assert bob.client().get_secret_value(SecretId=secret["ARN"])["SecretString"] == "one"
    with ann.denied(READ, secret["ARN"]):
        ann.client().get_secret_value(SecretId=secret["ARN"])


def test_who_may_read_is_said_by_the_secret_in_a_deny_of_all_others(ann, new_person, sm, secret):
    bob = new_person().may(allow(READ))
    ann.may(allow(READ))
    others = {"StringNotEquals": {"aws:PrincipalArn": ann.arn}}
    sm.put_resource_policy(SecretId=secret["ARN"], ResourcePolicy=document(deny(READ, to="*", when=others)))
    assert ann.client().get_secret_value(SecretId=secret["ARN"])["SecretString"] == "one"
    with bob.denied(READ, secret["ARN"], POLICY_OF_RESOURCE_DENIES):
        bob.client().get_secret_value(SecretId=secret["ARN"])
    with refused("AccessDeniedException", POLICY_OF_RESOURCE_DENIES):
        sm.get_secret_value(SecretId=secret["ARN"])


def test_a_variable_in_the_policy_of_a_secret(ann, new_person, sm, secret):
    """Tags of a person and of a secret, compared by the secret."""
    member, other = new_person(team="blue"), new_person(team="green")
    sm.tag_resource(SecretId=secret["ARN"], Tags=[{"Key": "team", "Value": "blue"}])
    same_team = {"StringEquals": {"aws:PrincipalTag/team": "${aws:ResourceTag/team}"}}
    sm.put_resource_policy(SecretId=secret["ARN"], ResourcePolicy=document(allow(READ, to="*", when=same_team)))
    assert member.client().get_secret_value(SecretId=secret["ARN"])["SecretString"] == "one"
    for person in (ann, other):
        with person.denied(READ, secret["ARN"]):
            person.client().get_secret_value(SecretId=secret["ARN"])


def test_clear_text_is_refused_where_a_policy_wants_tls(new_node, make_client, new_person):
    """The usual statement of a secret that must not travel in clear text, on loopback and behind TLS."""
    insecure = document(deny("secretsmanager:*", to="*", when={"Bool": {"aws:SecureTransport": "false"}}))
    clear, secure = new_node().start(), new_node()
    config = secure.place / "coffer.toml"
    config.write_text("[tls]\nautomatic = true\n")
    secure.start(*secure.server_words(), "--config", str(config))
    assert secure.endpoint.startswith("https://")
    for node, is_allowed in ((clear, False), (secure, True)):
        more = {"verify": str(node.data_dir / "tls" / "ca.pem")} if is_allowed else {}
        client = make_client(node, node.credentials(), **more)
        arn = client.create_secret(Name="db", SecretString="one")["ARN"]
        client.put_resource_policy(SecretId=arn, ResourcePolicy=insecure)
        if is_allowed:
            assert client.get_secret_value(SecretId=arn)["SecretString"] == "one"
        else:
            with refused("AccessDeniedException", POLICY_OF_RESOURCE_DENIES):
                client.get_secret_value(SecretId=arn)
        assert node.stop() == 0, node.said()

"""What a permissions boundary leaves of what somebody may, and what goes past it."""

import pytest

from people import BOUNDARY_DOES_NOT_ALLOW, OWN_POLICY_DENIES, READ, allow, deny, document
from process import Credentials

LIST = "secretsmanager:ListSecrets"
DESCRIBE = "secretsmanager:DescribeSecret"
BOUNDARY_DENIES = "with an explicit deny in a permissions boundary"


@pytest.fixture(scope="session")
def iam(client_of):
    return client_of("iam")


@pytest.fixture
def boundary(iam, new_name):
    """Reading and describing of secrets, and no list of them."""
    text = document(allow("secretsmanager:*"), deny(LIST))
    return iam.create_policy(PolicyName=new_name("boundary").replace("/", "-"), PolicyDocument=text)["Policy"]["Arn"]


def test_a_boundary_gives_nothing(new_person, boundary, secret):
    ann = new_person(boundary=boundary)
    with ann.denied(READ, secret["Name"]):
        ann.client().get_secret_value(SecretId=secret["Name"])


def test_a_boundary_caps_what_policies_give(new_person, boundary, secret):
    ann = new_person(boundary=boundary).may(allow("*"))
    assert ann.client().describe_secret(SecretId=secret["Name"])["ARN"] == secret["ARN"]
    with ann.denied("iam:GetUser", ann.shown, BOUNDARY_DOES_NOT_ALLOW, code="AccessDenied"):
        ann.client("iam").get_user()
    with ann.denied(LIST, None, BOUNDARY_DENIES):
        ann.client().list_secrets()
    # The reason that is named first is the one in the user's own policies.
    ann.may(allow("*"), deny(LIST))
    with ann.denied(LIST, None, OWN_POLICY_DENIES):
        ann.client().list_secrets()


def test_a_boundary_is_there_and_gone_with_the_next_call(new_person, boundary, iam):
    ann = new_person().may(allow("*"))
    for _ in range(2):
        assert ann.client("iam").get_user()["User"]["UserName"] == ann.name
        iam.put_user_permissions_boundary(UserName=ann.name, PermissionsBoundary=boundary)
        with ann.denied("iam:GetUser", ann.shown, BOUNDARY_DOES_NOT_ALLOW, code="AccessDenied"):
            ann.client("iam").get_user()
        iam.delete_user_permissions_boundary(UserName=ann.name)


def test_a_new_version_of_a_boundary_counts_at_once(new_person, boundary, iam, secret):
    ann = new_person(boundary=boundary).may(allow("*"))
    iam.create_policy_version(PolicyArn=boundary, PolicyDocument=document(allow(DESCRIBE, LIST)), SetAsDefault=True)
    ann.client().list_secrets()
    with ann.denied(READ, secret["Name"], BOUNDARY_DOES_NOT_ALLOW):
        ann.client().get_secret_value(SecretId=secret["Name"])


def test_a_secret_that_names_a_user_goes_past_his_boundary_unless_it_denies(new_person, iam, sm, boundary, secret):
    ann = new_person(boundary=boundary)
    iam.create_policy_version(PolicyArn=boundary, PolicyDocument=document(allow(DESCRIBE)), SetAsDefault=True)
    sm.put_resource_policy(SecretId=secret["ARN"], ResourcePolicy=document(allow(READ, to=ann.arn)))
    assert ann.client().get_secret_value(SecretId=secret["ARN"])["SecretString"] == "one"
    iam.create_policy_version(PolicyArn=boundary, PolicyDocument=document(deny(READ)), SetAsDefault=True)
    with ann.denied(READ, secret["ARN"], BOUNDARY_DENIES):
        ann.client().get_secret_value(SecretId=secret["ARN"])


def test_a_role_that_is_named_by_a_secret_is_bounded_and_its_session_by_its_own_arn_is_not(
    client_of, make_client, server, iam, sm, boundary, secret, new_name
):
    """AWS documents both: a role is who may be limited, and a session that is named by its own ARN is past the limits."""
    account = secret["ARN"].split(":")[4]
    trust = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole"}
    name = new_name("role").replace("/", "-")
    iam.create_policy_version(PolicyArn=boundary, PolicyDocument=document(allow(DESCRIBE)), SetAsDefault=True)
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust), PermissionsBoundary=boundary)["Role"]["Arn"]
    answer = client_of("sts").assume_role(RoleArn=role, RoleSessionName="work")
    keys = answer["Credentials"]
    session = make_client(
        server, Credentials(keys["AccessKeyId"], keys["SecretAccessKey"]), token=keys["SessionToken"]
    )  # fmt: skip

    sm.put_resource_policy(SecretId=secret["ARN"], ResourcePolicy=document(allow(READ, to=role)))
    with pytest.raises(session.exceptions.ClientError, match="because no permissions boundary allows"):
        session.get_secret_value(SecretId=secret["ARN"])
    sm.put_resource_policy(SecretId=secret["ARN"], ResourcePolicy=document(allow(READ, to=answer["AssumedRoleUser"]["Arn"])))
    assert session.get_secret_value(SecretId=secret["ARN"])["SecretString"] == "one"

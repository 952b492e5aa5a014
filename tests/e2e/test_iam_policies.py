"""Managed policies and groups, as boto3 sees them: versions, holders, members, and what stands in the way of deleting."""

import itertools
import json

import pytest

from expect import is_recent, refused
from process import Credentials

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
CLIENT_READ = "arn:aws:iam::aws:policy/AWSSecretsManagerClientReadOnlyAccess"


def document(*actions):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


READ, WRITE = document("secretsmanager:GetSecretValue"), document("secretsmanager:*")


@pytest.fixture(scope="session")
def iam(client_of):
    return client_of("iam")


@pytest.fixture(scope="session")
def named():
    numbers = itertools.count(1)
    return lambda prefix="policy": f"held-{prefix}-{next(numbers)}"


@pytest.fixture
def policy(iam, named):
    return iam.create_policy(PolicyName=named(), PolicyDocument=json.dumps(READ))["Policy"]


@pytest.fixture
def user(iam, named):
    return iam.create_user(UserName=named("user"))["User"]


@pytest.fixture
def group(iam, named):
    return iam.create_group(GroupName=named("group"))["Group"]


def test_a_policy_is_there_at_once_with_everything_it_was_made_with(iam, named):
    name = named("Policy")
    made = iam.create_policy(
        PolicyName=name, Path="/team/blue/", PolicyDocument=json.dumps(READ, indent=2), Description="Reads = orders & <more>",
        Tags=[{"Key": "team", "Value": "blue"}],
    )["Policy"]  # fmt: skip
    assert made["PolicyId"].startswith("ANPA") and made["Arn"].endswith(f":policy/team/blue/{name}")
    assert is_recent(made["CreateDate"]) and made["AttachmentCount"] == 0
    found = iam.get_policy(PolicyArn=made["Arn"])["Policy"]
    assert found.pop("Description") == "Reads = orders & <more>"
    assert found == made
    version = iam.get_policy_version(PolicyArn=made["Arn"], VersionId="v1")["PolicyVersion"]
    assert version["Document"] == READ and version["IsDefaultVersion"]
    iam.get_waiter("policy_exists").wait(PolicyArn=made["Arn"])
    (listed,) = iam.list_policies(PathPrefix="/team/blue/")["Policies"]
    assert made.keys() - listed.keys() == {"Tags"}
    with refused("EntityAlreadyExists", f"A policy called {name} already exists. Duplicate names are not allowed."):
        iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(READ))


def test_versions_are_five_at_most_and_numbered_for_ever(iam, policy):
    arn = policy["Arn"]
    for number in range(2, 6):
        made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(WRITE), SetAsDefault=number == 3)["PolicyVersion"]
        assert (made["VersionId"], made["IsDefaultVersion"]) == (f"v{number}", number == 3)
    with refused("LimitExceeded", "A managed policy can have up to 5 versions."):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(WRITE))
    with refused("DeleteConflict", "Cannot delete the default version of a policy."):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(WRITE))["PolicyVersion"]["VersionId"] == "v6"
    pages = iam.get_paginator("list_policy_versions").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 2})
    versions = [version for page in pages for version in page["Versions"]]
    assert [version["VersionId"] for version in versions] == ["v6", "v5", "v4", "v2", "v1"]
    assert [version["VersionId"] for version in versions if version["IsDefaultVersion"]] == ["v2"]
    assert not [version for version in versions if "Document" in version]


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("{", "Syntax errors in policy."),
        (json.dumps(READ).replace("2012", "2008"), "Policy document must be version 2012-10-17 or greater."),
        (json.dumps(document("GetSecretValue")), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
    ],
)
def test_a_policy_that_is_none(iam, policy, named, text, sentence):
    with refused("MalformedPolicyDocument", sentence):
        iam.create_policy(PolicyName=named(), PolicyDocument=text)
    with refused("MalformedPolicyDocument", sentence):
        iam.create_policy_version(PolicyArn=policy["Arn"], PolicyDocument=text)
    assert len(iam.list_policy_versions(PolicyArn=policy["Arn"])["Versions"]) == 1


def test_a_policy_in_use_stays_and_says_who_uses_it(iam, policy, user, group):
    arn = policy["Arn"]
    iam.attach_user_policy(UserName=user["UserName"], PolicyArn=arn)
    iam.attach_group_policy(GroupName=group["GroupName"], PolicyArn=arn)
    iam.put_user_permissions_boundary(UserName=user["UserName"], PermissionsBoundary=arn)
    found = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (found["AttachmentCount"], found["PermissionsBoundaryUsageCount"]) == (2, 1)
    pages = list(iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 1}))
    held = [[page["PolicyGroups"], page["PolicyUsers"], page["PolicyRoles"]] for page in pages]
    assert held == [
        [[{"GroupName": group["GroupName"], "GroupId": group["GroupId"]}], [], []],
        [[], [{"UserName": user["UserName"], "UserId": user["UserId"]}], []],
    ]
    for end in (
        lambda: iam.detach_user_policy(UserName=user["UserName"], PolicyArn=arn),
        lambda: iam.detach_group_policy(GroupName=group["GroupName"], PolicyArn=arn),
        lambda: iam.delete_user_permissions_boundary(UserName=user["UserName"]),
    ):
        with refused("DeleteConflict", "Cannot delete a policy attached to entities."):
            iam.delete_policy(PolicyArn=arn)
        end()
    iam.delete_policy(PolicyArn=arn)
    with refused("NoSuchEntity", f"Policy {arn} was not found."):
        iam.get_policy(PolicyArn=arn)


def test_what_comes_with_every_account_cannot_be_changed(iam):
    pages = iam.get_paginator("list_policies").paginate(Scope="AWS", PaginationConfig={"PageSize": 5})
    bundled = [policy for page in pages for policy in page["Policies"]]
    names = [policy["PolicyName"] for policy in bundled]
    assert names == sorted(names) and len(names) == 16
    for policy in bundled:
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        assert version["Document"]["Version"] == "2012-10-17" and version["IsDefaultVersion"]
    for refuse in (
        lambda: iam.delete_policy(PolicyArn=ADMINISTRATOR_ACCESS),
        lambda: iam.create_policy_version(PolicyArn=ADMINISTRATOR_ACCESS, PolicyDocument=json.dumps(READ), SetAsDefault=True),
        lambda: iam.tag_policy(PolicyArn=ADMINISTRATOR_ACCESS, Tags=[{"Key": "a", "Value": "1"}]),
    ):
        with refused("AccessDenied", "Policy is outside your own account."):
            refuse()


def test_a_group_and_its_users(iam, group, named):
    names = sorted(iam.create_user(UserName=named("member"))["User"]["UserName"] for _ in range(3))
    for name in names:
        iam.add_user_to_group(GroupName=group["GroupName"], UserName=name)
    pages = list(iam.get_paginator("get_group").paginate(GroupName=group["GroupName"], PaginationConfig={"PageSize": 2}))
    assert [user["UserName"] for page in pages for user in page["Users"]] == names
    assert {page["Group"]["Arn"] for page in pages} == {group["Arn"]}

    renamed = named("Group")
    iam.update_group(GroupName=group["GroupName"], NewGroupName=renamed, NewPath="/moved/")
    (of_user,) = iam.list_groups_for_user(UserName=names[0])["Groups"]
    assert (of_user["GroupName"], of_user["GroupId"], of_user["Path"]) == (renamed, group["GroupId"], "/moved/")
    with refused("NoSuchEntity", f"The group with name {group['GroupName']} cannot be found."):
        iam.get_group(GroupName=group["GroupName"])

    with refused("DeleteConflict", "Cannot delete entity, must remove users from group first."):
        iam.delete_user(UserName=names[0])
    for name in names:
        with refused("DeleteConflict", "Cannot delete entity, must remove users from group first."):
            iam.delete_group(GroupName=renamed)
        iam.remove_user_from_group(GroupName=renamed, UserName=name)
        iam.delete_user(UserName=name)
    iam.delete_group(GroupName=renamed)


def test_what_a_group_holds_its_users_may(iam, sm, make_client, server, group, user, secret):
    key = iam.create_access_key(UserName=user["UserName"])["AccessKey"]
    member = make_client(server, Credentials(key["AccessKeyId"], key["SecretAccessKey"]))
    with refused("AccessDeniedException", "because no identity-based policy allows the secretsmanager:GetSecretValue action"):
        member.get_secret_value(SecretId=secret["ARN"])
    iam.add_user_to_group(GroupName=group["GroupName"], UserName=user["UserName"])
    iam.attach_group_policy(GroupName=group["GroupName"], PolicyArn=CLIENT_READ)
    assert member.get_secret_value(SecretId=secret["ARN"])["SecretString"] == "one"
    with refused("AccessDeniedException", "secretsmanager:PutSecretValue"):
        member.put_secret_value(SecretId=secret["ARN"], SecretString="two")
    iam.update_group(GroupName=group["GroupName"], NewGroupName=group["GroupName"] + "-renamed")
    assert member.get_secret_value(SecretId=secret["ARN"])["SecretString"] == "one"
    iam.remove_user_from_group(GroupName=group["GroupName"] + "-renamed", UserName=user["UserName"])
    with refused("AccessDeniedException", "secretsmanager:GetSecretValue"):
        member.get_secret_value(SecretId=secret["ARN"])


def test_a_version_that_is_put_in_force_decides(iam, make_client, server, policy, user, secret):
    key = iam.create_access_key(UserName=user["UserName"])["AccessKey"]
    reader = make_client(server, Credentials(key["AccessKeyId"], key["SecretAccessKey"]))
    iam.attach_user_policy(UserName=user["UserName"], PolicyArn=policy["Arn"])
    assert reader.get_secret_value(SecretId=secret["ARN"])["SecretString"] == "one"
    other = json.dumps(document("secretsmanager:ListSecrets"))
    iam.create_policy_version(PolicyArn=policy["Arn"], PolicyDocument=other)
    assert reader.get_secret_value(SecretId=secret["ARN"])["SecretString"] == "one"
    iam.set_default_policy_version(PolicyArn=policy["Arn"], VersionId="v2")
    with refused("AccessDeniedException", "secretsmanager:GetSecretValue"):
        reader.get_secret_value(SecretId=secret["ARN"])


def test_a_password_is_kept_and_never_shown(iam, server, user):
    name, password = user["UserName"], "Canary-in-a-Password-7"
    with refused("NoSuchEntity", f"Login Profile for User {name} cannot be found."):
        iam.get_login_profile(UserName=name)
    with refused("PasswordPolicyViolation", "Password does not conform to the account password policy."):
        iam.create_login_profile(UserName=name, Password="password")
    made = iam.create_login_profile(UserName=name, Password=password, PasswordResetRequired=True)
    assert password not in str(made)
    profile = made["LoginProfile"]
    assert iam.get_login_profile(UserName=name)["LoginProfile"] == profile
    assert profile["PasswordResetRequired"] and is_recent(profile["CreateDate"])
    with refused("DeleteConflict", "Cannot delete entity, must delete login profile first."):
        iam.delete_user(UserName=name)
    iam.delete_login_profile(UserName=name)
    iam.delete_user(UserName=name)
    assert password not in server.said()


def test_a_summary_counts(iam, named):
    before = iam.get_account_summary()["SummaryMap"]
    iam.create_group(GroupName=named("counted"))
    iam.create_policy(PolicyName=named("counted"), PolicyDocument=json.dumps(READ))
    after = iam.get_account_summary()["SummaryMap"]
    changed = {key: after[key] - before[key] for key in after if after[key] != before[key]}
    assert changed == {"Groups": 1, "Policies": 1, "PolicyVersionsInUse": 1}

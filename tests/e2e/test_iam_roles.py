"""Roles, instance profiles and identity providers, as boto3 sees them: who trusts whom, and what goes with what."""

import itertools
import json

import pytest

from expect import is_recent, refused
from process import Credentials

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
READ = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}],
}


def trust(**principal):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


EC2 = trust(Service="ec2.amazonaws.com")


@pytest.fixture(scope="session")
def iam(client_of):
    return client_of("iam")


@pytest.fixture(scope="session")
def named():
    """Names that nobody else has: a path keeps what a test lists apart from what others made."""
    numbers = itertools.count(1)
    return lambda prefix="role": f"trusted-{prefix}-{next(numbers)}"


@pytest.fixture
def role(iam, named):
    return iam.create_role(RoleName=named(), AssumeRolePolicyDocument=json.dumps(EC2))["Role"]


def test_a_role_is_there_at_once_with_everything_it_was_made_with(iam, named):
    name = named("Role")
    made = iam.create_role(
        RoleName=name, Path="/team/blue/", AssumeRolePolicyDocument=json.dumps(EC2), Description="Runs = orders & <more>",
        MaxSessionDuration=7200, PermissionsBoundary=ADMINISTRATOR_ACCESS, Tags=[{"Key": "team", "Value": "blue"}],
    )["Role"]  # fmt: skip
    assert made["RoleId"].startswith("AROA") and made["Arn"].endswith(f":role/team/blue/{name}")
    assert is_recent(made["CreateDate"])
    found = iam.get_role(RoleName=name.upper())["Role"]
    assert found.pop("RoleLastUsed") == {}
    assert found == made
    assert found["AssumeRolePolicyDocument"] == EC2
    assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == ADMINISTRATOR_ACCESS

    (listed,) = iam.list_roles(PathPrefix="/team/blue/")["Roles"]
    assert made.keys() - listed.keys() == {"Tags", "PermissionsBoundary"}
    assert all(made[member] == value for member, value in listed.items())


def test_what_was_not_given_is_not_there(iam, role):
    found = iam.get_role(RoleName=role["RoleName"])["Role"]
    assert not {"Description", "Tags", "PermissionsBoundary"} & found.keys()
    assert found["MaxSessionDuration"] == 3600


def test_pages_of_roles_are_the_whole_in_order(iam, named):
    path = f"/{named('pages')}/"
    names = sorted(named("paged") for _ in range(5))
    for name in names:
        iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(EC2))
    pages = list(iam.get_paginator("list_roles").paginate(PathPrefix=path, PaginationConfig={"PageSize": 2}))
    assert [len(page["Roles"]) for page in pages] == [2, 2, 1]
    assert [role["RoleName"] for page in pages for role in page["Roles"]] == names
    assert [page["IsTruncated"] for page in pages] == [True, True, False]


def test_a_trust_policy_means_who_had_the_name_when_it_was_written(iam, role, named):
    old, new = named("user"), named("user")
    user = iam.create_user(UserName=old)["User"]
    iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=json.dumps(trust(AWS=user["Arn"])))

    def trusted():
        document = iam.get_role(RoleName=role["RoleName"])["Role"]["AssumeRolePolicyDocument"]
        return document["Statement"][0]["Principal"]["AWS"]

    assert trusted() == user["Arn"]
    iam.update_user(UserName=old, NewUserName=new, NewPath="/moved/")
    assert trusted() == iam.get_user(UserName=new)["User"]["Arn"]
    iam.create_user(UserName=old)
    assert trusted() == iam.get_user(UserName=new)["User"]["Arn"]
    iam.delete_user(UserName=new)
    assert trusted() == user["UserId"]


def test_a_renamed_user_signs_with_the_same_keys(iam, make_client, server, named):
    old, new = named("user"), named("user")
    user_id = iam.create_user(UserName=old)["User"]["UserId"]
    iam.attach_user_policy(UserName=old, PolicyArn=ADMINISTRATOR_ACCESS)
    key = iam.create_access_key(UserName=old)["AccessKey"]
    iam.update_user(UserName=old, NewUserName=new)
    sts = make_client(server, Credentials(key["AccessKeyId"], key["SecretAccessKey"]), "sts")
    who = sts.get_caller_identity()
    assert who["Arn"].endswith(f":user/{new}") and who["UserId"] == user_id
    (listed,) = iam.list_access_keys(UserName=new)["AccessKeyMetadata"]
    assert (listed["UserName"], listed["AccessKeyId"]) == (new, key["AccessKeyId"])
    with refused("NoSuchEntity", old):
        iam.get_user(UserName=old)


@pytest.mark.parametrize(
    "document, sentence",
    [
        ("{", "This policy contains invalid Json"),
        (json.dumps(READ), "Has prohibited field Resource."),
        (
            json.dumps(trust(AWS="arn:aws:iam::{account}:user/nobody")),
            'Invalid principal in policy: "AWS":"arn:aws:iam::{account}:user/nobody"',
        ),
        (json.dumps(trust(AWS="nobody")), 'Invalid principal in policy: "AWS":"nobody"'),
    ],
)
def test_a_trust_policy_that_is_none(iam, role, named, document, sentence):
    account = role["Arn"].split(":")[4]
    document, sentence = (text.replace("{account}", account) for text in (document, sentence))
    with refused("MalformedPolicyDocument", sentence):
        iam.create_role(RoleName=named(), AssumeRolePolicyDocument=document)
    with refused("MalformedPolicyDocument", sentence):
        iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=document)
    assert iam.get_role(RoleName=role["RoleName"])["Role"]["AssumeRolePolicyDocument"] == EC2


def test_a_trust_policy_that_is_too_long(iam, named):
    long = trust(Service=[f"s{number:04}{'x' * 30}.amazonaws.com" for number in range(45)])
    with refused("LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048"):
        iam.create_role(RoleName=named(), AssumeRolePolicyDocument=json.dumps(long))
    # White space is not counted.
    iam.create_role(RoleName=named(), AssumeRolePolicyDocument=json.dumps(EC2, indent=500))


def test_policies_of_a_role(iam, role):
    name = role["RoleName"]
    text = json.dumps(READ, indent=3) + "\n"
    iam.put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=text)
    iam.attach_role_policy(RoleName=name, PolicyArn=ADMINISTRATOR_ACCESS)
    assert iam.get_role_policy(RoleName=name, PolicyName="read")["PolicyDocument"] == READ
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == ["read"]
    (attached,) = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert attached == {"PolicyName": "AdministratorAccess", "PolicyArn": ADMINISTRATOR_ACCESS}
    with refused("DeleteConflict", "must detach all policies first."):
        iam.delete_role(RoleName=name)
    iam.detach_role_policy(RoleName=name, PolicyArn=ADMINISTRATOR_ACCESS)
    with refused("DeleteConflict", "must delete policies first."):
        iam.delete_role(RoleName=name)
    iam.delete_role_policy(RoleName=name, PolicyName="read")
    iam.delete_role(RoleName=name)
    with refused("NoSuchEntity", f"The role with name {name} cannot be found."):
        iam.get_role(RoleName=name)


def test_an_instance_profile_carries_one_role_and_keeps_it(iam, role, named):
    name, profile = role["RoleName"], named("profile")
    made = iam.create_instance_profile(InstanceProfileName=profile, Path="/web/")["InstanceProfile"]
    assert made["Roles"] == [] and made["InstanceProfileId"].startswith("AIPA")
    iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=name)
    with refused("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"):
        iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=name)
    found = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]
    assert [inner["Arn"] for inner in found["Roles"]] == [role["Arn"]]
    (listed,) = iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]
    assert listed["Arn"] == made["Arn"]
    for refuse in (lambda: iam.delete_role(RoleName=name), lambda: iam.delete_instance_profile(InstanceProfileName=profile)):
        with refused("DeleteConflict", "must remove roles from instance profile first."):
            refuse()
    iam.remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=name)
    iam.delete_instance_profile(InstanceProfileName=profile)
    iam.delete_role(RoleName=name)


def test_boto3_waits_until_a_role_and_a_profile_exist(iam, role, named):
    iam.get_waiter("role_exists").wait(RoleName=role["RoleName"])
    profile = named("profile")
    iam.create_instance_profile(InstanceProfileName=profile)
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName=profile)


def test_an_identity_provider(iam, named):
    host = f"{named('issuer')}.example.com/realms/one"
    arn = iam.create_open_id_connect_provider(
        Url=f"https://{host}", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["0123456789" * 4],
        Tags=[{"Key": "team", "Value": "blue"}],
    )["OpenIDConnectProviderArn"]  # fmt: skip
    assert arn.endswith(f":oidc-provider/{host}")
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="app")
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="sts.amazonaws.com")
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["ABCDEF0123" * 4])
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert (found["Url"], found["ClientIDList"], found["ThumbprintList"]) == (host, ["app"], ["ABCDEF0123" * 4])
    assert found["Tags"] == [{"Key": "team", "Value": "blue"}] and is_recent(found["CreateDate"])
    assert arn in [known["Arn"] for known in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
    with refused("EntityAlreadyExists", f"Provider with url https://{host} already exists."):
        iam.create_open_id_connect_provider(Url=f"https://{host}")
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    with refused("NoSuchEntity", arn):
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)


def test_a_role_of_a_service_is_changed_by_nobody_and_deleted_in_its_own_way(iam):
    made = iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")["Role"]
    name = made["RoleName"]
    assert made["Path"] == "/aws-service-role/ecs.amazonaws.com/"
    for refuse in (
        lambda: iam.delete_role(RoleName=name),
        lambda: iam.attach_role_policy(RoleName=name, PolicyArn=ADMINISTRATOR_ACCESS),
        lambda: iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(EC2)),
    ):
        with refused("UnmodifiableEntity", f"'{name}' - this role is only modifiable by AWS"):
            refuse()
    task = iam.delete_service_linked_role(RoleName=name)["DeletionTaskId"]
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    with refused("NoSuchEntity"):
        iam.get_role(RoleName=name)


@pytest.mark.parametrize("kind", ["role", "instance_profile", "open_id_connect_provider"])
def test_tags(iam, named, kind):
    name = named("tagged")
    match kind:
        case "role":
            which = {"RoleName": name}
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(EC2))
        case "instance_profile":
            which = {"InstanceProfileName": name}
            iam.create_instance_profile(InstanceProfileName=name)
        case _:
            made = iam.create_open_id_connect_provider(Url=f"https://{name}.example.com")
            which = {"OpenIDConnectProviderArn": made["OpenIDConnectProviderArn"]}
    tag, untag, listed = (getattr(iam, word) for word in (f"tag_{kind}", f"untag_{kind}", f"list_{kind}_tags"))
    tag(**which, Tags=[{"Key": "team", "Value": "blue"}, {"Key": "größe", "Value": ""}])
    tag(**which, Tags=[{"Key": "TEAM", "Value": "green"}])
    untag(**which, TagKeys=["Größe", "other"])
    assert listed(**which)["Tags"] == [{"Key": "TEAM", "Value": "green"}]
    with refused("InvalidInput", "Duplicate tag keys found."):
        tag(**which, Tags=[{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}])
    with refused("LimitExceeded", "Cannot exceed quota for TagsPerEntity: 50"):
        tag(**which, Tags=[{"Key": f"key {number}", "Value": ""} for number in range(50)])

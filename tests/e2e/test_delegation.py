"""Somebody who may give policies to others, but only to those whom a boundary limits: delegation as AWS documents it."""

import pytest

from people import allow, document

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
WITH_BOUNDARY = {"StringEquals": {"iam:PermissionsBoundary": ADMINISTRATOR_ACCESS}}
CHANGES = ["PutUserPolicy", "AttachUserPolicy", "DetachUserPolicy", "DeleteUserPolicy"]


@pytest.fixture(scope="session")
def delegate(new_person):
    actions = [f"iam:{change}" for change in [*CHANGES, "CreateUser", "PutUserPermissionsBoundary", "GetUser"]]
    return new_person().may(allow(*actions, when=WITH_BOUNDARY))


def change(iam, name: str, operation: str) -> None:
    {
        "PutUserPolicy": lambda: iam.put_user_policy(
            UserName=name, PolicyName="given", PolicyDocument=document(allow("kms:Decrypt"))
        ),
        "AttachUserPolicy": lambda: iam.attach_user_policy(UserName=name, PolicyArn=ADMINISTRATOR_ACCESS),
        "DetachUserPolicy": lambda: iam.detach_user_policy(UserName=name, PolicyArn=ADMINISTRATOR_ACCESS),
        "DeleteUserPolicy": lambda: iam.delete_user_policy(UserName=name, PolicyName="given"),
    }[operation]()


def test_policies_are_given_to_whom_the_boundary_limits(delegate, new_person):
    iam = delegate.client("iam")
    bounded = new_person(boundary=ADMINISTRATOR_ACCESS)
    for operation in CHANGES:
        change(iam, bounded.name, operation)


@pytest.mark.parametrize("operation", CHANGES)
def test_and_to_nobody_else(delegate, new_person, operation):
    free = new_person()
    with delegate.denied(f"iam:{operation}", free.shown, code="AccessDenied"):
        change(delegate.client("iam"), free.name, operation)


def test_users_are_made_with_it_only(delegate):
    iam = delegate.client("iam")
    user = iam.create_user(UserName="delegated", PermissionsBoundary=ADMINISTRATOR_ACCESS)["User"]
    with delegate.denied("iam:CreateUser", user["Arn"].replace("delegated", "free"), code="AccessDenied"):
        iam.create_user(UserName="free")


def test_the_boundary_that_is_set_goes_before_the_one_that_is_there(delegate, client_of, new_person):
    administrator, iam = client_of("iam"), delegate.client("iam")
    free = new_person()
    iam.put_user_permissions_boundary(UserName=free.name, PermissionsBoundary=ADMINISTRATOR_ACCESS)
    found = administrator.get_user(UserName=free.name)["User"]["PermissionsBoundary"]
    assert found["PermissionsBoundaryArn"] == ADMINISTRATOR_ACCESS


def test_reading_is_not_tied_to_it(delegate, new_person):
    """AWS has no such key there, so a condition on it is never met."""
    bounded = new_person(boundary=ADMINISTRATOR_ACCESS)
    with delegate.denied("iam:GetUser", bounded.shown, code="AccessDenied"):
        delegate.client("iam").get_user(UserName=bounded.name)

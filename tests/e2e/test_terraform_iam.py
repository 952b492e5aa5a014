"""IAM as Terraform sets it up: people, groups, roles and their policies are made, found unchanged, changed, found unchanged, imported into
an empty state, found unchanged, and destroyed.

What a plan finds unchanged came back as it was written, policies included, which are texts that the server keeps and does not compose anew.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from workspace import Outcome, Workspace, find

TOOLS = find()
if TOOLS.missing:
    pytest.skip(f"Terraform is not tested: {TOOLS.missing}", allow_module_level=True)

HERE = Path(__file__).resolve().parent / "terraform" / "identities"
NAME = "tf-iam"
READ_WRITE = "arn:aws:iam::aws:policy/SecretsManagerReadWrite"
# Terraform knows no import of it.
NOT_IMPORTED = "aws_iam_group_membership"


@dataclass
class Chapter:
    """What was there when a command had ended: what it said, Terraform's state, and the server's side of it, by name."""

    outcome: Outcome
    resources: dict[str, dict]
    outputs: dict
    users: dict[str, dict]
    groups: dict[str, dict]
    roles: dict[str, dict]
    policies: dict[str, dict]
    alias: list[str]


@pytest.fixture(scope="module")
def iam(client_of):
    return client_of("iam")


@pytest.fixture(scope="module")
def story(server, iam, new_place):
    def workspace() -> Workspace:
        sources = sorted(HERE.glob("*.tf"))
        return Workspace(TOOLS, new_place(), sources, server.credentials(), endpoint=server.endpoint, region="eu-west-1", name=NAME)

    first, told = workspace(), {}
    told["made"] = chapter(iam, first, first.apply(stage=1))
    told["made, again"] = chapter(iam, first, first.plan(stage=1))
    told["changed"] = chapter(iam, first, first.apply(stage=2))
    told["changed, again"] = chapter(iam, first, first.plan(stage=2))
    second = workspace()
    second.import_at_the_next_apply(importable(first.resources()))
    told["imported"] = chapter(iam, second, second.apply(stage=2))
    told["imported, again"] = chapter(iam, second, second.plan(stage=2))
    told["destroyed"] = chapter(iam, second, second.destroy(stage=2))
    told["missed"] = chapter(iam, first, first.plan(stage=2))
    return told


def chapter(iam, told_by: Workspace, outcome: Outcome) -> Chapter:
    found = {"users": {}, "groups": {}, "roles": {}, "policies": {}}
    details = iam.get_paginator("get_account_authorization_details")
    for page in details.paginate(PaginationConfig={"PageSize": 3}):
        for kind, members, name in (
            ("users", "UserDetailList", "UserName"),
            ("groups", "GroupDetailList", "GroupName"),
            ("roles", "RoleDetailList", "RoleName"),
            ("policies", "Policies", "PolicyName"),
        ):
            listed = {entry[name]: entry for entry in page[members] if entry[name].startswith(NAME)}
            assert not listed.keys() & found[kind].keys(), "nobody is on two pages"
            found[kind] |= {entry.removeprefix(f"{NAME}-"): detail for entry, detail in listed.items()}
    return Chapter(outcome, told_by.resources(), told_by.outputs(), **found, alias=iam.list_account_aliases()["AccountAliases"])


def importable(resources: dict[str, dict]) -> dict[str, dict]:
    """With the words that the provider imports by, where those are not the id."""
    known = {address: dict(what) for address, what in resources.items() if kind(address) != NOT_IMPORTED}
    for address, what in known.items():
        if kind(address).endswith("_policy_attachment"):
            holder = next(what[member] for member in ("user", "group", "role") if member in what)
            what["id"] = f"{holder}/{what['policy_arn']}"
        if kind(address) == "aws_iam_user_group_membership":
            what["id"] = "/".join([what["user"], *what["groups"]])
    return known


def kind(address: str) -> str:
    return address.split(".")[0]


@pytest.mark.parametrize("what", ["made, again", "changed, again", "imported, again"])
def test_what_was_applied_is_found_unchanged(story, what):
    outcome = story[what].outcome
    assert (outcome.status, outcome.planned(), outcome.errors()) == (0, {}, [])


def test_everything_is_made_as_written(story):
    made = story["made"]
    assert set(made.outcome.planned().values()) == {"create"}
    assert made.resources.keys() == made.outcome.planned().keys()
    assert made.users.keys() == {"ann", "bob"} and made.groups.keys() == {"readers", "all"}
    ann = made.users["ann"]
    assert sorted(ann["GroupList"]) == [f"{NAME}-all", f"{NAME}-readers"]
    assert ann["PermissionsBoundary"]["PermissionsBoundaryArn"] == made.policies["plain"]["Arn"]
    assert [policy["PolicyArn"] for policy in ann["AttachedManagedPolicies"]] == [made.policies["read"]["Arn"]]
    (own,) = ann["UserPolicyList"]
    assert own["PolicyDocument"]["Statement"][0]["Sid"] == "ReadOwn"
    assert "${aws:PrincipalTag/team}" in own["PolicyDocument"]["Statement"][0]["Resource"]


def test_what_can_be_changed_is_changed_in_place(story):
    made, changed = story["made"], story["changed"]
    replaced = {address for address, action in changed.outcome.planned().items() if action not in ("update", "delete")}
    # A user and a group keep what they are under another name, and the provider makes anew what hangs on the name.
    assert not [address for address in replaced if kind(address) in ("aws_iam_user", "aws_iam_group", "aws_iam_policy", "aws_iam_role")]
    for what, before, after, member in (
        ("users", "bob", "robert", "UserId"), ("users", "ann", "ann", "UserId"),
        ("groups", "readers", "viewers", "GroupId"), ("roles", "app", "app", "RoleId"), ("policies", "read", "read", "PolicyId"),
    ):  # fmt: skip
        assert getattr(made, what)[before][member] == getattr(changed, what)[after][member]
    assert changed.users["ann"]["Path"] == f"/{NAME}/"
    assert changed.users["ann"]["GroupList"] == [f"{NAME}-viewers"]
    assert [policy["PolicyArn"] for policy in changed.users["ann"]["AttachedManagedPolicies"]] == [READ_WRITE]
    assert changed.policies["read"]["DefaultVersionId"] == "v2"
    assert changed.resources["aws_iam_policy.read"]["tags"] == {"team": "green"}


def test_a_trust_policy_follows_its_configuration(story):
    def principal(chapter):
        return chapter.roles["app"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"]

    assert principal(story["made"]) == story["made"].users["ann"]["Arn"]
    assert principal(story["changed"]).endswith(":root")


def test_policies_that_nobody_here_made(story):
    found = story["made"].outputs["policies"]
    assert found["by_arn"]["name"] == "SecretsManagerReadWrite"
    assert "secretsmanager:*" in json.loads(found["by_arn"]["policy"])["Statement"][0]["Action"]
    assert found["by_name"]["arn"] == "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    assert found["own"]["arn"] == story["made"].policies["read"]["Arn"]


def test_the_account_has_one_alias(story):
    assert (story["made"].alias, story["changed"].alias) == ([f"{NAME}-one"], [f"{NAME}-two"])


def test_an_import_finds_what_was_made(story):
    imported = story["imported"]
    assert imported.outcome.errors() == []
    assert imported.outcome.imported() == len(importable(imported.resources))


def test_what_was_destroyed_is_gone(story):
    destroyed = story["destroyed"]
    assert destroyed.outcome.errors() == []
    assert (destroyed.resources, destroyed.users, destroyed.groups, destroyed.roles, destroyed.policies) == ({}, {}, {}, {}, {})
    assert destroyed.alias == []


def test_what_somebody_else_destroyed_is_missed(story):
    outcome = story["missed"].outcome
    assert outcome.errors() == []
    assert set(outcome.planned().values()) == {"create"}

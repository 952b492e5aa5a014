"""Access as Terraform sets it up: people, policies, roles, a cluster's identities, and secrets with a policy.

Told once, like the story of secrets: everything in `terraform/access` is made, found unchanged, changed, found unchanged and destroyed.
Between that, people with the keys that were made there do what they may.
"""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from process import Credentials
from workspace import Workspace, find

TOOLS = find()
if TOOLS.missing:
    pytest.skip(f"Terraform is not tested: {TOOLS.missing}", allow_module_level=True)

HERE = Path(__file__).resolve().parent / "terraform"
NAME = "tfa"
REGION = "eu-north-1"


@pytest.fixture(scope="module")
def node(new_node):
    node = new_node().start()
    yield node
    assert node.stop() == 0, node.said()


@pytest.fixture(scope="module")
def story(node, new_place, make_client):
    sources = [HERE / "story" / "shared.tf", *sorted((HERE / "access").glob("*.tf"))]
    setup = Workspace(
        TOOLS, new_place(), sources, node.credentials(), endpoint=node.endpoint, region=REGION, name=NAME
    )  # fmt: skip
    told = {"made": setup.apply(stage=1), "made, again": setup.plan(stage=1)}
    outputs = setup.outputs()
    told["found"] = outputs["found"]
    ann, bob = (Credentials(**outputs["keys"][name]) for name in ("ann", "bob"))
    told["read"] = what_each_reads(node, make_client, ann, bob)
    told["deployer"] = act_as_deployer(node, new_place, ann, outputs["account"])

    told["changed"] = setup.apply(stage=2)
    told["changed, again"] = setup.plan(stage=2)
    told["read when changed"] = what_each_reads(node, make_client, ann, bob)

    told["destroyed"] = setup.destroy(stage=2)
    iam = make_client(node, node.credentials(), "iam")
    told["left"] = {
        "users": [user["UserName"] for user in iam.list_users()["Users"]],
        "roles": iam.list_roles()["Roles"],
        "profiles": iam.list_instance_profiles()["InstanceProfiles"],
        "providers": iam.list_open_id_connect_providers()["OpenIDConnectProviderList"],
    }
    return told


def what_each_reads(node, make_client, ann, bob) -> dict[str, dict[str, str]]:
    """Person to secret to value, or to the code of the refusal."""
    administrator = node.credentials()
    make_client(node, administrator, region=REGION).put_secret_value(SecretId=f"{NAME}/sealed", SecretString="sealed")
    found = {}
    for name, credentials in (("administrator", administrator), ("ann", ann), ("bob", bob)):
        client = make_client(node, credentials, region=REGION)
        for secret in ("orders", "billing", "sealed"):
            try:
                value = client.get_secret_value(SecretId=f"{NAME}/{secret}")["SecretString"]
            except ClientError as error:
                value = error.response["Error"]["Code"]
            found.setdefault(name, {})[secret] = value
    return found


def act_as_deployer(node, new_place, ann, account) -> dict:
    """From one role to the next, and what a session policy leaves."""
    acting = Workspace(
        TOOLS, new_place(), [HERE / "deployer" / "main.tf"], ann, endpoint=node.endpoint, region=REGION, name=NAME, account=account
    )  # fmt: skip
    looked = acting.finish(acting.start("apply", "-auto-approve")).ok()
    outputs = acting.outputs()
    refused = acting.finish(acting.start("apply", "-auto-approve", "-var=with_value=true"))
    return {"looked": looked, "outputs": outputs, "refused": refused}


@pytest.mark.parametrize("chapter", ["made, again", "changed, again"])
def test_what_was_applied_is_found_unchanged(story, chapter):
    outcome = story[chapter]
    assert (outcome.status, outcome.planned(), outcome.errors()) == (0, {}, [])


def test_ids_are_those_of_their_kinds(story):
    found = story["found"]
    assert found["ann"].startswith("AIDA")
    assert found["deployer"].startswith("AROA") and found["machine"].startswith("AROA")


def test_each_reads_what_is_of_the_own_team_and_the_sealed_one_only_who_is_named(story):
    denied = "AccessDeniedException"
    assert story["read"] == {
        "administrator": {"orders": "orders", "billing": "billing", "sealed": denied},
        "ann": {"orders": "orders", "billing": denied, "sealed": "sealed"},
        "bob": {"orders": denied, "billing": "billing", "sealed": denied},
    }


def test_what_terraform_changes_is_true_at_once(story):
    changed = set(story["changed"].planned().values())
    assert changed == {"update", "delete"}, story["changed"].planned()
    # The policy is lifted, and the key of the second person is inactive.
    unknown = "UnrecognizedClientException"
    assert story["read when changed"] == {
        "administrator": {"orders": "orders", "billing": "billing", "sealed": "sealed"},
        "ann": {"orders": "orders", "billing": "AccessDeniedException", "sealed": "sealed"},
        "bob": {"orders": unknown, "billing": unknown, "sealed": unknown},
    }


def test_terraform_goes_from_role_to_role_and_sees_what_the_session_policy_leaves(story):
    deployer = story["deployer"]
    assert deployer["outputs"]["me"].endswith(f":assumed-role/{NAME}-auditor/deploy-42")
    assert f":secret:{NAME}/billing-" in deployer["outputs"]["secret"]
    assert deployer["refused"].status == 1
    (error,) = deployer["refused"].errors()
    assert "because no session policy allows the secretsmanager:GetSecretValue action" in error


def test_nothing_is_left(story):
    assert story["left"] == {"users": ["administrator"], "roles": [], "profiles": [], "providers": []}

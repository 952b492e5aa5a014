"""A rotator that comes along, named as the function of a rotation by Terraform: made, rotated, changed, rotated again, destroyed."""

import json
from pathlib import Path

import pytest

from rotators import REGION, PlainNode, until
from workspace import Workspace, find

TOOLS = find()
if TOOLS.missing:
    pytest.skip(f"Terraform is not tested: {TOOLS.missing}", allow_module_level=True)

SOURCES = sorted((Path(__file__).resolve().parent / "terraform" / "built_in").glob("*.tf"))
NAME = "tfb/database"


@pytest.fixture(scope="module")
def story(new_node, new_place, make_client, postgres):
    rotating = PlainNode(new_node(), make_client, [postgres])
    node, words = rotating.node, postgres.secret("of_terraform", "first-of-terraform")
    postgres.add_user(words["username"], words["password"])
    variables = {"endpoint": node.endpoint, "region": REGION, "name": NAME, "database": json.dumps(words)}
    workspace = Workspace(TOOLS, new_place(), SOURCES, node.credentials(), **variables)

    def rotated(before: dict) -> dict:
        """What the secret says once it says something else and nothing is under way."""

        def look():
            current = rotating.value(NAME)
            return not rotating.shown(NAME).get("under_way") and current != before and current

        return until(look, f"another value of {NAME}: {rotating.shown(NAME)}")

    told = {"made": workspace.apply(stage=1).ok(), "words": words, "first": rotated(words), "made, again": workspace.plan(stage=1)}
    told |= {"changed": workspace.apply(stage=2).ok(), "second": rotated(told["first"]), "changed, again": workspace.plan(stage=2)}
    told["rotation"] = workspace.resources()["aws_secretsmanager_secret_rotation.rotated"]
    told["log in"] = [postgres.logs_in(value["username"], value["password"]) for value in (words, told["first"], told["second"])]
    told["function"] = rotating.built_in("postgres", "single")
    told["destroyed"] = workspace.destroy(stage=2).ok()
    told["left"] = rotating.client().list_secrets(IncludePlannedDeletion=True)["SecretList"]
    assert node.stop() == 0, node.said()
    return told


@pytest.mark.parametrize("chapter", ["made, again", "changed, again"])
def test_what_was_applied_is_found_unchanged(story, chapter):
    outcome = story[chapter]
    assert (outcome.status, outcome.planned(), outcome.errors()) == (0, {}, [])


def test_the_password_of_the_database_is_the_last_one(story):
    assert story["log in"] == [False, False, True]
    for value in (story["first"], story["second"]):
        assert {**value, "password": ""} == {**story["words"], "password": ""}


def test_the_rotation_is_by_the_rotator_and_the_new_rules(story):
    assert story["rotation"]["rotation_lambda_arn"] == story["function"]
    (rules,) = story["rotation"]["rotation_rules"]
    assert (rules["schedule_expression"], rules["duration"]) == ("rate(10 days)", "3h")


def test_nothing_is_left(story):
    assert story["left"] == []

"""Functions as Terraform sets them up: role, layer, log group, function, alias and permission; made, changed, and destroyed."""

from pathlib import Path

import pytest

from packages import zipped
from workspace import Workspace, find

TOOLS = find()
if TOOLS.missing:
    pytest.skip(f"Terraform is not tested: {TOOLS.missing}", allow_module_level=True)

SOURCES = sorted((Path(__file__).resolve().parent / "terraform" / "functions").glob("*.tf"))
NAME = "tff"
REGION = "eu-central-1"


@pytest.fixture(scope="module")
def story(new_node, new_place, make_client):
    node = new_node().start()
    place = new_place()
    packages = [place / "one.zip", place / "two.zip"]
    packages[0].write_bytes(zipped())
    packages[1].write_bytes(zipped("def lambda_handler(event, context):\n    return 2\n"))
    words = {"endpoint": node.endpoint, "region": REGION, "name": NAME, "packages": [str(package) for package in packages]}
    workspace = Workspace(TOOLS, new_place(), SOURCES, node.credentials(), **words)
    told = {"made": workspace.apply(stage=1), "made, again": workspace.plan(stage=1), "first": workspace.resources()}
    told |= {"changed": workspace.apply(stage=2), "changed, again": workspace.plan(stage=2), "second": workspace.resources()}
    told["found"] = workspace.outputs()["found"]
    told["destroyed"] = workspace.destroy(stage=2)
    functions = make_client(node, node.credentials(), "lambda", region=REGION)
    told["left"] = functions.list_functions()["Functions"] + functions.list_layers()["Layers"]
    told["left"] += make_client(node, node.credentials(), "logs", region=REGION).describe_log_groups()["logGroups"]
    assert node.stop() == 0, node.said()
    return told


@pytest.mark.parametrize("chapter", ["made, again", "changed, again"])
def test_what_was_applied_is_found_unchanged(story, chapter):
    outcome = story[chapter]
    assert (outcome.status, outcome.planned(), outcome.errors()) == (0, {}, [])


def test_a_function_is_changed_in_place_and_its_alias_follows(story):
    first, second = story["first"]["aws_lambda_function.app"], story["second"]["aws_lambda_function.app"]
    assert first["arn"] == second["arn"]
    assert (first["version"], second["version"]) == ("1", "2")
    assert (first["timeout"], second["timeout"]) == (10, 20)
    assert second["tags"] == {"team": "billing"}
    assert story["second"]["aws_lambda_alias.live"]["function_version"] == "2"
    assert story["second"]["aws_lambda_permission.rotation"]["statement_id"] == "stage2"
    assert story["found"] == "python3.12"


def test_a_log_group_keeps_for_a_week_and_then_for_ever(story):
    first, second = story["first"]["aws_cloudwatch_log_group.app"], story["second"]["aws_cloudwatch_log_group.app"]
    assert (first["retention_in_days"], second["retention_in_days"]) == (7, 0)
    assert first["arn"] == second["arn"] and second["tags"] == {"team": "billing"}


def test_events_are_tried_more_often_and_somebody_is_told_of_those_that_fail(story):
    first, second = (story[stage]["aws_lambda_function_event_invoke_config.app"] for stage in ("first", "second"))
    assert (first["maximum_retry_attempts"], second["maximum_retry_attempts"]) == (0, 1)
    told = story["second"]["aws_lambda_function.told"]["arn"]
    assert second["destination_config"][0]["on_failure"][0]["destination"] == told


def test_nothing_is_left(story):
    assert story["left"] == []

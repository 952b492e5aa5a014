"""A rotated secret as Terraform sets it up, with its function, role and permission: made, rotated, changed, rotated again, destroyed."""

from pathlib import Path

import pytest

from packages import zipped
from rotators import layer, skip_without_functions, until
from workspace import Workspace, find

TOOLS = find()
if TOOLS.missing:
    pytest.skip(f"Terraform is not tested: {TOOLS.missing}", allow_module_level=True)

SOURCES = sorted((Path(__file__).resolve().parent / "terraform" / "rotating").glob("*.tf"))
NAME = "tfr"
SECRET = f"{NAME}/rotated"
REGION = "eu-central-1"
FUNCTION = '''
import boto3

LENGTH = 24

def handler(event, context):
    client = boto3.client("secretsmanager")
    arn, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    versions = client.describe_secret(SecretId=arn)["VersionIdsToStages"]
    if step == "createSecret":
        made = client.get_random_password(PasswordLength=LENGTH, ExcludePunctuation=True)["RandomPassword"]
        client.put_secret_value(SecretId=arn, ClientRequestToken=token, SecretString=made, VersionStages=["AWSPENDING"])
    elif step == "finishSecret":
        current = next(version for version, labels in versions.items() if "AWSCURRENT" in labels)
        client.update_secret_version_stage(
            SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=current
        )
'''


@pytest.fixture(scope="module")
def story(new_node, new_place, make_client):
    place = new_place()
    skip_without_functions(place)
    node = new_node().start()
    files = {"one.zip": zipped(FUNCTION, "index.py"), "layer.zip": layer()}
    files["two.zip"] = zipped(FUNCTION.replace("24", "32"), "index.py")
    for name, content in files.items():
        (place / name).write_bytes(content)
    words = {"endpoint": node.endpoint, "region": REGION, "name": NAME, "layer": str(place / "layer.zip")}
    workspace = Workspace(TOOLS, new_place(), SOURCES, node.credentials(), **words, packages=[str(place / "one.zip"), str(place / "two.zip")])
    client = make_client(node, node.credentials(), region=REGION)

    def rotated(length: int) -> dict:
        """The secret as it is described once it has a value of this length and the rotation is over."""

        def look():
            found = client.describe_secret(SecretId=SECRET)
            is_over = not any("AWSPENDING" in labels and "AWSCURRENT" not in labels for labels in found["VersionIdsToStages"].values())
            value = client.get_secret_value(SecretId=SECRET)["SecretString"]
            return is_over and len(value) == length and found.get("LastRotatedDate") and found

        return until(look, f"a value of {length} characters")

    told = {"made": workspace.apply(stage=1), "rotated": rotated(24), "made, again": workspace.plan(stage=1)}
    told["first"] = workspace.resources()
    told |= {"changed": workspace.apply(stage=2), "rotated again": rotated(32), "changed, again": workspace.plan(stage=2)}
    told["second"] = workspace.resources()
    told["destroyed"] = workspace.destroy(stage=2)
    functions = make_client(node, node.credentials(), "lambda", region=REGION)
    told["left"] = functions.list_functions()["Functions"] + functions.list_layers()["Layers"]
    told["left"] += client.list_secrets(IncludePlannedDeletion=True)["SecretList"]
    assert node.stop() == 0, node.said()
    return told


@pytest.mark.parametrize("chapter", ["made, again", "changed, again"])
def test_what_was_applied_is_found_unchanged(story, chapter):
    outcome = story[chapter]
    assert (outcome.status, outcome.planned(), outcome.errors()) == (0, {}, [])


def test_the_secret_is_rotated_by_the_function_that_was_made_for_it(story):
    made = story["rotated"]
    assert made["RotationEnabled"] and made["RotationRules"] == {"AutomaticallyAfterDays": 30}
    assert made["RotationLambdaARN"] == story["first"]["aws_lambda_function.rotator"]["arn"]


def test_rules_and_code_are_changed_in_place_and_the_next_value_is_of_the_new_code(story):
    changed = story["rotated again"]
    assert changed["RotationRules"] == {"ScheduleExpression": "rate(10 days)", "Duration": "3h"}
    first, second = story["first"]["aws_lambda_function.rotator"], story["second"]["aws_lambda_function.rotator"]
    assert first["arn"] == second["arn"] and first["source_code_hash"] != second["source_code_hash"]
    (rules,) = story["second"]["aws_secretsmanager_secret_rotation.rotated"]["rotation_rules"]
    assert (rules["schedule_expression"], rules["duration"]) == ("rate(10 days)", "3h")


def test_nothing_is_left(story):
    assert story["left"] == []

"""Who read which secret: the trail as boto3, the AWS CLI and the person on the machine see it.

The canary is a value that no record may contain, however a call ends.
"""

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from expect import refused
from process import environment, run

AWS = Path(sys.executable).with_name("aws")
CANARY = "canary-4d1f0c9b7a"


@pytest.fixture
def trail(client_of):
    return client_of("cloudtrail")


def looked_up(trail, key, value, **more):
    attributes = [{"AttributeKey": key, "AttributeValue": value}]
    return trail.lookup_events(LookupAttributes=attributes, **more)["Events"]


@pytest.fixture
def story(sm, new_name):
    """A secret that was made, read, asked for in vain, changed and deleted."""
    name = new_name("story")
    made = sm.create_secret(Name=name, SecretString=CANARY)
    sm.get_secret_value(SecretId=name)
    with refused("ResourceNotFoundException"):
        sm.get_secret_value(SecretId=made["ARN"], VersionStage="NONE")
    sm.put_secret_value(SecretId=made["ARN"], SecretString=CANARY + "2")
    sm.delete_secret(SecretId=name)
    with refused("InvalidRequestException"):
        sm.get_secret_value(SecretId=name)
    return made


def test_who_read_a_secret_is_there_at_once(trail, story, server):
    events = looked_up(trail, "ResourceName", story["ARN"])
    names = {event["EventName"] for event in events}
    assert {"CreateSecret", "GetSecretValue", "PutSecretValue", "DeleteSecret"} <= names
    reads = [event for event in events if event["EventName"] == "GetSecretValue"]
    assert len(reads) == 3
    for event in reads:
        record = json.loads(event["CloudTrailEvent"])
        assert event["Username"] == record["userIdentity"]["userName"] == "administrator"
        assert event["AccessKeyId"] == server.credentials().access_key_id
        assert event["ReadOnly"] == "true" and record["readOnly"] is True
        assert event["EventId"] == record["eventID"]
        assert {"ResourceType": "AWS::SecretsManager::Secret", "ResourceName": story["ARN"]} in event["Resources"]
        assert record["responseElements"] is None and record["eventCategory"] == "Management"
    denials = [json.loads(event["CloudTrailEvent"]).get("errorCode") for event in reads]
    assert sorted(filter(None, denials)) == ["InvalidRequestException", "ResourceNotFoundException"]


def test_no_record_holds_a_value(trail, story):
    paginator = trail.get_paginator("lookup_events")
    for page in paginator.paginate():
        assert CANARY not in json.dumps(page, default=str)


def test_each_attribute_finds_the_same_event(trail, story, server):
    [made] = [event for event in looked_up(trail, "ResourceName", story["Name"]) if event["EventName"] == "CreateSecret"]
    for key, value in [
        ("EventId", made["EventId"]),
        ("EventName", "CreateSecret"),
        ("ReadOnly", "false"),
        ("Username", "administrator"),
        ("ResourceType", "AWS::SecretsManager::Secret"),
        ("ResourceName", story["ARN"]),
        ("EventSource", "secretsmanager.amazonaws.com"),
        ("AccessKeyId", server.credentials().access_key_id),
    ]:
        attributes = [{"AttributeKey": key, "AttributeValue": value}]
        pages = trail.get_paginator("lookup_events").paginate(LookupAttributes=attributes)
        assert made["EventId"] in [event["EventId"] for page in pages for event in page["Events"]], key
    assert looked_up(trail, "EventId", "00000000-0000-4000-8000-000000000000") == []


def test_pages_hold_every_event_once_newest_first(client_of, new_region, new_name):
    region = new_region()
    sm, trail = client_of(region=region), client_of("cloudtrail", region=region)
    name = new_name()
    sm.create_secret(Name=name, SecretString=CANARY)
    for _ in range(25):
        sm.describe_secret(SecretId=name)
    attributes = [{"AttributeKey": "EventName", "AttributeValue": "DescribeSecret"}]
    paginator = trail.get_paginator("lookup_events")
    config = {"PageSize": 7}
    pages = list(paginator.paginate(LookupAttributes=attributes, PaginationConfig=config))
    events = [event for page in pages for event in page["Events"]]
    assert len({event["EventId"] for event in events}) == len(events) == 25
    assert [len(page["Events"]) for page in pages] == [7, 7, 7, 4]
    times = [event["EventTime"] for event in events]
    assert times == sorted(times, reverse=True)


def test_times_bound_what_is_seen(trail, story):
    now = datetime.now(timezone.utc)
    hour = timedelta(hours=1)
    assert looked_up(trail, "ResourceName", story["ARN"], StartTime=now - hour, EndTime=now + hour) != []
    assert looked_up(trail, "ResourceName", story["ARN"], EndTime=now - hour) == []
    assert looked_up(trail, "ResourceName", story["ARN"], StartTime=now + hour) == []
    with refused("InvalidTimeRangeException"):
        trail.lookup_events(StartTime=now, EndTime=now - hour)


def test_what_is_wrong_is_refused_by_name(client_of):
    trail = client_of("cloudtrail", parameter_validation=False)
    for code, asked in [
        ("InvalidMaxResultsException", {"MaxResults": 51}),
        ("InvalidMaxResultsException", {"MaxResults": 0}),
        ("InvalidNextTokenException", {"NextToken": "x"}),
        ("InvalidEventCategoryException", {"EventCategory": "x"}),
        ("InvalidLookupAttributesException", {"LookupAttributes": [{"AttributeKey": "X", "AttributeValue": "y"}]}),
    ]:
        with refused(code):
            trail.lookup_events(**asked)
    with refused("UnknownOperationException", "DescribeTrails"):
        trail.describe_trails()


def test_the_development_server_has_a_trail_for_each_account(dev_client_of, new_name):
    name = new_name()
    dev_client_of("123456789012").create_secret(Name=name)
    own, other = dev_client_of("123456789012", "cloudtrail"), dev_client_of("210987654321", "cloudtrail")
    assert [event["EventName"] for event in looked_up(own, "ResourceName", name)] == ["CreateSecret"]
    assert looked_up(other, "ResourceName", name) == []


def test_the_aws_cli_asks_who(server, story):
    words = ["cloudtrail", "lookup-events", "--lookup-attributes", f"AttributeKey=ResourceName,AttributeValue={story['Name']}"]
    key = server.credentials()
    variables = {
        **environment(server.home),
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": server.endpoint,
    }
    answer = subprocess.run(
        [AWS, *words, "--query", "Events[].[EventName,Username]", "--output", "text"],
        env=variables, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    lines = answer.stdout.splitlines()
    assert lines.count("GetSecretValue\tadministrator") == 3, answer.stdout
    assert "DeleteSecret\tadministrator" in lines


def test_the_person_on_the_machine_sees_the_same_and_the_log_is_whole(server, story):
    place = ("--data-dir", str(server.data_dir), "--keyfile", str(server.keyfile))
    found = run("audit", "search", "--resource", story["Name"], "--json", *place, home=server.home)
    assert found.returncode == 0, found.stderr
    events = [json.loads(line) for line in found.stdout.splitlines()]
    assert [event["eventName"] for event in events].count("GetSecretValue") == 3
    assert CANARY not in found.stdout
    whole = run("audit", "verify", "--json", *place, home=server.home)
    assert whole.returncode == 0, whole.stdout
    assert json.loads(whole.stdout)["end_known_by"] == "server"

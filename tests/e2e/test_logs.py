"""CloudWatch Logs, as programs and people use it: what they put in, what functions say, and how both are read."""

import json
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

import aws_cli_2
from conftest import REGION
from expect import refused
from packages import zipped
from people import allow
from process import environment, run
from rotators import TRUST, skip_without_functions

AWS = Path(sys.executable).with_name("aws")
CLI_2 = aws_cli_2.find()
MAY_LOG = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}],
}
SAYS = '''
import sys

def handler(event, context):
    print("hello", event["who"])
    print("secret business", file=sys.stderr)
    print("x" * 200_000)
    print("stream", context.log_stream_name)
    return context.log_stream_name
'''


@pytest.fixture(scope="module")
def logs(client_of):
    return client_of("logs")


@pytest.fixture
def group(logs, new_name):
    name = f"/app/{new_name('group')}"
    logs.create_log_group(logGroupName=name)
    yield name
    logs.delete_log_group(logGroupName=name)


def now() -> int:
    return int(time.time() * 1000)


def put(logs, group: str, stream: str, *messages: str, at: int | None = None):
    at = at or now()
    events = [{"timestamp": at + number, "message": message} for number, message in enumerate(messages)]
    return logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def messages(page) -> list[str]:
    return [event["message"] for event in page["events"]]


def test_what_is_put_in_is_read_from_both_ends_page_by_page(logs, group):
    logs.create_log_stream(logGroupName=group, logStreamName="one")
    lines = [f"line {number:03}" for number in range(250)]
    first = now() - 1000
    for begin in range(0, 250, 50):
        put(logs, group, "one", *lines[begin : begin + 50], at=first + begin)
    where = {"logGroupName": group, "logStreamName": "one"}
    assert messages(logs.get_log_events(**where)) == lines
    assert messages(logs.get_log_events(**where, limit=3)) == lines[-3:]

    seen, token = [], None
    while True:
        page = logs.get_log_events(**where, limit=40, startFromHead=True, **({"nextToken": token} if token else {}))
        seen += messages(page)
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert seen == lines
    # Whoever waits with the last token sees what comes, and nothing twice.
    put(logs, group, "one", "later")
    assert messages(logs.get_log_events(**where, startFromHead=True, nextToken=token)) == ["later"]

    seen, token = [], None
    while True:
        page = logs.get_log_events(**where, limit=40, **({"nextToken": token} if token else {}))
        seen = messages(page) + seen
        if page["nextBackwardToken"] == token:
            break
        token = page["nextBackwardToken"]
    assert seen == [*lines, "later"]


def test_streams_are_searched_together_in_order_of_time(logs, group):
    begin = now()
    for number, stream in enumerate(["a", "b", "c"]):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        events = [{"timestamp": begin + 3 * turn + number, "message": f"{stream} {turn}"} for turn in range(40)]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    paginator = logs.get_paginator("filter_log_events")
    pages = list(paginator.paginate(logGroupName=group, PaginationConfig={"PageSize": 7}))
    events = [event for page in pages for event in page["events"]]
    assert [event["message"] for event in events] == [f"{stream} {turn}" for turn in range(40) for stream in "abc"]
    assert len({event["eventId"] for event in events}) == 120
    only = paginator.paginate(logGroupName=group, logStreamNames=["a", "c"], filterPattern='"a 7" ', startTime=begin)
    assert [event["message"] for page in only for event in page["events"]] == ["a 7"]
    # What was deleted and made again is another stream.
    logs.delete_log_stream(logGroupName=group, logStreamName="b")
    logs.create_log_stream(logGroupName=group, logStreamName="b")
    left = [event["message"] for page in paginator.paginate(logGroupName=group) for event in page["events"]]
    assert len(left) == 80 and not [message for message in left if message.startswith("b")]


def test_a_megabyte_of_messages_comes_back_as_it_was(logs, group):
    logs.create_log_stream(logGroupName=group, logStreamName="large")
    large = ["\u00e9" * 250_000, "x" * 400_000, "end"]
    put(logs, group, "large", *large)
    seen, token = [], None
    while len(seen) < 3:
        page = logs.get_log_events(logGroupName=group, logStreamName="large", startFromHead=True, **({"nextToken": token} if token else {}))
        seen, token = seen + messages(page), page["nextForwardToken"]
    assert seen == large
    many = [f"{number:05}" for number in range(10_000)]
    put(logs, group, "large", *many)
    found = logs.filter_log_events(logGroupName=group, filterPattern="09999")
    assert messages(found) == ["09999"]
    with refused("InvalidParameterException", "Upload too large: 1048577 bytes exceeds limit of 1048576"):
        put(logs, group, "large", "x" * (1_048_576 - 25))


def test_a_group_is_described_configured_and_tagged(logs, new_name):
    name = f"/app/{new_name('group')}"
    logs.create_log_group(logGroupName=name, tags={"team": "blue"})
    with refused("ResourceAlreadyExistsException", "The specified log group already exists"):
        logs.create_log_group(logGroupName=name)
    logs.put_retention_policy(logGroupName=name, retentionInDays=14)
    [found] = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert (found["retentionInDays"], found["storedBytes"], found["logGroupClass"]) == (14, 0, "STANDARD")
    assert found["arn"] == f"{found['logGroupArn']}:*"
    logs.tag_resource(resourceArn=found["logGroupArn"], tags={"stage": "test"})
    logs.untag_resource(resourceArn=found["logGroupArn"], tagKeys=["team"])
    assert logs.list_tags_for_resource(resourceArn=found["logGroupArn"])["tags"] == {"stage": "test"}
    logs.delete_log_group(logGroupName=name)
    with refused("ResourceNotFoundException", "The specified log group does not exist."):
        logs.describe_log_streams(logGroupName=name)


def test_policies_name_groups_with_a_star_behind(logs, new_person, group):
    [found] = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    person = new_person().may(allow("logs:*", on=found["arn"]))
    theirs = person.client("logs")
    theirs.create_log_stream(logGroupName=group, logStreamName="theirs")
    put(theirs, group, "theirs", "mine")
    assert messages(theirs.filter_log_events(logGroupName=group)) == ["mine"]
    denied = f"User: {person.arn} is not authorized to perform: logs:"
    with refused("AccessDeniedException", denied + "CreateLogGroup on resource: "):
        theirs.create_log_group(logGroupName="/another")
    with refused("AccessDeniedException", denied + "DescribeLogGroups on resource: "):
        theirs.describe_log_groups()
    with refused("AccessDeniedException", denied + "ListTagsForResource on resource: "):
        theirs.list_tags_for_resource(resourceArn=found["logGroupArn"])


@pytest.fixture(scope="module")
def invoked(client_of, new_place):
    """A function whose role may log, invoked, and one whose role may not."""
    skip_without_functions(new_place())
    iam, functions = client_of("iam"), client_of("lambda")

    def of(name: str, may_log: bool):
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        if may_log:
            iam.put_role_policy(RoleName=name, PolicyName="logs", PolicyDocument=json.dumps(MAY_LOG))
        functions.create_function(
            FunctionName=name, Runtime="python3.12", Handler="lambda_function.handler", Role=made, Timeout=30, Code={"ZipFile": zipped(SAYS)}
        )
        return functions.invoke(FunctionName=name, Payload=b'{"who": "world"}')

    return of


def test_a_function_s_log_is_there_when_it_has_answered(logs, invoked):
    answer = invoked("says", may_log=True)
    stream = json.loads(answer["Payload"].read())
    request = answer["ResponseMetadata"]["RequestId"]
    found = logs.describe_log_streams(logGroupName="/aws/lambda/says", orderBy="LastEventTime", descending=True)["logStreams"]
    assert [each["logStreamName"] for each in found] == [stream]
    assert stream.startswith(datetime.now(timezone.utc).strftime("%Y/%m/"))
    said = messages(logs.get_log_events(logGroupName="/aws/lambda/says", logStreamName=stream, startFromHead=True))
    assert said[0].startswith("INIT_START Runtime Version: python:3.12")
    assert said[1] == f"START RequestId: {request} Version: $LATEST\n"
    assert {"hello world\n", "secret business\n", "x" * 200_000 + "\n", f"stream {stream}\n"} <= set(said)
    assert said[-2] == f"END RequestId: {request}\n"
    assert said[-1].startswith(f"REPORT RequestId: {request}\tDuration: ") and "Init Duration" in said[-1]


def test_a_role_that_may_not_log_has_no_log(logs, invoked):
    assert "FunctionError" not in invoked("silent", may_log=False)
    with refused("ResourceNotFoundException"):
        logs.describe_log_streams(logGroupName="/aws/lambda/silent")


@pytest.fixture(scope="module")
def aws(server):
    credentials = server.credentials()
    env = {
        **environment(server.home),
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_PAGER": "",
    }

    def call(*words: str, program: Path = AWS) -> str:
        command = [str(program), "--endpoint-url", server.endpoint, "logs", *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def test_people_read_logs_with_the_cli(aws, logs, group):
    logs.create_log_stream(logGroupName=group, logStreamName="cli")
    put(logs, group, "cli", "first", "ERROR second")
    newest = aws(
        *("describe-log-streams", "--log-group-name", group, "--order-by", "LastEventTime", "--descending"),
        *("--max-items", "1", "--query", "logStreams[0].logStreamName", "--output", "text"),
    )
    assert newest.split()[0] == "cli"
    shown = aws("get-log-events", "--log-group-name", group, "--log-stream-name", "cli", "--limit", "10", "--query", "events[].message")
    assert json.loads(shown) == ["first", "ERROR second"]
    found = aws("filter-log-events", "--log-group-name", group, "--filter-pattern", "ERROR", "--query", "events[].message")
    assert json.loads(found) == ["ERROR second"]


@pytest.mark.skipif(CLI_2 is None, reason="AWS CLI 2 is not tested: there is none (COFFER_AWS_CLI_2 names one)")
def test_people_follow_logs_with_the_cli(aws, logs, group):
    logs.create_log_stream(logGroupName=group, logStreamName="cli")
    put(logs, group, "cli", "first", "ERROR second")
    tail = aws("tail", group, "--format", "short", "--since", "1h", program=CLI_2)
    assert [line.split(" ", 1)[1].strip() for line in tail.splitlines()] == ["first", "ERROR second"]


def test_events_are_still_there_after_a_restart_and_verify_finds_nothing_wrong(new_node, make_client):
    node = new_node().start()
    logs = make_client(node, node.credentials(), "logs")
    logs.create_log_group(logGroupName="kept")
    logs.create_log_stream(logGroupName="kept", logStreamName="one")
    put(logs, "kept", "one", *[f"{number} " + "y" * 900 for number in range(500)])
    logs.create_log_group(logGroupName="gone")
    logs.create_log_stream(logGroupName="gone", logStreamName="one")
    put(logs, "gone", "one", *[f"{number} " + "y" * 900 for number in range(500)])
    logs.delete_log_group(logGroupName="gone")
    assert node.stop() == 0, node.said()
    node.start()
    logs = make_client(node, node.credentials(), "logs")
    assert len(messages(logs.get_log_events(logGroupName="kept", logStreamName="one"))) == 500
    put(logs, "kept", "one", "and on")
    assert node.stop() == 0, node.said()
    whole = run("verify", "--data-dir", str(node.data_dir), "--keyfile", str(node.keyfile), home=node.home)
    assert whole.returncode == 0 and "problems        0" in whole.stdout, whole.stdout + whole.stderr

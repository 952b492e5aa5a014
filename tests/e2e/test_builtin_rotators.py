"""Passwords of real databases, changed by the rotators that come along, on a server that runs no functions; and webhooks."""

import base64
import hashlib
import hmac
import http.server
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import botocore.exceptions
import pytest

from databases import Postgres
from openssl import OpenSsl
from people import NOBODY_ALLOWS, POLICY_OF_RESOURCE_DENIES, READ, Person, allow, deny, document
from process import binary, environment
from rotators import ADDRESS, REGION, PlainNode, until

STRATEGIES = ("single", "multi")
MANUAL = Path(__file__).resolve().parents[2] / "docs" / "rotation.md"


def secret(rotating, database, name: str, user: str, strategy: str, **more) -> dict:
    return rotating.secret(database, name, user, "alternating_users" if strategy == "multi" else "single_user", **more)


@pytest.fixture(scope="module")
def hooks():
    """A server of somebody, which answers each event as its path says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, dict(self.headers.items()), body))
            if self.path == "/slow":
                time.sleep(3)
            if self.path == "/away":
                self.send_response(302)
                self.send_header("location", "/echo")
                self.end_headers()
                return
            answer = b"thanks" if self.path == "/words" else body
            self.send_response(500 if self.path == "/broken" else 200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            try:
                self.wfile.write(answer)
            except OSError:
                pass

        def log_message(self, *_):
            pass

    received: list = []
    server = http.server.ThreadingHTTPServer((ADDRESS, 0), Handler)
    server.received = received
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def rotating(new_node, make_client, request, hooks):
    databases = []
    for name in ("postgres", "mariadb"):
        try:
            databases.append(request.getfixturevalue(name))
        except pytest.skip.Exception:
            # Its own tests say so.
            pass
    node = PlainNode(new_node(), make_client, databases, ports=(hooks.server_port,))
    yield node
    assert node.node.stop() == 0, node.node.said()
    said = node.node.said()
    assert "a defect of Coffer" not in said and "fault of Coffer" not in said, said


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_three_rotations_in_a_row_and_the_passwords_log_in(rotating, database, strategy, new_name):
    name = new_name("built-in")
    more = {"extra": {"kept": ["as", "it", "is"]}, "port": str(database.port)}
    words = secret(rotating, database, name, f"o'{strategy[0]}\"\\{database.engine[0]}", strategy, **more)
    function = rotating.built_in(database.engine, strategy)
    used = [(words["username"], words["password"])]
    for _ in range(3):
        version = rotating.rotate(name, function)
        until(lambda: rotating.has_rotated(name, version), f"the rotation of {name}: {rotating.shown(name)}")
        current, previous = rotating.value(name), rotating.value(name, "AWSPREVIOUS")
        used.append((current["username"], current["password"]))
        assert (previous["username"], previous["password"]) == used[-2]
        assert database.logs_in(*used[-1])
        # One user has one password; of two, the one before still has his.
        assert database.logs_in(*used[-2]) == (strategy == "multi")
        kept = {member: value for member, value in words.items() if member not in ("username", "password")}
        assert {member: current[member] for member in kept} == kept
    user, clone = words["username"], words["username"] + "_clone"
    assert [user for user, _ in used] == ([user] * 4 if strategy == "single" else [user, clone, user, clone])
    assert len({password for _, password in used}) == 4
    assert all(len(password) == 32 and not set(password) & set(":/@\"'\\") for _, password in used[1:])


def test_a_clone_may_what_its_original_may(rotating, database, new_name):
    name = new_name("grants")
    words = secret(rotating, database, name, f"reader_{database.engine[0]}", "multi")
    if database.engine == "postgres":
        database.execute("CREATE TABLE things AS SELECT 'found' AS name")
        database.execute(f'GRANT SELECT ON things TO "{words["username"]}"')
        question = "SELECT name FROM things"
    else:
        database.execute("CREATE DATABASE `it's a shop`")
        database.execute("CREATE TABLE `it's a shop`.things AS SELECT 'found' AS name")
        database.execute(f"GRANT SELECT ON `it's a shop`.* TO '{words['username']}'@'%' WITH GRANT OPTION")
        question = "SELECT name FROM `it's a shop`.things"
    version = rotating.rotate(name, rotating.built_in(database.engine, "multi"))
    until(lambda: rotating.has_rotated(name, version), f"the rotation of {name}: {rotating.shown(name)}")
    current = rotating.value(name)
    assert current["username"].endswith("_clone")
    connection = database._connect(current["username"], current["password"])
    if database.engine == "postgres":
        assert connection.run(question) == [["found"]]
    else:
        with connection.cursor() as cursor:
            cursor.execute(question)
            assert cursor.fetchone() == ("found",)
    connection.close()


def test_the_commands_of_the_manual_with_the_aws_cli(rotating, postgres):
    """What docs/rotation.md shows, with this database and account."""
    (block,) = [text for text in MANUAL.read_text().split("```sh\n") if "coffer-builtin" in text.split("```")[0]]
    commands = block.split("```")[0]
    words = postgres.secret("shop", "the password of now")
    postgres.add_user("shop", words["password"])
    example = {"db.example.com": ADDRESS, "5432": str(postgres.port), "<the password of now>": words["password"]}
    example |= {'"dbname":"shop"': f'"dbname":"{words["dbname"]}"', "111122223333": rotating.account}
    for shown, meant in example.items():
        assert shown in commands, shown
        commands = commands.replace(shown, meant)
    node = rotating.node
    program = node.place / "bin" / "coffer"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{binary()}" "$@" --data-dir "{node.data_dir}" --keyfile "{node.keyfile}" --region {REGION}\n')
    program.chmod(0o755)
    credentials = node.credentials()
    variables = {
        **environment(node.home), "AWS_PAGER": "", "AWS_ENDPOINT_URL": node.endpoint, "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id, "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "PATH": os.pathsep.join([str(program.parent), str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    done = subprocess.run(["sh", "-e"], input=commands, env=variables, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert rotating.built_in("postgres", "single") in done.stdout
    until(lambda: rotating.value("shop/db") != words and not rotating.shown("shop/db").get("under_way"), "the rotation")
    current = rotating.value("shop/db")
    assert {**current, "password": ""} == {**words, "password": ""} and postgres.logs_in("shop", current["password"])
    assert not postgres.logs_in("shop", words["password"])


def test_it_is_there_for_secrets_manager_alone(rotating):
    functions = rotating.client("lambda")
    function = rotating.built_in("postgres", "single")
    for ask in (
        lambda: functions.invoke(FunctionName=function, Payload=b"{}"),
        lambda: functions.get_function(FunctionName=function),
        lambda: functions.add_permission(FunctionName=function, StatementId="s", Action="lambda:InvokeFunction", Principal="*"),
    ):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            ask()
        assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert "coffer-builtin" not in json.dumps(functions.list_functions()["Functions"])
    sm = rotating.client()
    sm.create_secret(Name="unknown-rotator", SecretString="{}")
    with pytest.raises(sm.exceptions.ClientError) as refused:
        rotating.rotate("unknown-rotator", rotating.built_in("oracle", "single"))
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


def test_a_password_that_nobody_knows_changes_nothing(rotating, database, new_name):
    name = new_name("wrong")
    words = secret(rotating, database, name, f"wrong{database.engine[0]}", "single")
    database.set_password(words["username"], "set-by-somebody-else")
    rotating.rotate(name, rotating.built_in(database.engine, "single"))
    failure = rotating.failure(name)
    arn = rotating.client().describe_secret(SecretId=name)["ARN"]
    assert failure["step"] == "setSecret" and failure["error_type"] == "ValueError"
    assert failure["error_message"] == f"Unable to log into database with previous, current, or pending secret of secret arn {arn}"
    assert rotating.value(name) == words
    assert database.logs_in(words["username"], "set-by-somebody-else")
    # Once the cause is gone it goes on with the value that it has.
    database.set_password(words["username"], words["password"])
    pending = rotating.value(name, "AWSPENDING")
    rotating.retry(name)
    until(lambda: rotating.value(name) == pending, f"the rotation of {name}")
    assert database.logs_in(pending["username"], pending["password"])


@pytest.mark.parametrize("engine", ["postgres", "mariadb"])
@pytest.mark.parametrize("how", ["refuses", "hangs up", "says nonsense"])
def test_a_database_that_is_not_one_is_a_failure_with_words(rotating, engine, how, new_name, new_node, make_client):
    """What listens there is no database: the step fails in bounded time, and the value stays."""
    listener = socket.create_server((ADDRESS, 0))
    port = listener.getsockname()[1]
    if how == "refuses":
        listener.close()
    else:
        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    if how == "says nonsense":
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"\xff" * 4096)

        threading.Thread(target=serve, daemon=True).start()
    other = PlainNode(new_node(), make_client, [], ports=(port,))
    try:
        sm, name = other.client(), new_name("no-database")
        words = {"engine": engine, "host": ADDRESS, "port": port, "username": "u", "password": "kept-as-it-is"}
        arn = sm.create_secret(Name=name, SecretString=json.dumps(words))["ARN"]
        other.rotate(name, other.built_in(engine, "single"))
        failure = other.failure(name)
        assert failure["error_message"] == f"Unable to log into database with previous, current, or pending secret of secret arn {arn}"
        assert other.value(name) == words
    finally:
        listener.close()
        assert other.node.stop() == 0
    said = other.node.said()
    assert "kept-as-it-is" not in said and "defect of Coffer" not in said


def test_this_machine_is_out_of_reach_unless_it_is_listed(new_node, make_client, postgres, new_name):
    other = PlainNode(new_node(), make_client, [])
    try:
        name = new_name("near")
        words = other.secret(postgres, name, "near", "single_user")
        other.rotate(name, other.built_in("postgres", "single"))
        assert "Unable to log into database" in other.failure(name)["error_message"]
        assert other.value(name) == words and postgres.logs_in("near", words["password"])
    finally:
        assert other.node.stop() == 0
    assert "it is on this machine or in its network, and `functions.endpoints` of the configuration does not list it" in other.node.said()


def test_a_master_of_another_host_or_account_is_refused(rotating, database, new_name):
    name = new_name("masters")
    words = secret(rotating, database, name, f"m{database.engine[0]}", "multi")
    master = {**rotating.value(f"{name}-master"), "host": "elsewhere.example.com"}
    rotating.put(f"{name}-master", master)
    rotating.rotate(name, rotating.built_in(database.engine, "multi"))
    expected = f"Current database host {ADDRESS} is not the same host as/rds replica of master elsewhere.example.com"
    assert rotating.failure(name)["error_message"] == expected
    assert database.logs_in(words["username"], words["password"])


@pytest.fixture
def person(rotating, make_client, new_name):
    made = Person(rotating.client("iam"), lambda *words, **more: make_client(rotating.node, *words, **more), new_name("p").replace("/", "-"), {})
    yield made
    made.leave()


def test_the_master_secret_is_read_in_the_name_of_whoever_named_the_rotator(rotating, database, person, new_name):
    name, sm = new_name("lent"), person.client()
    words = secret(rotating, database, name, f"lent{database.engine[0]}", "multi")
    master = rotating.client().describe_secret(SecretId=f"{name}-master")["ARN"]
    function = rotating.built_in(database.engine, "multi")
    rest = allow("secretsmanager:RotateSecret", "lambda:InvokeFunction")
    sentence = person.sentence(READ, master, NOBODY_ALLOWS)

    def rotate() -> str:
        return sm.rotate_secret(SecretId=name, RotationLambdaARN=function, RotationRules={"AutomaticallyAfterDays": 30})["VersionId"]

    person.may(rest)
    for immediately in (True, False):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            sm.rotate_secret(
                SecretId=name, RotationLambdaARN=function, RotateImmediately=immediately, RotationRules={"AutomaticallyAfterDays": 30}
            )
        error = refused.value.response["Error"]
        assert (error["Code"], error["Message"]) == ("AccessDeniedException", sentence)
    assert "RotationEnabled" not in rotating.client().describe_secret(SecretId=name)

    person.may(rest, allow(READ, on=master))
    version = rotate()
    until(lambda: rotating.has_rotated(name, version), f"the rotation of {name}: {rotating.shown(name)}")
    first = rotating.value(name)
    assert first["username"] == words["username"] + "_clone" and database.logs_in(first["username"], first["password"])

    # Taken away later, by whoever owns the master secret.
    rotating.client().put_resource_policy(SecretId=master, ResourcePolicy=document(deny(READ, to=person.arn)))
    version = rotating.rotate(name)
    failure = rotating.failure(name)
    assert (failure["step"], failure["error_type"]) == ("createSecret", "AccessDeniedException")
    assert failure["error_message"].endswith(person.sentence(READ, master, POLICY_OF_RESOURCE_DENIES))
    assert rotating.value(name) == first
    with pytest.raises(rotating.client().exceptions.ResourceNotFoundException):
        rotating.version(name, version)
    # Each read is his, and so is the one that was refused.
    lines = rotating.command("audit", "search", "--json", "--event-name", "GetSecretValue", "--resource", master).stdout.splitlines()
    his = [event for event in map(json.loads, lines) if event["userIdentity"].get("arn") == person.arn]
    at_runs = [event.get("errorCode") for event in his if event["sourceIPAddress"] == "secretsmanager.amazonaws.com"]
    assert at_runs == [None, None, "AccessDenied"], his

    rotating.client().delete_resource_policy(SecretId=master)
    rotating.retry(name)
    until(lambda: rotating.has_rotated(name, version), f"the rotation of {name}: {rotating.shown(name)}")
    assert rotating.value(name)["username"] == words["username"]


def test_somebody_who_is_no_more_reads_nothing(rotating, database, make_client, new_name):
    name = new_name("gone")
    secret(rotating, database, name, f"gone{database.engine[0]}", "multi")
    function = rotating.built_in(database.engine, "multi")
    client_of = lambda *words, **more: make_client(rotating.node, *words, **more)  # noqa: E731
    person = Person(rotating.client("iam"), client_of, f"leaves-{database.engine}", {}).may(allow("secretsmanager:*", "lambda:*"))
    version = person.client().rotate_secret(SecretId=name, RotationLambdaARN=function, RotationRules={"AutomaticallyAfterDays": 30})["VersionId"]
    until(lambda: rotating.has_rotated(name, version), f"the rotation of {name}: {rotating.shown(name)}")
    person.leave()
    rotating.rotate(name)
    failure = rotating.failure(name)
    assert failure["step"] == "createSecret" and "he is not known, or is no more" in failure["error_message"]
    # Somebody else takes his place, once what is left of the attempt is gone.
    rotating.command("rotation", "repair", "--drop-pending", name, "--region", REGION)
    version = rotating.rotate(name, function)
    until(lambda: rotating.has_rotated(name, version), f"the rotation of {name}: {rotating.shown(name)}")


@pytest.fixture(scope="module")
def certificates(new_place) -> Path:
    """Of an authority, and of a database on `localhost` for which it vouches."""
    openssl, place = OpenSsl(new_place()), new_place()
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    authority, authority_key, key, request, certificate = (str(place / name) for name in ("ca.crt", "ca.key", "key", "csr", "crt"))
    openssl.run("req", "-x509", *new_key, "-keyout", authority_key, "-out", authority, "-subj", "/CN=Authority of a test", "-days", "2")
    openssl.run("req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    openssl.run(
        *("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial"),
        *("-copy_extensions", "copy", "-days", "1", "-out", certificate),
    )
    return place


@pytest.fixture(scope="module")
def encrypted(certificates, postgres):
    """PostgreSQL that takes no connection without TLS."""
    database = Postgres((certificates / "crt", certificates / "key"))
    yield database
    database.remove()


@pytest.fixture(scope="module")
def trusting(new_node, make_client, encrypted, certificates, postgres):
    node = PlainNode(new_node(), make_client, [encrypted, postgres], hosts=("localhost", ADDRESS), authorities=certificates / "ca.crt")
    yield node
    assert node.node.stop() == 0


@pytest.mark.parametrize("ssl", [None, True, "true"])
def test_tls_is_used(trusting, encrypted, ssl, new_name):
    name = new_name("tls")
    more = {} if ssl is None else {"ssl": ssl}
    trusting.secret(encrypted, name, name.replace("/", "_"), "single_user", host="localhost", **more)
    version = trusting.rotate(name, trusting.built_in("postgres", "single"))
    until(lambda: trusting.has_rotated(name, version), f"the rotation of {name}: {trusting.shown(name)}")
    current = trusting.value(name)
    assert encrypted.logs_in(current["username"], current["password"])


@pytest.mark.parametrize(("host", "ssl"), [("localhost", False), (ADDRESS, True)])
def test_tls_is_not_done_without_nor_with_another_name(trusting, encrypted, host, ssl, new_name):
    name = new_name("tls")
    words = trusting.secret(encrypted, name, name.replace("/", "_"), "single_user", host=host, ssl=ssl)
    trusting.rotate(name, trusting.built_in("postgres", "single"))
    assert "Unable to log into database" in trusting.failure(name)["error_message"]
    assert encrypted.logs_in(words["username"], words["password"])


def test_a_database_without_tls_is_used_only_if_nobody_wants_it(trusting, postgres, new_name):
    for ssl, does in [(None, True), ("false", True), (True, False)]:
        name = new_name("tls")
        more = {} if ssl is None else {"ssl": ssl}
        trusting.secret(postgres, name, name.replace("/", "_"), "single_user", **more)
        version = trusting.rotate(name, trusting.built_in("postgres", "single"))
        if does:
            until(lambda: trusting.has_rotated(name, version), f"the rotation of {name}: {trusting.shown(name)}")
        else:
            assert "Unable to log into database" in trusting.failure(name)["error_message"]


def test_no_statement_that_a_database_logs_has_a_password(rotating, postgres, new_name):
    name = new_name("silent")
    postgres.execute("ALTER SYSTEM SET log_statement = 'all'")
    postgres.execute("SELECT pg_reload_conf()")
    try:
        secret(rotating, postgres, name, "silent", "single")
        version = rotating.rotate(name, rotating.built_in("postgres", "single"))
        until(lambda: rotating.has_rotated(name, version), f"the rotation of {name}")
    finally:
        postgres.execute("ALTER SYSTEM RESET log_statement")
        postgres.execute("SELECT pg_reload_conf()")
    log = (postgres.place / "log").read_text(errors="replace")
    assert 'ALTER USER "silent"' in log
    assert rotating.value(name)["password"] not in log


@pytest.fixture
def hook(rotating, hooks):
    """Makes a function that is a webhook, for a path of the server of somebody."""
    iam, functions = rotating.client("iam"), rotating.client("lambda")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    try:
        role = iam.create_role(RoleName="hooked", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    except iam.exceptions.EntityAlreadyExistsException:
        role = iam.get_role(RoleName="hooked")["Role"]["Arn"]

    def make(name: str, url: str | None = None, path: str = "/echo", **variables: str) -> str:
        where = url or f"http://{ADDRESS}:{hooks.server_port}{path}"
        return functions.create_function(
            FunctionName=name, Runtime="provided.al2023", Role=role, Handler="none", Timeout=2,
            Code={"ZipFile": EMPTY_ZIP}, Environment={"Variables": {"COFFER_WEBHOOK_URL": where, **variables}},
        )["FunctionArn"]

    return make


def zip_of(name: str, text: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        made.writestr(name, text)
    return held.getvalue()


EMPTY_ZIP = zip_of("readme", "a webhook")


def test_a_webhook_is_sent_the_event_signed_and_answers(rotating, hooks, hook):
    arn = hook("hook-echo", COFFER_WEBHOOK_SECRET="of both")
    event = json.dumps({"a": [1, "zwei"]}).encode()
    before = time.time()
    answer = rotating.client("lambda").invoke(FunctionName="hook-echo", Payload=event, LogType="Tail")
    assert "FunctionError" not in answer and json.loads(answer["Payload"].read()) == {"a": [1, "zwei"]}
    path, headers, body = hooks.received[-1]
    headers = {name.lower(): value for name, value in headers.items()}
    assert (path, body) == ("/echo", event)
    assert headers["x-coffer-function"] == arn
    assert before + 2 <= int(headers["x-coffer-deadline-ms"]) / 1000 + 0.001 <= time.time() + 2.001
    request = answer["ResponseMetadata"]["RequestId"]
    assert headers["x-coffer-request-id"] == request
    start, end, report = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert (start, end) == (f"START RequestId: {request} Version: $LATEST", f"END RequestId: {request}")
    numbers = r"Duration: (\d+\.\d\d) ms\tBilled Duration: (\d+) ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\t"
    took, billed = map(float, re.fullmatch(f"REPORT RequestId: {request}\t{numbers}", report).groups())
    assert took <= billed <= took + 1
    assert headers["x-coffer-signature"] == "sha256=" + hmac.new(b"of both", event, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/broken", "Webhook.HttpStatus"), ("/away", "Webhook.HttpStatus"), ("/words", "Webhook.Answer"), ("/slow", "Webhook.Timeout")],
)
def test_a_webhook_that_answers_with_something_else_has_failed(rotating, hook, path, kind):
    name = "hook-" + path.strip("/")
    hook(name, path=path)
    answer = rotating.client("lambda").invoke(FunctionName=name)
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"].read())["errorType"] == kind


def test_a_webhook_leads_nowhere_but_where_it_may(rotating, hook, hooks):
    for count, (url, kind) in enumerate([
        (f"http://localhost:{hooks.server_port}/echo", "Webhook.Url"),
        ("http://hooks.example.com/", "Webhook.Url"),
        ("file:///etc/passwd", "Webhook.Url"),
        (f"https://{ADDRESS}:1/", "Webhook.Unreachable"),
        ("https://169.254.169.254/latest/meta-data", "Webhook.Unreachable"),
        ("https://0x7f000001/", "Webhook.Url"),
        ("https://10.0.0.1/", "Webhook.Unreachable"),
        ("https://100.64.0.1/", "Webhook.Unreachable"),
        ("https://[fd00::1]/", "Webhook.Unreachable"),
    ]):
        hook(f"hook-nowhere-{count}", url=url)
        said = json.loads(rotating.client("lambda").invoke(FunctionName=f"hook-nowhere-{count}")["Payload"].read())
        assert said["errorType"] == kind, url
        # Whoever may change that is told where.
        assert ("`functions.endpoints`" in said["errorMessage"]) == (kind == "Webhook.Unreachable"), url


def test_a_webhook_rotates_a_secret(rotating, hook, hooks, new_name):
    """It answers each step, and does not do it: what Secrets Manager finds is that nothing was made."""
    sm, name = rotating.client(), new_name("hooked")
    arn = hook("hook-rotates")
    rotating.client("lambda").add_permission(
        FunctionName="hook-rotates", StatementId="s", Action="lambda:InvokeFunction", Principal="secretsmanager.amazonaws.com"
    )
    secret_arn = sm.create_secret(Name=name, SecretString="{}")["ARN"]
    version = rotating.rotate(name, arn)
    failure = rotating.failure(name)
    assert failure["step"] == "createSecret" and "was not created by Lambda" in failure["message"]
    event = next(json.loads(body) for _, _, body in hooks.received if secret_arn.encode() in body)
    assert {**event, "RotationToken": ""} == {
        "Step": "createSecret", "SecretId": secret_arn, "ClientRequestToken": version, "RotationToken": "",
    }

"""What is around a rotation: TLS to the database, a server that is not root, and values that a function cannot keep to itself."""

import base64
import json
import os
import shutil
import tempfile
import urllib.parse
from pathlib import Path

import pytest

from databases import Postgres
from openssl import OpenSsl
from process import Node
from rotators import ADDRESS, AUTHORITIES, NAME, REGION, RotatingNode, can_name_hosts, package, skip_without_functions, until


@pytest.fixture(scope="module", autouse=True)
def _functions_run(new_place):
    skip_without_functions(new_place())


@pytest.fixture(scope="module")
def with_tls(new_node, new_place, make_client, postgres):
    """A server that trusts one authority, and a database that has a certificate of it for its name, and takes no connection without TLS."""
    if not can_name_hosts() or not Path(AUTHORITIES).exists():
        pytest.skip("this machine gives no process files of its own")
    openssl, place = OpenSsl(new_place()), new_place()
    authority, authority_key, key, request, certificate = (str(place / name) for name in ("ca.crt", "ca.key", "key", "csr", "crt"))
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl.run("req", "-x509", *new_key, "-keyout", authority_key, "-out", authority, "-subj", "/CN=Authority of a test", "-days", "2")
    openssl.run("req", *new_key, "-keyout", key, "-out", request, "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}")
    openssl.run(
        *("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial"),
        *("-copy_extensions", "copy", "-days", "1", "-out", certificate),
    )
    database = Postgres(certificate=(Path(certificate), Path(key)))
    rotating = RotatingNode(new_node(), make_client, [database], authorities=Path(authority))
    rotating.function("tls", "postgres", "single_user")
    yield rotating, database
    database.remove()
    assert rotating.node.stop() == 0, rotating.node.said()


@pytest.mark.parametrize("word", [{"ssl": True}, {"ssl": "true"}, {}], ids=["true", "text", "unsaid"])
def test_a_certificate_holds_because_a_database_keeps_its_name(with_tls, new_name, word):
    rotating, database = with_tls
    name = new_name("tls")
    rotating.secret(database, name, name.replace("/", "_"), "single_user", host=NAME, **word)
    version = rotating.rotate(name, rotating.client("lambda").get_function(FunctionName="tls")["Configuration"]["FunctionArn"])
    until(lambda: rotating.has_rotated(name, version), f"the rotation of {name}")
    current = rotating.value(name)
    assert database.logs_in(current["username"], current["password"])


@pytest.mark.parametrize(("host", "word"), [(ADDRESS, {"ssl": True}), (NAME, {"ssl": False})], ids=["another name", "no TLS"])
def test_no_connection_that_was_not_asked_for(with_tls, new_name, host, word):
    """The certificate is for the name and not for the address, and without TLS the database takes nobody."""
    rotating, database = with_tls
    name = new_name("tls")
    words = rotating.secret(database, name, name.replace("/", "_"), "single_user", host=host, **word)
    rotating.rotate(name, rotating.client("lambda").get_function(FunctionName="tls")["Configuration"]["FunctionArn"])
    failure = until(lambda: rotating.shown(name).get("failure"), "the failure")
    assert failure["step"] == "setSecret" and failure["error_message"].startswith("Unable to log into database")
    assert rotating.value(name) == words and database.logs_in(words["username"], words["password"])


def test_a_server_that_is_not_root_rotates_too(make_client, postgres):
    if os.geteuid() != 0:
        pytest.skip("then all the other tests show it")
    place = Path(tempfile.mkdtemp(prefix="coffer-nobody-"))
    try:
        place.chmod(0o755)
        node = Node(place / "node")
        for path in (node.place, node.home):
            shutil.chown(path, "nobody")
        try:
            rotating = RotatingNode(node, make_client, [postgres], user="nobody")
            rotating.secret(postgres, "nobody", "nobodys", "single_user")
            version = rotating.rotate("nobody", rotating.function("nobody", "postgres", "single_user"))
            until(lambda: rotating.has_rotated("nobody", version), "the rotation")
            current = rotating.value("nobody")
            assert postgres.logs_in(current["username"], current["password"])
        finally:
            assert node.stop() == 0, node.said()
    finally:
        shutil.rmtree(place)


INDISCREET = '''
import base64, json, logging, sys, urllib.parse
import steps

def lambda_handler(event, context):
    service = steps.client()
    for stage in ("AWSCURRENT", "AWSPENDING"):
        try:
            words = steps.secret(service, event["SecretId"], stage)
        except service.exceptions.ResourceNotFoundException:
            continue
        said = words["password"]
        for text in (said, json.dumps(words), repr(words), base64.b64encode(said.encode()).decode(), urllib.parse.quote(said), said.encode().hex()):
            print(stage, text)
            print(stage, text, file=sys.stderr)
            logging.getLogger().error("%s %s", stage, text)
    if event["Step"] == "setSecret":
        raise ValueError("cannot set " + said)
    import single_user
    single_user.lambda_handler(event, context)
'''


def test_what_a_function_says_of_a_secret_is_nowhere(new_node, make_client, postgres):
    rotating = RotatingNode(new_node(), make_client, [postgres])
    canary = "canary-7f'3a\\"
    words = rotating.secret(postgres, "told", "told", "single_user")
    words["password"] = canary + words["password"]
    postgres.set_password("told", words["password"])
    rotating.put("told", words)
    function = rotating.function("tells", "postgres", "single_user", package("postgres", "single_user", tells=INDISCREET), "tells.lambda_handler")
    rotating.rotate("told", function)
    failure = until(lambda: rotating.shown("told").get("failure"), "the failure")
    assert failure["step"] == "setSecret" and failure["error_message"] == "cannot set ****"
    assert postgres.logs_in("told", words["password"])
    pending = rotating.value("told", "AWSPENDING")

    seen = [json.dumps(failure), rotating.command("rotation", "show", "told", "--region", REGION).stdout]
    seen.append(rotating.command("rotation", "list", "--region", REGION).stdout)
    events = rotating.client("cloudtrail").get_paginator("lookup_events").paginate()
    seen += [event["CloudTrailEvent"] for page in events for event in page["Events"]]
    seen += _logs(rotating)
    assert rotating.node.stop() == 0
    for file in rotating.node.place.rglob("*"):
        if file.is_file():
            seen.append(file.read_bytes().decode("latin-1"))
    for password in (words["password"], pending["password"]):
        plain = password.encode()
        forms = [password, json.dumps(password)[1:-1], base64.b64encode(plain).decode(), urllib.parse.quote(password), plain.hex()]
        assert [form for form in forms for text in seen if form in text] == []


def _logs(rotating) -> list[str]:
    """What CloudWatch Logs has of it, and that it has something."""
    logs = rotating.client("logs")
    pages = list(logs.get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/tells"))
    said = [event["message"] for page in pages for event in page["events"]]
    assert any("****" in message for message in said), said
    return said

"""Who is let in: signatures as botocore makes them, and requests that only look like one."""

import json
from datetime import timedelta
from xml.etree import ElementTree

import botocore.auth
import pytest

from expect import refused
from process import Credentials, http

STS = "{https://sts.amazonaws.com/doc/2011-06-15/}"


@pytest.fixture
def clock(monkeypatch):
    """Sets the clock that botocore signs with."""
    true_clock = botocore.auth.get_current_datetime

    def shift(**by):
        monkeypatch.setattr(
            botocore.auth, "get_current_datetime", lambda *words, **more: true_clock(*words, **more) + timedelta(**by)
        )

    return shift


def presigned(sts, seconds):
    """The URL that authenticators of Kubernetes clusters hand on: it proves who made it."""
    return sts.generate_presigned_url("get_caller_identity", ExpiresIn=seconds, HttpMethod="GET")


def test_a_wrong_secret_key(make_client, server):
    key_id = server.credentials().access_key_id
    client = make_client(server, Credentials(key_id, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
    with refused("InvalidSignatureException", "does not match the signature you provided") as caught:
        client.list_secrets()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_an_unknown_key_id(make_client, server):
    client = make_client(server, Credentials("AKIAIOSFODNN7EXAMPLE", server.credentials().secret_access_key))
    with refused("UnrecognizedClientException", "The security token included in the request is invalid."):
        client.list_secrets()


def test_a_key_of_long_life_with_a_session_token(make_client, server):
    client = make_client(server, server.credentials(), token="no token of ours")
    with refused("UnrecognizedClientException", "The security token included in the request is invalid."):
        client.list_secrets()


def test_a_wrong_clock(client_of, clock):
    client = client_of()
    for by, text in (({"minutes": -6}, "Signature expired: "), ({"minutes": 6}, "Signature not yet current: ")):
        clock(**by)
        with refused("InvalidSignatureException", text):
            client.list_secrets()
    for minutes in (-4, 0, 4):
        clock(minutes=minutes)
        client.list_secrets(MaxResults=1)


def test_the_answer_says_what_time_it_is(sm):
    # SDKs set their clock by it after a refusal.
    assert sm.list_secrets(MaxResults=1)["ResponseMetadata"]["HTTPHeaders"]["date"].endswith(" GMT")


def test_a_signature_for_another_service(client_of):
    client = client_of()
    sign_for_kms = lambda context, **_: context.setdefault("signing", {}).update(signing_name="kms")
    client.meta.events.register("before-call", sign_for_kms)
    with refused("InvalidSignatureException", "scoped to correct service: 'secretsmanager'"):
        client.list_secrets()


def change_target(request):
    request.headers["X-Amz-Target"] = "secretsmanager.GetRandomPassword"


def change_date(request):
    request.headers["X-Amz-Date"] = request.headers["X-Amz-Date"][:-2] + b"?Z"


def add_a_header(request):
    request.headers["X-Amz-Extra"] = "unsigned"


def change_the_body(request):
    request.body = request.body.replace(b"1", b"2")


def take_the_signature_away(request):
    del request.headers["Authorization"]


def garble_the_signature(request):
    request.headers["Authorization"] = "AWS4-HMAC-SHA256 Credential"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (change_target, "InvalidSignatureException"),
        (change_date, "IncompleteSignatureException"),
        (add_a_header, "InvalidSignatureException"),
        (change_the_body, "InvalidSignatureException"),
        (take_the_signature_away, "MissingAuthenticationTokenException"),
        (garble_the_signature, "IncompleteSignatureException"),
    ],
)
def test_a_request_that_was_changed_on_its_way(client_of, change, code):
    client = client_of()
    client.meta.events.register("before-send", lambda request, **_: change(request))
    with refused(code):
        client.list_secrets(MaxResults=1)


def test_unsigned_nonsense_is_refused_in_the_caller_s_protocol(server):
    headers = {"X-Amz-Target": "secretsmanager.ListSecrets", "Content-Type": "application/x-amz-json-1.1"}
    status, answer, body = http("POST", server.endpoint, b"{not json", headers)
    assert (status, json.loads(body)["__type"]) == (400, "MissingAuthenticationTokenException")
    assert answer["x-amzn-requestid"]
    status, _, body = http("POST", server.endpoint, b"Action=GetCallerIdentity&Version=2011-06-15")
    assert (status, ElementTree.fromstring(body).tag.rsplit("}")[-1]) == (403, "ErrorResponse")


def test_the_caller_learns_who_they_are(client_of, sm, secret, server):
    identity = client_of("sts").get_caller_identity()
    account = secret["ARN"].split(":")[4]
    assert identity["Account"] == account
    assert identity["Arn"] == f"arn:aws:iam::{account}:user/administrator"
    assert identity["UserId"].startswith("AIDA")
    assert f"# account = {account}\n" in (server.data_dir / "bootstrap" / "credentials").read_text()


def test_a_presigned_url_proves_an_identity_to_a_third_party(client_of):
    sts = client_of("sts")
    url = presigned(sts, 60)
    status, headers, body = http("GET", url)
    assert status == 200, body
    assert headers["content-type"].startswith("text/xml")
    answer = ElementTree.fromstring(body)
    assert answer.tag == f"{STS}GetCallerIdentityResponse"
    result = answer.find(f"{STS}GetCallerIdentityResult")
    identity = sts.get_caller_identity()
    assert {member.tag.removeprefix(STS): member.text for member in result} == {
        name: identity[name] for name in ("UserId", "Account", "Arn")
    }
    assert answer.find(f"{STS}ResponseMetadata/{STS}RequestId").text == headers["x-amzn-requestid"]


def test_a_presigned_url_ends(client_of, clock):
    sts = client_of("sts")
    clock(minutes=-2)
    assert http("GET", presigned(sts, 600))[0] == 200
    status, _, body = http("GET", presigned(sts, 60))
    assert status == 403 and b"expired" in body, body
    # Fifteen minutes at most, whatever the URL says.
    clock(minutes=-20)
    status, _, body = http("GET", presigned(sts, 3600))
    assert status == 403, body


def test_a_presigned_url_that_was_changed(client_of):
    url = presigned(client_of("sts"), 60)
    for changed in (url.replace("X-Amz-Expires=60", "X-Amz-Expires=900"), url[:-1] + ("0" if url[-1] != "0" else "1")):
        status, _, body = http("GET", changed)
        assert (status, ElementTree.fromstring(body).findtext(f".//{STS}Code")) == (403, "SignatureDoesNotMatch"), body

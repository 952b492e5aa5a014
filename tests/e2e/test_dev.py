"""`coffer dev`: any credentials, accounts by key id, and a way to begin anew."""

import pytest

from expect import NOT_FOUND, refused
from process import http, run

RESET = "/_coffer/reset"


def test_any_credentials_will_do(dev_client_of, new_name):
    name = new_name()
    created = dev_client_of("anything").create_secret(Name=name, SecretString="v")
    assert created["ARN"].split(":")[4] == "000000000000"
    other = dev_client_of("AKIAIOSFODNN7EXAMPLE", token="a token")
    assert other.get_secret_value(SecretId=name)["SecretString"] == "v"


def test_a_key_id_of_twelve_digits_is_the_account(dev_client_of, new_name):
    name = new_name()
    one, two = dev_client_of("111122223333"), dev_client_of("444455556666")
    for client, account in ((one, "111122223333"), (two, "444455556666")):
        assert client.create_secret(Name=name, SecretString=account)["ARN"].split(":")[4] == account
    assert one.get_secret_value(SecretId=name)["SecretString"] == "111122223333"
    with refused("ResourceNotFoundException", NOT_FOUND):
        dev_client_of("test").get_secret_value(SecretId=name)
    identity = dev_client_of("111122223333", "sts").get_caller_identity()
    assert (identity["Account"], identity["Arn"]) == ("111122223333", "arn:aws:iam::111122223333:root")


def test_an_unsigned_request_is_refused_all_the_same(dev):
    status, _, body = http("POST", dev.endpoint, b"{}", {"X-Amz-Target": "secretsmanager.ListSecrets"})
    assert status == 400 and b"MissingAuthenticationTokenException" in body


def test_a_reset_forgets_everything(dev, dev_client_of, new_name):
    client, name = dev_client_of(), new_name()
    client.create_secret(Name=name, SecretString="v")
    status, _, _ = http("POST", dev.endpoint + RESET)
    assert status == 200
    with refused("ResourceNotFoundException", NOT_FOUND):
        client.get_secret_value(SecretId=name)
    assert client.list_secrets()["SecretList"] == []
    assert client.create_secret(Name=name, SecretString="again")["Name"] == name


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_reset_is_asked_for_with_post(dev, dev_client_of, new_name, method):
    client, name = dev_client_of(), new_name()
    client.create_secret(Name=name, SecretString="v")
    assert http(method, dev.endpoint + RESET)[0] >= 400
    assert client.get_secret_value(SecretId=name)["SecretString"] == "v"


def test_a_page_of_the_web_cannot_reset(dev, dev_client_of, new_name):
    client, name = dev_client_of(), new_name()
    client.create_secret(Name=name, SecretString="v")
    assert http("POST", dev.endpoint + RESET, headers={"Origin": "https://example.com"})[0] >= 400
    assert client.get_secret_value(SecretId=name)["SecretString"] == "v"


def test_a_server_has_no_reset(server, sm, secret):
    assert http("POST", server.endpoint + RESET)[0] >= 400
    assert sm.get_secret_value(SecretId=secret["Name"])["SecretString"] == "one"


def test_dev_serves_this_machine_only(new_place):
    refusal = run("dev", "--listen", "0.0.0.0:0", home=new_place())
    assert refusal.returncode == 1 and "not a loopback address" in refusal.stderr

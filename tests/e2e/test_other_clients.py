"""Libraries that people put between themselves and the SDK. Each has its own idea of which calls to make."""

import base64
import json

import pytest
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_secretsmanager_caching import InjectKeywordedSecretString, SecretCache, SecretCacheConfig
from aws_secretsmanager_caching.cache.items import SecretCacheObject

from expect import NOT_FOUND, refused


def test_the_caching_library_of_aws(sm, new_name):
    name = new_name()
    sm.create_secret(Name=name, SecretString=json.dumps({"user": "admin", "password": "one"}))
    cache = SecretCache(SecretCacheConfig(secret_refresh_interval=3600), client=sm)
    assert json.loads(cache.get_secret_string(name))["password"] == "one"
    sm.put_secret_value(SecretId=name, SecretString=json.dumps({"user": "admin", "password": "two"}))
    assert json.loads(cache.get_secret_string(name))["password"] == "one", "it is cached"
    fresh = SecretCache(client=sm)
    assert json.loads(fresh.get_secret_string(name))["password"] == "two"
    assert json.loads(fresh.get_secret_string(name, version_stage="AWSPREVIOUS"))["password"] == "one"

    @InjectKeywordedSecretString(secret_id=name, cache=fresh, user="user", password="password")
    def connect(user, password):
        return user, password

    assert connect() == ("admin", "two")

    sm.create_secret(Name=f"{name}/binary", SecretBinary=b"\x00\xff")
    assert fresh.get_secret_binary(f"{name}/binary") == b"\x00\xff"


def test_the_cache_follows_a_rotation_by_hand(sm, new_name):
    # An interval of nothing: the library asks DescribeSecret each time, and GetSecretValue only for a version it has not seen.
    name = new_name()
    cache = SecretCache(SecretCacheConfig(secret_refresh_interval=0), client=sm)
    first = sm.create_secret(Name=name, SecretString="one")["VersionId"]
    assert cache.get_secret_string(name) == "one"
    pending = sm.put_secret_value(SecretId=name, SecretString="two", VersionStages=["AWSPENDING"])["VersionId"]
    assert cache.get_secret_string(name) == "one", "what is pending is not current"
    assert cache.get_secret_string(name, version_stage="AWSPENDING") == "two"
    move = {"SecretId": name, "VersionStage": "AWSCURRENT"}
    sm.update_secret_version_stage(**move, MoveToVersionId=pending, RemoveFromVersionId=first)
    assert cache.get_secret_string(name) == "two"
    assert cache.get_secret_string(name, version_stage="AWSPREVIOUS") == "one"
    sm.update_secret_version_stage(**move, MoveToVersionId=first, RemoveFromVersionId=pending)
    assert cache.get_secret_string(name) == "one"
    sm.put_secret_value(SecretId=name, SecretBinary=b"\x00\xff")
    assert cache.get_secret_binary(name) == b"\x00\xff"
    assert cache.get_secret_string(name) is None


def test_the_cache_is_refreshed_by_command_and_remembers_a_refusal(sm, new_name, monkeypatch):
    monkeypatch.setattr(SecretCacheObject, "FORCE_REFRESH_JITTER_SLEEP", 0)
    name = new_name()
    cache = SecretCache(client=sm)
    with refused("ResourceNotFoundException", NOT_FOUND):
        cache.get_secret_string(name)
    sm.create_secret(Name=name, SecretString="one")
    with refused("ResourceNotFoundException", NOT_FOUND):
        cache.get_secret_string(name)
    assert cache.refresh_secret_now(name)
    assert cache.get_secret_string(name) == "one"
    sm.put_secret_value(SecretId=name, SecretString="two")
    assert cache.get_secret_string(name) == "one"
    assert cache.refresh_secret_now(name)
    assert cache.get_secret_string(name) == "two"


def test_powertools_for_lambda(sm, new_name):
    name = new_name()
    sm.create_secret(Name=name, SecretString='{"key": "value"}')
    provider = SecretsProvider(boto3_client=sm)
    assert provider.get(name, transform="json") == {"key": "value"}
    version = provider.set(name, value={"key": "changed"})["VersionId"]
    assert sm.get_secret_value(SecretId=name)["VersionId"] == version
    assert SecretsProvider(boto3_client=sm).get(name, transform="json") == {"key": "changed"}
    assert provider.set(f"{name}/new", value="made by set")["Name"] == f"{name}/new"


def test_powertools_keep_a_value_until_they_are_told_to_fetch_it(sm, new_name):
    name = new_name()
    sm.create_secret(Name=name, SecretString="one")
    provider = SecretsProvider(boto3_client=sm)
    assert provider.get(name, max_age=3600) == "one"
    sm.put_secret_value(SecretId=name, SecretString="two")
    assert provider.get(name, max_age=3600) == "one", "it is cached"
    assert provider.get(name, force_fetch=True) == "two"
    assert provider.get(name, force_fetch=True, VersionStage="AWSPREVIOUS") == "one"


@pytest.mark.parametrize("value", [b"\x00\xff", bytes(range(256))], ids=len)
def test_powertools_and_bytes(sm, new_name, value):
    provider, name = SecretsProvider(boto3_client=sm), new_name()
    provider.set(name, value=value)
    assert sm.get_secret_value(SecretId=name)["SecretBinary"] == value
    assert provider.get(name) == value
    provider.set(name, value=base64.b64encode(value).decode())
    assert provider.get(name, transform="binary", force_fetch=True) == value


def test_powertools_turn_the_pages_of_a_batch(client_of, new_region, new_name):
    client, prefix = client_of(region=new_region()), new_name()
    expected = {f"{prefix}/{number}": f"value {number}" for number in range(25)}
    for name, value in expected.items():
        client.create_secret(Name=name, SecretString=value)
    client.create_secret(Name=f"{prefix}/bytes", SecretBinary=b"\x00\xff")
    client.create_secret(Name="another", SecretString="not asked for")
    found = SecretsProvider(boto3_client=client).get_multiple([f"{prefix}/"])
    assert found == {**expected, f"{prefix}/bytes": b"\x00\xff"}

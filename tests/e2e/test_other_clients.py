"""Libraries that people put between themselves and the SDK. Each has its own idea of which calls to make."""

import json

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_secretsmanager_caching import InjectKeywordedSecretString, SecretCache, SecretCacheConfig


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


def test_powertools_for_lambda(sm, new_name):
    name = new_name()
    sm.create_secret(Name=name, SecretString='{"key": "value"}')
    provider = SecretsProvider(boto3_client=sm)
    assert provider.get(name, transform="json") == {"key": "value"}
    version = provider.set(name, value={"key": "changed"})["VersionId"]
    assert sm.get_secret_value(SecretId=name)["VersionId"] == version
    assert SecretsProvider(boto3_client=sm).get(name, transform="json") == {"key": "changed"}
    assert provider.set(f"{name}/new", value="made by set")["Name"] == f"{name}/new"

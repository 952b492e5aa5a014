"""The four steps of a rotation, as AWS's published functions take them.

Which user gets the new password, and who sets it, is a strategy: `single_user` or `alternating_users`. How that is said to a database is
the module `engine`. A function's package is this file, one of each kind, and nothing else.
"""

import json
import logging
import os

import boto3

import engine

logger = logging.getLogger()
logger.setLevel(logging.INFO)


def client():
    return boto3.client("secretsmanager", endpoint_url=os.environ["SECRETS_MANAGER_ENDPOINT"])


def rotate(event, strategy):
    arn, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    service = client()
    described = service.describe_secret(SecretId=arn)
    if "RotationEnabled" in described and not described["RotationEnabled"]:
        raise ValueError(f"Secret {arn} is not enabled for rotation")
    versions = described["VersionIdsToStages"]
    if token not in versions:
        raise ValueError(f"Secret version {token} has no stage for rotation of secret {arn}.")
    if "AWSCURRENT" in versions[token]:
        logger.info("Secret version %s already set as AWSCURRENT for secret %s.", token, arn)
        return
    if "AWSPENDING" not in versions[token]:
        raise ValueError(f"Secret version {token} not set as AWSPENDING for rotation of secret {arn}.")
    if step == "createSecret":
        create_secret(service, arn, token, strategy)
    elif step == "setSecret":
        strategy.set_secret(service, arn, token)
    elif step == "testSecret":
        test_secret(service, arn, token)
    elif step == "finishSecret":
        finish_secret(service, arn, token)
    else:
        raise ValueError(f"lambda_handler: Invalid step parameter {step} for secret {arn}")


def create_secret(service, arn, token, strategy):
    pending = secret(service, arn, "AWSCURRENT")
    try:
        secret(service, arn, "AWSPENDING", token)
        logger.info("createSecret: Successfully retrieved secret for %s.", arn)
    except service.exceptions.ResourceNotFoundException:
        pending["username"] = strategy.next_user(pending["username"])
        pending["password"] = password(service)
        service.put_secret_value(
            SecretId=arn, ClientRequestToken=token, SecretString=json.dumps(pending), VersionStages=["AWSPENDING"]
        )
        logger.info("createSecret: Successfully put secret for ARN %s and version %s.", arn, token)


def test_secret(service, arn, token):
    connection = connect(secret(service, arn, "AWSPENDING", token))
    if not connection:
        raise ValueError(f"Unable to log into database with pending secret of secret ARN {arn}")
    try:
        engine.look_at_the_time(connection)
    finally:
        connection.close()
    logger.info("testSecret: Successfully signed into the database with AWSPENDING secret in %s.", arn)


def finish_secret(service, arn, token):
    described = service.describe_secret(SecretId=arn)
    current = None
    for version, labels in described["VersionIdsToStages"].items():
        if "AWSCURRENT" in labels:
            if version == token:
                return
            current = version
            break
    service.update_secret_version_stage(
        SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=current
    )
    logger.info("finishSecret: Successfully set AWSCURRENT stage to version %s for secret %s.", token, arn)


def secret(service, arn, stage, token=None):
    words = {"VersionId": token} if token else {}
    found = json.loads(service.get_secret_value(SecretId=arn, VersionStage=stage, **words)["SecretString"])
    for member in ("host", "username", "password"):
        if member not in found:
            raise KeyError(f"{member} key is missing from secret JSON")
    return found


def password(service):
    def is_on(name, default):
        return os.environ.get(name, default).lower() in ("1", "true", "yes", "y", "on")

    made = service.get_random_password(
        ExcludeCharacters=os.environ.get("EXCLUDE_CHARACTERS", ":/@\"'\\"),
        PasswordLength=int(os.environ.get("PASSWORD_LENGTH", 32)),
        ExcludeNumbers=is_on("EXCLUDE_NUMBERS", "false"),
        ExcludePunctuation=is_on("EXCLUDE_PUNCTUATION", "false"),
        ExcludeUppercase=is_on("EXCLUDE_UPPERCASE", "false"),
        ExcludeLowercase=is_on("EXCLUDE_LOWERCASE", "false"),
        RequireEachIncludedType=is_on("REQUIRE_EACH_INCLUDED_TYPE", "true"),
    )
    return made["RandomPassword"]


def connect(words):
    """A connection, or none. Without a word about TLS in the secret it is tried first, and done without if that fails."""
    asked = words.get("ssl")
    asked = asked.lower() if isinstance(asked, str) else {True: "true", False: "false"}.get(asked)
    for use_tls in {"true": [True], "false": [False]}.get(asked, [True, False]):
        if connection := engine.attempt(words, use_tls):
            kind = "SSL/TLS" if use_tls else "non SSL/TLS"
            logger.info("Successfully established %s connection as user '%s'", kind, words["username"])
            return connection
    return None

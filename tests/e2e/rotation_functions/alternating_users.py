"""Two users with the same rights, who take turns; an administrator, whose secret `masterarn` names, makes the second and sets passwords."""

import sys

import boto3

import engine
import steps

SUFFIX = "_clone"


def lambda_handler(event, context):
    steps.rotate(event, sys.modules[__name__])


def next_user(user):
    if user.endswith(SUFFIX):
        return user[: -len(SUFFIX)]
    clone = user + SUFFIX
    if len(clone) > engine.USER_CHARACTERS_MAX:
        raise ValueError(f"Unable to clone user, username length with {SUFFIX} appended would exceed {engine.USER_CHARACTERS_MAX} characters")
    return clone


def set_secret(service, arn, token):
    current = steps.secret(service, arn, "AWSCURRENT")
    pending = steps.secret(service, arn, "AWSPENDING", token)
    connection = steps.connect(pending)
    if connection:
        connection.close()
        steps.logger.info("setSecret: AWSPENDING secret is already set as password for secret arn %s.", arn)
        return
    if next_user(current["username"]) != pending["username"]:
        raise ValueError(f"Attempting to modify user {pending['username']} other than current user or clone {current['username']}")
    if current["host"] != pending["host"]:
        raise ValueError(f"Attempting to modify user for host {pending['host']} other than current host {current['host']}")
    connection = steps.connect(current)
    if not connection:
        raise ValueError(f"Unable to log into database using current credentials for secret {arn}")
    connection.close()
    master = steps.secret(service, current["masterarn"], "AWSCURRENT")
    if current["host"] != master["host"] and not is_replica_of(current, master):
        raise ValueError(f"Current database host {current['host']} is not the same host as/rds replica of master {master['host']}")
    connection = steps.connect(master)
    if not connection:
        raise ValueError(f"Unable to log into database using credentials in master secret {current['masterarn']}")
    try:
        engine.set_password_of_another(connection, current["username"], pending)
    finally:
        connection.close()
    steps.logger.info("setSecret: Successfully set password for %s for secret arn %s.", pending["username"], arn)


def is_replica_of(replica, master):
    """As RDS knows it. Whatever is wrong with the answer, it is no yes."""
    try:
        name = replica["host"].split(".")[0]
        found = boto3.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    except Exception as error:
        steps.logger.warning("Encountered error while verifying rds replica status: %s", error)
        return False
    return bool(found) and found[0].get("ReadReplicaSourceDBInstanceIdentifier") == master["host"].split(".")[0]

"""One user, who changes his own password. For a moment between the second and the last step the current version does not log in."""

import sys

import engine
import steps


def lambda_handler(event, context):
    steps.rotate(event, sys.modules[__name__])


def next_user(user):
    return user


def set_secret(service, arn, token):
    try:
        previous = steps.secret(service, arn, "AWSPREVIOUS")
    except (service.exceptions.ResourceNotFoundException, KeyError):
        previous = None
    current = steps.secret(service, arn, "AWSCURRENT")
    pending = steps.secret(service, arn, "AWSPENDING", token)
    connection = steps.connect(pending)
    if connection:
        connection.close()
        steps.logger.info("setSecret: AWSPENDING secret is already set as password for secret arn %s.", arn)
        return
    for member in ("username", "host"):
        if current[member] != pending[member]:
            raise ValueError(f"Attempting to modify {member} {pending[member]} other than current {member} {current[member]}")
    connection = steps.connect(current)
    if not connection and previous:
        connection = steps.connect(previous)
        for member in ("username", "host"):
            if previous[member] != pending[member]:
                raise ValueError(f"Attempting to modify {member} {pending[member]} other than previous valid {member}")
    if not connection:
        raise ValueError(f"Unable to log into database with previous, current, or pending secret of secret arn {arn}")
    try:
        engine.set_own_password(connection, pending)
    finally:
        connection.close()
    steps.logger.info("setSecret: Successfully set password for user %s for secret arn %s.", pending["username"], arn)

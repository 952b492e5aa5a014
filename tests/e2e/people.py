"""People with a key and policies of their own, and the words in which policies are written down.

A test reads like what an administrator would say: `person.may(allow(READ, on=secret_arn))`. What is refused is compared with all of AWS's
sentence, because people search for it.
"""

import json
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError

from process import Credentials

READ = "secretsmanager:GetSecretValue"
NOBODY_ALLOWS = "because no identity-based policy allows the {action} action"
BOUNDARY_DOES_NOT_ALLOW = "because no permissions boundary allows the {action} action"
OWN_POLICY_DENIES = "with an explicit deny in an identity-based policy"
POLICY_OF_RESOURCE_DENIES = "with an explicit deny in a resource-based policy"


def statement(effect: str, actions: tuple[str, ...], on="*", when=None, to=None, **more) -> dict:
    """`on` are resources, `when` is a condition, and `to` an ARN or account: the principal, in the policy of a resource."""
    said = {"Effect": effect, **({"Action": list(actions)} if actions else {}), **({"Resource": on} if on else {}), **more}
    return said | ({"Principal": {"AWS": to}} if to else {}) | ({"Condition": when} if when else {})


def allow(*actions: str, **more) -> dict:
    return statement("Allow", actions, **more)


def deny(*actions: str, **more) -> dict:
    return statement("Deny", actions, **more)


def document(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Person:
    """A user of IAM with an access key."""

    def __init__(self, iam, make_client, name: str, tags: dict[str, str], path: str = "/", boundary: str | None = None):
        self._iam, self._make_client = iam, make_client
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        limited = {"PermissionsBoundary": boundary} if boundary else {}
        user = iam.create_user(UserName=name, Path=path, Tags=listed, **limited)["User"]
        self.name, self.arn, self.user_id = name, user["Arn"], user["UserId"]
        self.key = iam.create_access_key(UserName=name)["AccessKey"]

    @property
    def shown(self) -> str:
        """As refusals of IAM call a user: by the caller's word, so that they do not tell whether there is one."""
        return f"user {self.name}"

    def client(self, service="secretsmanager", **more):
        return self._make_client(Credentials(self.key["AccessKeyId"], self.key["SecretAccessKey"]), service, **more)

    def may(self, *statements: dict, under="main") -> "Person":
        """Says all that the person may do; what was said before under the same name is forgotten."""
        self._iam.put_user_policy(UserName=self.name, PolicyName=under, PolicyDocument=document(*statements))
        return self

    def may_nothing(self, under="main") -> None:
        self._iam.delete_user_policy(UserName=self.name, PolicyName=under)

    def leave(self) -> None:
        """The user is deleted, with all that hangs on him."""
        for listed in self._iam.list_access_keys(UserName=self.name)["AccessKeyMetadata"]:
            self._iam.delete_access_key(UserName=self.name, AccessKeyId=listed["AccessKeyId"])
        for under in self._iam.list_user_policies(UserName=self.name)["PolicyNames"]:
            self.may_nothing(under)
        self._iam.delete_user(UserName=self.name)

    def sentence(self, action: str, on: str | None, why: str) -> str:
        resource = f" on resource: {on}" if on else ""
        return f"User: {self.arn} is not authorized to perform: {action}{resource} {why.format(action=action)}"

    @contextmanager
    def denied(self, action: str, on: str | None = None, why: str = NOBODY_ALLOWS, code="AccessDeniedException"):
        """The call inside is refused with the whole of AWS's sentence."""
        with pytest.raises(ClientError) as caught:
            yield
        error = caught.value.response["Error"]
        assert (error["Code"], error["Message"]) == (code, self.sentence(action, on, why))

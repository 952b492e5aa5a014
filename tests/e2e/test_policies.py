"""Resource policies through boto3: kept as sent, understood before they are kept, and gone with their secret."""

import json

import pytest

from expect import MARKED_FOR_DELETION, NOT_FOUND, refused
from process import run


def policy(principal="444455556666", **more):
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**statement, **more}]}, indent=1, ensure_ascii=False)


def test_a_policy_comes_back_as_it_was_sent(sm, secret):
    assert "ResourcePolicy" not in sm.get_resource_policy(SecretId=secret["Name"])
    text = policy() + "\n"
    put = sm.put_resource_policy(SecretId=secret["ARN"], ResourcePolicy=text)
    assert (put["ARN"], put["Name"], put["PolicyName"]) == (secret["ARN"], secret["Name"], "default")
    assert sm.get_resource_policy(SecretId=secret["Name"])["ResourcePolicy"] == text
    policies = lambda: [
        page["ResourcePolicies"]
        for page in sm.get_paginator("list_resource_policies").paginate(SecretId=secret["Name"], MaxResults=1)
    ]
    assert policies() == [[{"PolicyName": "default"}]]

    sm.delete_resource_policy(SecretId=secret["Name"])
    sm.delete_resource_policy(SecretId=secret["Name"])
    assert "ResourcePolicy" not in sm.get_resource_policy(SecretId=secret["Name"])
    assert policies() == [[]]


def test_twenty_thousand_characters_of_any_script(sm, secret):
    text = policy(Sid="鍵" * 10_000)
    text += " " * (20_480 - len(text))
    sm.put_resource_policy(SecretId=secret["Name"], ResourcePolicy=text)
    assert sm.get_resource_policy(SecretId=secret["Name"])["ResourcePolicy"] == text
    with refused("ValidationException", "less than or equal to 20480"):
        sm.put_resource_policy(SecretId=secret["Name"], ResourcePolicy=text + " ")


def test_errors_are_the_modelled_ones(sm, secret):
    name = secret["Name"]
    with pytest.raises(sm.exceptions.MalformedPolicyDocumentException, match="This policy has invalid syntax."):
        sm.put_resource_policy(SecretId=name, ResourcePolicy=policy().replace("2012", "2013"))
    nobody = "arn:aws:iam::" + secret["ARN"].split(":")[4] + ":role/nobody"
    # Terraform tries again when it reads this.
    with pytest.raises(sm.exceptions.MalformedPolicyDocumentException, match="contains an unsupported principal"):
        sm.put_resource_policy(SecretId=name, ResourcePolicy=policy(nobody))
    with pytest.raises(sm.exceptions.PublicPolicyException):
        sm.put_resource_policy(SecretId=name, ResourcePolicy=policy("*"), BlockPublicPolicy=True)
    with pytest.raises(sm.exceptions.InvalidParameterException):
        sm.put_resource_policy(SecretId=name, ResourcePolicy=policy(), PolicyName="mine")
    with pytest.raises(sm.exceptions.ResourceNotFoundException):
        sm.get_resource_policy(SecretId=name, PolicyName="mine")
    with refused("ResourceNotFoundException", NOT_FOUND):
        sm.put_resource_policy(SecretId=name + "-never-made", ResourcePolicy=policy())


def test_a_policy_can_be_looked_at_first(sm, secret):
    fine = sm.validate_resource_policy(SecretId=secret["Name"], ResourcePolicy=policy())
    assert (fine["PolicyValidationPassed"], fine["ValidationErrors"]) == (True, [])
    public = sm.validate_resource_policy(ResourcePolicy=policy("*"))
    assert (public["PolicyValidationPassed"], len(public["ValidationErrors"])) == (False, 1)
    assert "ResourcePolicy" not in sm.get_resource_policy(SecretId=secret["Name"])


def test_a_policy_waits_with_its_secret_and_goes_with_it(new_node, make_client):
    node = new_node().start()
    client = make_client(node, node.credentials())
    client.create_secret(Name="db/password", SecretString="one")
    client.put_resource_policy(SecretId="db/password", ResourcePolicy=policy())
    client.delete_secret(SecretId="db/password")
    for ask in (client.get_resource_policy, client.delete_resource_policy, client.list_resource_policies):
        with refused("InvalidRequestException", MARKED_FOR_DELETION):
            ask(SecretId="db/password")
    client.restore_secret(SecretId="db/password")
    assert client.get_resource_policy(SecretId="db/password")["ResourcePolicy"] == policy()

    client.delete_secret(SecretId="db/password", ForceDeleteWithoutRecovery=True)
    client.create_secret(Name="db/password", SecretString="two")
    assert "ResourcePolicy" not in client.get_resource_policy(SecretId="db/password")
    assert node.stop() == 0, node.said()
    # Nothing is left behind that no secret names.
    verified = run("verify", "--data-dir", str(node.data_dir), "--keyfile", str(node.keyfile), home=node.home)
    assert verified.returncode == 0, verified.stdout + verified.stderr

"""What-if questions to IAM, as boto3 asks them: a simulation says what the same request then meets, and reports say what was used."""

import json
import time

import pytest
from botocore.exceptions import ClientError

from expect import refused
from people import READ, allow, deny, document

WRITE = "secretsmanager:PutSecretValue"


@pytest.fixture(scope="session")
def iam(client_of):
    return client_of("iam")


def decisions(answer: dict) -> dict[str, str]:
    return {result["EvalActionName"]: result["EvalDecision"] for result in answer["EvaluationResults"]}


def simulate(iam, person, *actions, on, **more) -> dict:
    return iam.simulate_principal_policy(
        PolicySourceArn=person.arn, ActionNames=list(actions), ResourceArns=[on], **more
    )


def test_a_simulation_says_what_requests_meet(iam, sm, new_person, new_name):
    name = new_name()
    arn = sm.create_secret(Name=name, SecretString="one")["ARN"]
    ann = new_person().may(allow(READ, WRITE, on=arn), deny(WRITE))
    assert decisions(simulate(iam, ann, READ, WRITE, "secretsmanager:DeleteSecret", on=arn)) == {
        READ: "allowed",
        WRITE: "explicitDeny",
        "secretsmanager:DeleteSecret": "implicitDeny",
    }
    theirs = ann.client()
    assert theirs.get_secret_value(SecretId=name)["SecretString"] == "one"
    for attempt in (
        lambda: theirs.put_secret_value(SecretId=name, SecretString="two"),
        lambda: theirs.delete_secret(SecretId=name),
    ):
        with pytest.raises(ClientError) as error:
            attempt()
        assert error.value.response["Error"]["Code"] == "AccessDeniedException"


def test_the_statement_that_decides_is_told_with_its_place(iam, new_person):
    ann = new_person()
    text = json.dumps(
        {"Version": "2012-10-17", "Statement": [allow("kms:*"), deny(READ)]},
        indent=2,
    )
    iam.put_user_policy(UserName=ann.name, PolicyName="mine", PolicyDocument=text)
    [result] = iam.simulate_principal_policy(PolicySourceArn=ann.arn, ActionNames=[READ])["EvaluationResults"]
    [statement] = result["MatchedStatements"]
    assert statement["SourcePolicyId"] == f"user_{ann.name}_mine"
    assert statement["SourcePolicyType"] == "IAM Policy"
    lines = text.splitlines()
    start, end = statement["StartPosition"], statement["EndPosition"]
    inside = "\n".join([lines[start["Line"] - 1][start["Column"] - 1 :], *lines[start["Line"] : end["Line"]]])
    assert json.loads(inside.strip().lstrip(",")) == deny(READ)


def test_what_a_policy_asks_for_can_be_brought_along(iam):
    policies = [document(allow(READ, when={"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}))]
    wanted = {"PolicyInputList": policies, "ActionNames": [READ]}
    keys = iam.get_context_keys_for_custom_policy(PolicyInputList=policies)["ContextKeyNames"]
    assert set(keys) == {"aws:ResourceTag/team", "aws:PrincipalTag/team"}
    [without] = iam.simulate_custom_policy(**wanted)["EvaluationResults"]
    assert without["EvalDecision"] == "implicitDeny"
    assert set(without["MissingContextValues"]) == set(keys)
    entries = [{"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": ["blue"]} for key in keys]
    assert decisions(iam.simulate_custom_policy(**wanted, ContextEntries=entries)) == {READ: "allowed"}


def test_pages_hold_every_action_once(iam):
    actions = [f"secretsmanager:Action{number}" for number in range(25)]
    pages = iam.get_paginator("simulate_custom_policy").paginate(
        PolicyInputList=[document(allow("*"))], ActionNames=actions, PaginationConfig={"PageSize": 10}
    )
    assert [result["EvalActionName"] for page in pages for result in page["EvaluationResults"]] == actions


def test_a_great_deal_is_answered_or_refused_in_time(iam):
    """Hundreds of statements with keys and hard patterns of their own, or far more plain ones, on a thousand resources."""
    resources = [f"arn:aws:s3:::{'a' * 40}{number}" for number in range(1000)]
    many = [allow("*", on="*" + "a*" * 10 + "b", when={"Null": {f"a:b{number}": "true"}}) for number in range(600)]
    for statements in (many, [allow("*")] * 1500):
        begun = time.monotonic()
        try:
            results = iam.simulate_custom_policy(
                PolicyInputList=[document(*statements)], ActionNames=[READ] * 20, ResourceArns=resources
            )["EvaluationResults"]
            assert all(len(result["MatchedStatements"]) <= 50 for result in results)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidInput", error
        assert time.monotonic() - begun < 20


def test_bad_questions_are_refused(iam, new_person):
    ann = new_person()
    with refused("InvalidInput", "Invalid caller - Caller must be an IAM user in this context."):
        iam.simulate_custom_policy(
            PolicyInputList=[document(allow("*"))],
            ActionNames=[READ],
            ResourcePolicy=document(allow("*", to="*")),
        )
    session = "arn:aws:sts::111122223333:assumed-role/app/one"
    with refused("InvalidInput", f"Invalid Entity Arn: {session} does not clearly define entity type and name."):
        iam.simulate_principal_policy(PolicySourceArn=session, ActionNames=[READ])
    gone = ann.arn.replace(ann.name, "nobody-at-all")
    with refused("NoSuchEntity", "The user with name nobody-at-all cannot be found."):
        iam.simulate_principal_policy(PolicySourceArn=gone, ActionNames=[READ])


def test_a_report_tells_what_somebody_used_and_what_not(iam, sm, new_person, new_name):
    name = new_name()
    arn = sm.create_secret(Name=name, SecretString="one")["ARN"]
    ann = new_person().may(allow(READ, on=arn), allow("cloudtrail:*"))
    ann.client().get_secret_value(SecretId=name)
    job = iam.generate_service_last_accessed_details(Arn=ann.arn, Granularity="ACTION_LEVEL")["JobId"]
    for _ in range(100):
        report = iam.get_service_last_accessed_details(JobId=job)
        if report["JobStatus"] == "COMPLETED":
            break
    used = {service["ServiceNamespace"]: service for service in report["ServicesLastAccessed"]}
    assert set(used) == {"cloudtrail", "secretsmanager"}
    assert used["secretsmanager"]["LastAuthenticatedEntity"] == ann.arn
    assert [one["ActionName"] for one in used["secretsmanager"]["TrackedActionsLastAccessed"]] == ["GetSecretValue"]
    assert used["cloudtrail"]["TotalAuthenticatedEntities"] == 0 and "LastAuthenticated" not in used["cloudtrail"]
    [entity] = iam.get_service_last_accessed_details_with_entities(JobId=job, ServiceNamespace="secretsmanager")[
        "EntityDetailsList"
    ]
    assert entity["EntityInfo"]["Id"] == ann.user_id
    [granting] = iam.list_policies_granting_service_access(Arn=ann.arn, ServiceNamespaces=["secretsmanager"])[
        "PoliciesGrantingServiceAccess"
    ]
    assert [policy["PolicyType"] for policy in granting["Policies"]] == ["INLINE"]

"""Who may do what: users, teams and secrets, as an administrator of AWS knows them.

Each test is a story of an administrator who writes policies and people who then may, or may not. What they are told when they may not is
AWS's sentence to the letter.
"""

import json

import pytest

from expect import NOT_FOUND, refused
from people import NOBODY_ALLOWS, OWN_POLICY_DENIES, POLICY_OF_RESOURCE_DENIES, READ, allow, deny, document

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
TEAM = "aws:ResourceTag/team"
MINE = "${aws:PrincipalTag/team}"

# What each member of a team is given. The text is the same for all teams, because the variable stands for the member's own tag.
READ_WHAT_IS_OURS = (
    allow(READ, "secretsmanager:DescribeSecret", on="arn:aws:secretsmanager:*:*:secret:*", when={"StringEquals": {TEAM: MINE}}),
    allow("secretsmanager:ListSecrets", "secretsmanager:BatchGetSecretValue"),
)
# Who makes a secret says whose it is, and may say what it is for, and nothing else. TagResource is asked about both: what a secret will
# be tagged with, and what it is tagged with already.
MAKE_FOR_US = (
    allow("secretsmanager:CreateSecret"),
    deny("secretsmanager:CreateSecret", when={"StringNotEquals": {"aws:RequestTag/team": MINE}}),
    allow("secretsmanager:TagResource", when={"StringEquals": {TEAM: MINE}}),
    deny("secretsmanager:TagResource", when={"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["team", "purpose"]}}),
    # A comparison with "not" holds also for a tag that is not sent, so `Null` says that it has to be there.
    deny("secretsmanager:TagResource", when={"StringNotEquals": {"aws:RequestTag/team": MINE}, "Null": {"aws:RequestTag/team": "false"}}),
)


def tag(**tags: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@pytest.fixture
def home(client_of, new_region):
    """The administrator's client, in a region without secrets."""
    return client_of(region=new_region())


@pytest.fixture
def teams(home):
    """Secrets of two teams, and one of nobody. Values are names, so that a test sees whose it got."""
    for team in ("blue", "green"):
        home.create_secret(Name=f"{team}/db", SecretString=team, Tags=tag(team=team))
    home.create_secret(Name="nobody/db", SecretString="nobody")
    return home


def at(client):
    """The region of a client, for another client."""
    return {"region": client.meta.region_name}


def test_a_user_without_policies_may_do_nothing(new_person, secret):
    ann = new_person()
    mine = ann.client()
    for action, on, call in [
        ("secretsmanager:ListSecrets", None, lambda: mine.list_secrets()),
        ("secretsmanager:GetRandomPassword", None, lambda: mine.get_random_password()),
        # Named as the caller named it.
        (READ, secret["Name"], lambda: mine.get_secret_value(SecretId=secret["Name"])),
        (READ, secret["ARN"], lambda: mine.get_secret_value(SecretId=secret["ARN"])),
        ("secretsmanager:CreateSecret", "ann/new", lambda: mine.create_secret(Name="ann/new")),
        ("cloudtrail:LookupEvents", None, lambda: ann.client("cloudtrail").lookup_events()),
    ]:
        with ann.denied(action, on):
            call()
    iam = ann.client("iam")
    for action, on, call in [
        ("iam:GetUser", ann.shown, lambda: iam.get_user()),
        ("iam:DeleteUser", ann.shown, lambda: iam.delete_user(UserName=ann.name)),
    ]:
        with ann.denied(action, on, code="AccessDenied"):
            call()
    # Who he is, everybody may ask.
    assert ann.client("sts").get_caller_identity()["Arn"] == ann.arn


def test_a_member_reads_exactly_what_is_tagged_with_his_team(new_person, teams):
    ann = new_person(team="blue").may(*READ_WHAT_IS_OURS)
    client = ann.client(**at(teams))
    assert client.get_secret_value(SecretId="blue/db")["SecretString"] == "blue"
    assert client.describe_secret(SecretId="blue/db")["Name"] == "blue/db"
    for name in ("green/db", "nobody/db", "no/such/secret"):
        with ann.denied(READ, name):
            client.get_secret_value(SecretId=name)
    with ann.denied("secretsmanager:PutSecretValue", "blue/db"):
        client.put_secret_value(SecretId="blue/db", SecretString="x")


def test_in_a_batch_what_is_denied_is_an_entry_among_the_errors(new_person, teams):
    ann = new_person(team="blue").may(*READ_WHAT_IS_OURS)
    client = ann.client(**at(teams))
    named = client.batch_get_secret_value(SecretIdList=["green/db", "blue/db", "no/such/secret"])
    found = client.batch_get_secret_value(Filters=[{"Key": "all", "Values": ["db"]}])
    assert [entry["SecretString"] for entry in named["SecretValues"] + found["SecretValues"]] == ["blue", "blue"]

    def told(answer):
        return {entry["SecretId"]: (entry["ErrorCode"], entry["Message"]) for entry in answer["Errors"]}

    def denial(on):
        return ("AccessDeniedException", ann.sentence(READ, on, NOBODY_ALLOWS))

    others = [teams.describe_secret(SecretId=name)["ARN"] for name in ("green/db", "nobody/db")]
    assert told(named) == {name: denial(name) for name in ("green/db", "no/such/secret")}
    assert told(found) == {arn: denial(arn) for arn in others}


def test_a_list_shows_all_secrets_to_whoever_may_list(new_person, teams):
    ann = new_person(team="blue").may(*READ_WHAT_IS_OURS)
    listed = ann.client(**at(teams)).list_secrets()["SecretList"]
    assert {entry["Name"] for entry in listed} == {"blue/db", "green/db", "nobody/db"}
    # Lists have no resource, so a policy that names resources does not allow them.
    ann.may(allow("secretsmanager:ListSecrets", on="arn:aws:secretsmanager:*:*:secret:*"))
    with ann.denied("secretsmanager:ListSecrets"):
        ann.client(**at(teams)).list_secrets()


def test_a_member_who_changes_teams_takes_nothing_along(new_person, teams, client_of):
    ann = new_person(team="blue").may(*READ_WHAT_IS_OURS)
    client = ann.client(**at(teams))
    client_of("iam").tag_user(UserName=ann.name, Tags=tag(team="green"))
    assert client.get_secret_value(SecretId="green/db")["SecretString"] == "green"
    with ann.denied(READ, "blue/db"):
        client.get_secret_value(SecretId="blue/db")
    # Without a tag the variable stands for nothing, and not for secrets without a tag.
    client_of("iam").untag_user(UserName=ann.name, TagKeys=["team"])
    for name in ("blue/db", "green/db", "nobody/db"):
        with ann.denied(READ, name):
            client.get_secret_value(SecretId=name)


def test_a_secret_is_made_with_the_tag_of_ones_team_or_not_at_all(new_person, home):
    ann = new_person(team="blue").may(*MAKE_FOR_US, *READ_WHAT_IS_OURS)
    client = ann.client(**at(home))
    for tags in ({}, {"Tags": tag(team="green")}, {"Tags": tag(purpose="x")}, {"Tags": tag(team="BLUE")}):
        with ann.denied("secretsmanager:CreateSecret", "new", OWN_POLICY_DENIES):
            client.create_secret(Name="new", SecretString="one", **tags)
    # Tags that nobody agreed on are refused by what is said about tags.
    with ann.denied("secretsmanager:TagResource", "new", OWN_POLICY_DENIES):
        client.create_secret(Name="new", SecretString="one", Tags=tag(team="blue", owner="ann"))
    assert home.list_secrets()["SecretList"] == []

    client.create_secret(Name="new", SecretString="one", Tags=tag(team="blue", purpose="a test"))
    assert client.get_secret_value(SecretId="new")["SecretString"] == "one"


def test_nobody_tags_himself_in(new_person, teams):
    ann = new_person(team="blue").may(*MAKE_FOR_US, *READ_WHAT_IS_OURS)
    client = ann.client(**at(teams))
    for name in ("green/db", "nobody/db"):
        with ann.denied("secretsmanager:TagResource", name):
            client.tag_resource(SecretId=name, Tags=tag(team="blue"))
    with ann.denied("secretsmanager:UntagResource", "green/db"):
        client.untag_resource(SecretId="green/db", TagKeys=["team"])
    # Nor does he give away what is his team's, though he may say what it is for.
    with ann.denied("secretsmanager:TagResource", "blue/db", OWN_POLICY_DENIES):
        client.tag_resource(SecretId="blue/db", Tags=tag(team="green"))
    client.tag_resource(SecretId="blue/db", Tags=tag(purpose="orders"))
    assert teams.describe_secret(SecretId="blue/db")["Tags"] == tag(team="blue", purpose="orders")


def test_a_deny_in_the_policy_of_a_secret_stops_the_administrator_until_it_is_lifted(new_person, client_of, home):
    bob = new_person()
    client_of("iam").attach_user_policy(UserName=bob.name, PolicyArn=ADMINISTRATOR_ACCESS)
    arn = home.create_secret(Name="sealed", SecretString="one")["ARN"]
    home.put_resource_policy(SecretId=arn, ResourcePolicy=document(deny(READ, to="*")))
    for client in (home, bob.client(**at(home))):
        with refused("AccessDeniedException", f"perform: {READ} on resource: sealed {POLICY_OF_RESOURCE_DENIES}"):
            client.get_secret_value(SecretId="sealed")
        # Everything else he may still do: the policy can be taken away.
        assert client.describe_secret(SecretId="sealed")["ARN"] == arn
    bob.client(**at(home)).delete_resource_policy(SecretId="sealed")
    assert home.get_secret_value(SecretId="sealed")["SecretString"] == "one"


def test_a_user_who_is_named_by_a_secret_needs_no_policy_and_whoever_takes_his_name_is_not_named(new_person, home):
    ann = new_person()
    arn = home.create_secret(Name="for/ann", SecretString="one")["ARN"]
    home.put_resource_policy(SecretId=arn, ResourcePolicy=document(allow(READ, to=ann.arn)))
    assert ann.client(**at(home)).get_secret_value(SecretId="for/ann")["SecretString"] == "one"
    with ann.denied("secretsmanager:DescribeSecret", "for/ann"):
        ann.client(**at(home)).describe_secret(SecretId="for/ann")

    ann.leave()
    other = new_person(name=ann.name)
    assert other.arn == ann.arn and other.user_id != ann.user_id
    with other.denied(READ, "for/ann"):
        other.client(**at(home)).get_secret_value(SecretId="for/ann")
    # AWS then shows the id of the one who was meant.
    (statement,) = json.loads(home.get_resource_policy(SecretId=arn)["ResourcePolicy"])["Statement"]
    assert statement["Principal"] == {"AWS": ann.user_id}


def test_the_account_in_the_policy_of_a_secret_only_lets_the_users_policies_decide(new_person, home):
    ann = new_person()
    arn = home.create_secret(Name="ours", SecretString="one")["ARN"]
    home.put_resource_policy(SecretId=arn, ResourcePolicy=document(allow(READ, to=arn.split(":")[4])))
    with ann.denied(READ, "ours"):
        ann.client(**at(home)).get_secret_value(SecretId="ours")
    ann.may(allow(READ, on=arn))
    assert ann.client(**at(home)).get_secret_value(SecretId="ours")["SecretString"] == "one"


def test_nobody_learns_from_a_refusal_whether_a_secret_exists(new_person, home):
    ann = new_person().may(allow(READ, on="arn:aws:secretsmanager:*:*:secret:team-a/*-??????"))
    client = ann.client(**at(home))
    home.create_secret(Name="team-a/db", SecretString="one")
    home.create_secret(Name="team-b/db", SecretString="two")
    assert client.get_secret_value(SecretId="team-a/db")["SecretString"] == "one"
    # Where he may read, he is told that there is nothing; where he may not, the two sentences are the same.
    with refused("ResourceNotFoundException", NOT_FOUND):
        client.get_secret_value(SecretId="team-a/none")
    for name in ("team-b/db", "team-b/none"):
        with ann.denied(READ, name):
            client.get_secret_value(SecretId=name)


def test_a_pattern_with_six_signs_is_one_secret_and_a_star_may_be_more(new_person, home):
    ann = new_person()
    client = ann.client(**at(home))
    for name in ("db", "db-replica"):
        home.create_secret(Name=name, SecretString=name)
    ann.may(allow(READ, on="arn:aws:secretsmanager:*:*:secret:db-??????"))
    assert client.get_secret_value(SecretId="db")["SecretString"] == "db"
    with ann.denied(READ, "db-replica"):
        client.get_secret_value(SecretId="db-replica")
    ann.may(allow(READ, on="arn:aws:secretsmanager:*:*:secret:db-*"))
    assert client.get_secret_value(SecretId="db-replica")["SecretString"] == "db-replica"
    # The name alone is no ARN of a secret.
    ann.may(allow(READ, on="arn:aws:secretsmanager:*:*:secret:db"))
    with ann.denied(READ, "db"):
        client.get_secret_value(SecretId="db")


def test_everything_but(new_person, home):
    bob = new_person().may(allow(NotAction="iam:*"))
    client = bob.client(**at(home))
    for name in ("apps/one", "vault/one"):
        client.create_secret(Name=name, SecretString=name)
    with bob.denied("iam:GetUser", bob.shown, code="AccessDenied"):
        bob.client("iam").get_user()
    bob.may(allow("secretsmanager:*"), deny(READ, on=None, NotResource="arn:aws:secretsmanager:*:*:secret:apps/*"))
    assert client.get_secret_value(SecretId="apps/one")["SecretString"] == "apps/one"
    with bob.denied(READ, "vault/one", OWN_POLICY_DENIES):
        client.get_secret_value(SecretId="vault/one")


def test_a_policy_that_is_taken_away_ends_with_it(new_person, secret):
    ann = new_person().may(allow(READ))
    client = ann.client()
    for _ in range(3):
        assert client.get_secret_value(SecretId=secret["ARN"])["SecretString"] == "one"
        ann.may_nothing()
        with ann.denied(READ, secret["ARN"]):
            client.get_secret_value(SecretId=secret["ARN"])
        ann.may(allow(READ))


def test_users_manage_their_own_keys_and_nobody_elses(new_person):
    own = "arn:aws:iam::*:user/${aws:username}"
    ann, bob = (new_person().may(allow("iam:*AccessKey*", "iam:GetUser", on=own)) for _ in range(2))
    iam = ann.client("iam")
    made = iam.create_access_key()["AccessKey"]
    assert made["UserName"] == ann.name
    iam.update_access_key(UserName=ann.name, AccessKeyId=ann.key["AccessKeyId"], Status="Inactive")
    with refused("UnrecognizedClientException", "The security token included in the request is invalid."):
        ann.client().list_secrets()
    ann.key = made
    iam = ann.client("iam")
    assert {key["Status"] for key in iam.list_access_keys()["AccessKeyMetadata"]} == {"Active", "Inactive"}
    for action, call in [
        ("iam:CreateAccessKey", iam.create_access_key),
        ("iam:ListAccessKeys", iam.list_access_keys),
        ("iam:GetUser", iam.get_user),
    ]:
        with ann.denied(action, bob.shown, code="AccessDenied"):
            call(UserName=bob.name)
    # Policies are no keys: nobody makes himself the administrator.
    with ann.denied("iam:AttachUserPolicy", ann.shown, code="AccessDenied"):
        iam.attach_user_policy(UserName=ann.name, PolicyArn=ADMINISTRATOR_ACCESS)


def test_every_refusal_is_on_record(new_person, client_of, secret):
    ann = new_person()
    with ann.denied(READ, secret["Name"]):
        ann.client().get_secret_value(SecretId=secret["Name"])
    attributes = [{"AttributeKey": "Username", "AttributeValue": ann.name}]
    (event,) = client_of("cloudtrail").lookup_events(LookupAttributes=attributes)["Events"]
    record = json.loads(event["CloudTrailEvent"])
    assert (event["EventName"], event["AccessKeyId"]) == ("GetSecretValue", ann.key["AccessKeyId"])
    assert record["userIdentity"]["arn"] == ann.arn
    assert record["errorCode"] == "AccessDenied"
    assert record["errorMessage"] == ann.sentence(READ, secret["Name"], NOBODY_ALLOWS)
    assert record["requestParameters"] == {"secretId": secret["Name"]}

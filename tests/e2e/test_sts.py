"""Temporary credentials, as SDKs get and use them: roles, chains of roles, and workloads of a cluster that have nothing but a token.

The cluster is made up: it signs tokens with a key of its own, and a file of its public keys is all that the server is given, as an
operator writes it with `kubectl get --raw /openid/v1/jwks`.
"""

import json
from datetime import datetime, timedelta, timezone

import boto3
import pytest

from cluster import ACCOUNT_OF_POD, ISSUER, Cluster
from conftest import REGION
from expect import refused, token
from people import READ, allow, document
from process import Credentials

TRUST = {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"]}


def trust(principal: dict, **more) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{**TRUST, "Principal": principal, **more}]})


@pytest.fixture(scope="module")
def iam(client_of):
    return client_of("iam")


@pytest.fixture(scope="module")
def sts(client_of):
    return client_of("sts")


@pytest.fixture(scope="module")
def account(sts):
    return sts.get_caller_identity()["Account"]


@pytest.fixture
def new_role(iam, new_name, account):
    """A role that the account trusts, or somebody else, with a policy of these statements."""

    def make(*statements: dict, **more) -> str:
        name = new_name().replace("/", "-")
        policy = more.pop("trusted", trust({"AWS": account}))
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy, **more)["Role"]
        iam.put_role_policy(RoleName=name, PolicyName="work", PolicyDocument=document(*statements))
        return role["Arn"]

    return make


@pytest.fixture
def as_session(make_client, server):
    """Clients of whoever has these credentials, as STS answers them."""

    def make(credentials: dict, service="secretsmanager", **more):
        keys = Credentials(credentials["AccessKeyId"], credentials["SecretAccessKey"])
        return make_client(server, keys, service, token=credentials["SessionToken"], **more)

    return make


def test_whoever_takes_on_a_role_may_what_the_role_may(sts, as_session, new_role, secret):
    role = new_role(allow(READ, on=secret["ARN"]))
    answer = sts.assume_role(RoleArn=role, RoleSessionName="deploy", DurationSeconds=900)
    assert "PackedPolicySize" not in answer
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA") and len(credentials["SecretAccessKey"]) == 40
    left = credentials["Expiration"] - datetime.now(timezone.utc)
    assert timedelta(seconds=840) < left <= timedelta(seconds=900)

    identity = as_session(credentials, "sts").get_caller_identity()
    name = role.rsplit("/", 1)[1]
    assert identity["Arn"] == answer["AssumedRoleUser"]["Arn"]
    assert identity["Arn"].endswith(f":assumed-role/{name}/deploy")
    assert identity["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]

    session = as_session(credentials)
    assert session.get_secret_value(SecretId=secret["ARN"])["SecretString"]
    with refused("AccessDeniedException", f"User: {identity['Arn']} is not authorized to perform: secretsmanager:DeleteSecret"):
        session.delete_secret(SecretId=secret["ARN"])


def test_a_chain_of_roles_with_a_session_policy_can_only_become_less(sts, as_session, new_role, secret):
    last = new_role(allow("secretsmanager:*"))
    first = new_role(allow("sts:AssumeRole", "sts:TagSession", on=last))
    tags = [{"Key": "team", "Value": "blue"}]
    credentials = sts.assume_role(RoleArn=first, RoleSessionName="one", Tags=tags, TransitiveTagKeys=["team"])["Credentials"]
    chained = as_session(credentials, "sts")
    with refused("ValidationError", "1 hour session limit for roles assumed by role chaining"):
        chained.assume_role(RoleArn=last, RoleSessionName="two", DurationSeconds=3601)
    only_reads = document(allow(READ, on=secret["ARN"], when={"StringEquals": {"aws:PrincipalTag/team": "blue"}}))
    answer = chained.assume_role(RoleArn=last, RoleSessionName="two", Policy=only_reads)
    assert 0 < answer["PackedPolicySize"] < 20
    reader = as_session(answer["Credentials"])
    assert reader.get_secret_value(SecretId=secret["ARN"])["SecretString"]
    with refused("AccessDeniedException", "because no session policy allows the secretsmanager:DescribeSecret action"):
        reader.describe_secret(SecretId=secret["ARN"])


def test_an_sdk_takes_on_the_role_of_its_profile(server, new_role, secret, tmp_path, monkeypatch):
    role = new_role(allow(READ, on=secret["ARN"]))
    keys = server.credentials()
    config = tmp_path / "config"
    config.write_text(
        f"[profile base]\nregion = {REGION}\naws_access_key_id = {keys.access_key_id}\n"
        f"aws_secret_access_key = {keys.secret_access_key}\n"
        f"[profile app]\nregion = {REGION}\nsource_profile = base\nrole_arn = {role}\nrole_session_name = sdk\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    session = boto3.Session(profile_name="app")
    assert session.client("sts").get_caller_identity()["Arn"].endswith("/sdk")
    assert session.client("secretsmanager").get_secret_value(SecretId=secret["ARN"])["SecretString"]


def test_who_may_not_have_a_role_does_not_learn_whether_it_exists(sts, new_person, new_role, account):
    person = new_person().client("sts")
    role = new_role(allow("*"))
    for wanted in (role, f"arn:aws:iam::{account}:role/nothing"):
        with refused("AccessDenied", f"is not authorized to perform: sts:AssumeRole on resource: {wanted}"):
            person.assume_role(RoleArn=wanted, RoleSessionName="x-1")


def test_a_session_ends_with_its_role(sts, iam, as_session, new_role):
    role = new_role(allow("*"))
    name = role.rsplit("/", 1)[1]
    credentials = sts.assume_role(RoleArn=role, RoleSessionName="x-1")["Credentials"]
    assert as_session(credentials).list_secrets()["SecretList"] is not None
    iam.delete_role_policy(RoleName=name, PolicyName="work")
    iam.delete_role(RoleName=name)
    with refused("UnrecognizedClientException", "The security token included in the request is invalid"):
        as_session(credentials).list_secrets()
    with refused("InvalidClientTokenId", "The security token included in the request is invalid"):
        as_session(credentials, "sts").get_caller_identity()


def test_a_users_session_may_what_the_user_may(new_person, as_session, secret):
    person = new_person().may(allow(READ, on=secret["ARN"]))
    credentials = person.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    assert as_session(credentials, "sts").get_caller_identity()["Arn"] == person.arn
    assert as_session(credentials).get_secret_value(SecretId=secret["ARN"])["SecretString"]
    with refused("InvalidClientTokenId", "The security token included in the request is invalid"):
        as_session(credentials, "iam").get_user()
    with refused("AccessDenied", "Cannot call GetSessionToken with session credentials"):
        as_session(credentials, "sts").get_session_token()
    person.may_nothing()
    with refused("AccessDeniedException"):
        as_session(credentials).get_secret_value(SecretId=secret["ARN"])


def test_an_access_key_id_says_its_account(sts, server, account):
    assert sts.get_access_key_info(AccessKeyId=server.credentials().access_key_id)["Account"] == account


def test_no_message_was_encoded_here(sts):
    with refused("InvalidAuthorizationMessageException", "Message is not valid"):
        sts.decode_authorization_message(EncodedMessage="rHU-pVHMSckD0OAc5l3r9")


def test_a_development_server_gives_out_roles_too(dev, make_client):
    anybody = Credentials("test", "test")
    iam = make_client(dev, anybody, "iam")
    role = iam.create_role(RoleName="dev", AssumeRolePolicyDocument=trust({"AWS": "000000000000"}))["Role"]["Arn"]
    credentials = make_client(dev, anybody, "sts").assume_role(RoleArn=role, RoleSessionName="x-1")["Credentials"]
    keys = Credentials(credentials["AccessKeyId"], credentials["SecretAccessKey"])
    said = make_client(dev, keys, "sts", token=credentials["SessionToken"]).get_caller_identity()
    assert said["Arn"] == "arn:aws:sts::000000000000:assumed-role/dev/x-1"


@pytest.fixture(scope="module")
def cluster():
    return Cluster()


@pytest.fixture(scope="module")
def hosted(cluster, new_node, new_place):
    """A server that knows the cluster, and nobody else."""
    place = new_place()
    (place / "cluster.jwks").write_text(cluster.keys())
    config = place / "coffer.toml"
    config.write_text(f'[oidc.keys]\n"{ISSUER}" = "{place / "cluster.jwks"}"\n')
    node = new_node()
    yield node.start(*node.server_words(), "--config", str(config))
    assert node.stop() == 0, node.said()


@pytest.fixture(scope="module")
def role_of_pods(hosted, make_client):
    """What an administrator sets up once: the cluster as a provider, and a role for one of its service accounts."""
    iam = make_client(hosted, hosted.credentials(), "iam")
    made = iam.create_open_id_connect_provider(Url=ISSUER, ClientIDList=["sts.amazonaws.com"], ThumbprintList=["a" * 40])
    name = ISSUER.removeprefix("https://")
    only = {"StringEquals": {f"{name}:sub": ACCOUNT_OF_POD, f"{name}:aud": "sts.amazonaws.com"}}
    trusted = trust({"Federated": made["OpenIDConnectProviderArn"]}, Action="sts:AssumeRoleWithWebIdentity", Condition=only)
    role = iam.create_role(RoleName="api", AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
    iam.put_role_policy(RoleName="api", PolicyName="work", PolicyDocument=document(allow(READ)))
    return role


def test_a_pod_reads_a_secret_with_the_token_of_its_service_account(
    hosted, cluster, role_of_pods, make_client, tmp_path, monkeypatch
):
    make_client(hosted, hosted.credentials()).create_secret(Name="db", SecretString="hunter2", ClientRequestToken=token())
    (tmp_path / "token").write_text(cluster.token())
    # What the cluster puts into the environment of the pod, and where Coffer is.
    monkeypatch.setenv("AWS_ROLE_ARN", role_of_pods)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", hosted.endpoint)
    pod = boto3.Session(region_name=REGION)
    assert ":assumed-role/api/" in pod.client("sts").get_caller_identity()["Arn"]
    assert pod.client("secretsmanager").get_secret_value(SecretId="db")["SecretString"] == "hunter2"
    with refused("AccessDeniedException"):
        pod.client("secretsmanager").delete_secret(SecretId="db")


@pytest.mark.parametrize(
    "changed, code, text",
    [
        ({"sub": "system:serviceaccount:prod:web"}, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
        ({"aud": ["vault"]}, "InvalidIdentityToken", "Incorrect token audience"),
        ({"exp": 1_700_000_000}, "ExpiredTokenException", "Token expired: current date/time"),
        ({"iss": "https://elsewhere.example"}, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for"),
    ],
)
def test_no_other_token_will_do(hosted, cluster, role_of_pods, make_client, changed, code, text):
    sts = make_client(hosted, Credentials("nobody", "nobody"), "sts")
    with refused(code, text):
        sts.assume_role_with_web_identity(
            RoleArn=role_of_pods, RoleSessionName="x-1", WebIdentityToken=cluster.token(**changed)
        )


def test_a_token_of_another_cluster_will_not_do(hosted, role_of_pods, make_client):
    sts = make_client(hosted, Credentials("nobody", "nobody"), "sts")
    with refused("InvalidIdentityToken", "signature"):
        sts.assume_role_with_web_identity(
            RoleArn=role_of_pods, RoleSessionName="x-1", WebIdentityToken=Cluster().token()
        )

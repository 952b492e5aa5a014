"""What it takes to rotate secrets in real databases: functions with their drivers, and a server that lets them through.

The functions are those in `rotation_functions`. Each engine has a driver in a layer, beside what Lambda's images bring along.
"""

import io
import json
import os
import pwd
import subprocess
import time
import zipfile
from pathlib import Path

import boto3
import pytest

from process import Node, run

REGION = "eu-west-1"
PATIENCE = 60
SOURCES = Path(__file__).with_name("rotation_functions")
ENGINES = {"postgres": "postgres.py", "mariadb": "mysql.py"}
STRATEGIES = ("single_user", "alternating_users")
#: The names of the databases' host: its address, and a name that only the machine knows.
ADDRESS, NAME = "127.0.0.1", "db.example.com"
#: Where Debian has what vouches for servers.
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
MAY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"},
        {"Effect": "Allow", "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"},
        # As many companies have it. What a function asks from its own network nobody can listen to.
        {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
    ],
}


def skip_without_functions(home: Path) -> None:
    lines = [line.split() for line in run("functions", "doctor", home=home).stdout.splitlines()]
    if not any(line[:3] == ["isolation", "full", "yes"] for line in lines):
        pytest.skip("the kernel of this machine cannot keep functions apart")
    if not any(line[:2] == ["python3.11", "yes"] for line in lines):
        pytest.skip("there is no Python for functions on this machine")


def layer() -> bytes:
    """What Lambda's images bring along as far as a rotation needs it, and the drivers."""
    held = io.BytesIO()
    packages = Path(boto3.__file__).parent.parent
    services = {"secretsmanager", "sts", "rds"}
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
        for package in [
            *("boto3", "botocore", "jmespath", "dateutil", "urllib3", "s3transfer"),
            *("pg8000", "scramp", "asn1crypto", "pymysql"),
        ]:
            for file in (packages / package).rglob("*"):
                place = file.relative_to(packages)
                is_of_another = place.parts[:2] == ("botocore", "data") and len(place.parts) > 3 and place.parts[2] not in services
                if file.is_file() and file.suffix != ".pyc" and not is_of_another:
                    made.write(file, Path("python") / place)
        # A driver asks for its own version.
        for about in [*packages.glob("pg8000-*/METADATA"), *packages.glob("scramp-*/METADATA")]:
            made.write(about, Path("python") / about.relative_to(packages))
        made.write(packages / "six.py", "python/six.py")
    return held.getvalue()


def package(engine: str, strategy: str, /, **changed: str) -> bytes:
    """The code of a function, with files by other names or contents if that is wanted."""
    files = {name: (SOURCES / name).read_text() for name in ("steps.py", f"{strategy}.py")}
    files["engine.py"] = (SOURCES / ENGINES[engine]).read_text()
    files.update({f"{name}.py": text for name, text in changed.items()})
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in files.items():
            made.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text)
    return held.getvalue()


class RotatingNode:
    """A server whose functions reach the databases of this run, with what they need already made."""

    def __init__(
        self, node: Node, make_client, databases: list, ports: tuple[int, ...] = (), authorities: Path | None = None, user: str | None = None
    ):
        """Beside the databases functions reach these ports. A server may trust other authorities than the machine, or be another user's."""
        self.node, self._make_client, self.databases = node, make_client, databases
        self._authorities, self._user, self._around = authorities, user, ()
        self.hosts = [ADDRESS, NAME] if can_name_hosts() else [ADDRESS]
        endpoints = [f"{host}:{database.port}" for host in self.hosts for database in databases]
        endpoints += [f"{ADDRESS}:{port}" for port in ports]
        self.config = node.place / "coffer.toml"
        self.config.write_text(f'[functions]\nisolation = "full"\nendpoints = {json.dumps(endpoints)}\n')
        self._hosts_file = node.place / "hosts"
        self._hosts_file.write_text(f"127.0.0.1 localhost {NAME}\n")
        self.start()
        iam, functions = self.client("iam"), self.client("lambda")
        self.role = iam.create_role(RoleName="rotates", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        iam.put_role_policy(RoleName="rotates", PolicyName="rotates", PolicyDocument=json.dumps(MAY))
        self.layer = functions.publish_layer_version(LayerName="drivers", Content={"ZipFile": layer()})["LayerVersionArn"]

    def client(self, service: str = "secretsmanager"):
        return self._make_client(self.node, self.node.credentials(), service)

    def start(self) -> None:
        words = [*self.node.server_words(), "--config", str(self.config)]
        around = [*self._around]
        if NAME in self.hosts:
            # Files of the machine that are others for this server alone.
            script = f'mount --bind "{self._hosts_file}" /etc/hosts && '
            if self._authorities:
                script += f'mount --bind "{self._authorities}" {AUTHORITIES} && '
            around += ["unshare", "--mount", "sh", "-c", script + 'exec "$@"', "sh"]
        if self._user:
            known = pwd.getpwnam(self._user)
            around += ["setpriv", f"--reuid={known.pw_uid}", f"--regid={known.pw_gid}", "--clear-groups", "--"]
        self.node.start(*words, around=around)

    def function(
        self, name: str, engine: str, strategy: str, code: bytes | None = None, handler: str | None = None, timeout: int = 30, **variables: str
    ) -> str:
        """A function that may rotate, and its ARN."""
        functions = self.client("lambda")
        made = functions.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role=self.role,
            Handler=handler or f"{strategy}.lambda_handler",
            Code={"ZipFile": code or package(engine, strategy)},
            Layers=[self.layer],
            Timeout=timeout,
            Environment={"Variables": {"SECRETS_MANAGER_ENDPOINT": f"https://secretsmanager.{REGION}.amazonaws.com", **variables}},
        )
        functions.add_permission(
            FunctionName=name, StatementId="rotation", Action="lambda:InvokeFunction", Principal="secretsmanager.amazonaws.com"
        )
        return made["FunctionArn"]

    def secret(self, database, name: str, user: str, strategy: str, host: str = ADDRESS, **more) -> dict:
        """A user in the database and the secret for him: what the secret says."""
        sm = self.client()
        words = {**database.secret(user, "first-" + user, host=host), **more}
        database.add_user(user, words["password"])
        if strategy == "alternating_users":
            master = json.dumps(database.secret(database.admin, database.admin_password, host=host))
            words["masterarn"] = sm.create_secret(Name=f"{name}-master", SecretString=master)["ARN"]
        sm.create_secret(Name=name, SecretString=json.dumps(words))
        return words

    def value(self, name: str, stage: str = "AWSCURRENT") -> dict:
        return json.loads(self.client().get_secret_value(SecretId=name, VersionStage=stage)["SecretString"])

    def put(self, name: str, words: dict) -> None:
        self.client().put_secret_value(SecretId=name, SecretString=json.dumps(words))

    def version(self, name: str, version: str) -> dict:
        return json.loads(self.client().get_secret_value(SecretId=name, VersionId=version)["SecretString"])

    def rotate(self, name: str, function: str | None = None) -> str:
        """Begins a rotation: the version that it makes."""
        words = {"RotationLambdaARN": function, "RotationRules": {"AutomaticallyAfterDays": 30}} if function else {}
        return self.client().rotate_secret(SecretId=name, **words)["VersionId"]

    def has_rotated(self, name: str, version: str) -> bool:
        described = self.client().describe_secret(SecretId=name)
        is_over = not self.shown(name).get("under_way")
        return is_over and "AWSCURRENT" in described["VersionIdsToStages"].get(version, [])

    def retry(self, name: str) -> None:
        self.command("rotation", "retry", name, "--region", REGION)

    def shown(self, name: str) -> dict:
        """What `coffer rotation show` says."""
        return json.loads(self.command("rotation", "show", name, "--json", "--region", REGION).stdout)

    def command(self, *words: str) -> subprocess.CompletedProcess:
        done = self.attempt(*words)
        assert done.returncode == 0, done.stderr
        return done

    def attempt(self, *words: str) -> subprocess.CompletedProcess:
        store = ["--data-dir", str(self.node.data_dir), "--keyfile", str(self.node.keyfile)]
        return run(*words, *store, home=self.node.home)


class PlainNode(RotatingNode):
    """A server that runs no code of others, and knows the databases of this run."""

    def __init__(
        self,
        node: Node,
        make_client,
        databases: list,
        ports: tuple[int, ...] = (),
        hosts: tuple[str, ...] = (ADDRESS,),
        authorities: Path | None = None,
        around: tuple[str, ...] = (),
    ):
        """The command `around` becomes the server in the end."""
        self.node, self._make_client, self.databases, self.hosts = node, make_client, databases, [ADDRESS]
        self._authorities = self._user = None
        self._around = around
        endpoints = [f"{host}:{database.port}" for host in hosts for database in databases]
        endpoints += [f"{ADDRESS}:{port}" for port in ports]
        self.config = node.place / "coffer.toml"
        lines = ["[functions]", 'isolation = "off"', f"endpoints = {json.dumps(endpoints)}"]
        if authorities:
            lines.append(f"authorities = {json.dumps(str(authorities))}")
        self.config.write_text("\n".join(lines) + "\n")
        self._hosts_file = None
        self.start()
        self.account = self.client("sts").get_caller_identity()["Account"]

    def built_in(self, engine: str, strategy: str) -> str:
        return f"arn:aws:lambda:{REGION}:{self.account}:function:coffer-builtin-{engine}-{strategy}-user"

    def failure(self, name: str) -> dict:
        """How the last attempt failed, once there is one."""
        return until(lambda: self.shown(name).get("failure"), f"a failure of {name}")


def until(found, what: str, patience: float = PATIENCE):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.1)
    pytest.fail(f"{what} did not come within {patience} s")


def can_name_hosts() -> bool:
    """Whether a process may have an `/etc/hosts` of its own."""
    if os.geteuid() != 0:
        return False
    probe = ["unshare", "--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts"]
    try:
        return subprocess.run(probe, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False

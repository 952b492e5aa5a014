"""Databases as processes of a test run: a PostgreSQL and a MariaDB of their own, on loopback, gone at the end.

Nothing of the machine's own databases is touched: another port, other files, and what is stopped is stopped by its number. A machine
that has no database server is told so, and the tests that need one are skipped.
"""

import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import pg8000.native
import pymysql
import pytest

READY_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
ADMIN_PASSWORD = "of-the-administrator-7"
STARTS_MAX = 3


class Database:
    """A running database server: `admin` with `admin_password` may do everything in it."""

    engine = ""
    admin = ""
    dbname = ""
    admin_password = ADMIN_PASSWORD
    host = "127.0.0.1"

    def __init__(self):
        self.port = 0
        self.place = Path(tempfile.mkdtemp(prefix=f"coffer-{self.engine}-"))
        self._process = None
        # Servers of databases refuse to be root.
        self._user = self._ordinary_user() if os.geteuid() == 0 else None
        self._own(self.place)
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.remove()
            raise

    # What the servers differ in.

    def _ordinary_user(self) -> str:
        raise NotImplementedError

    def _prepare(self) -> None:
        raise NotImplementedError

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _connect(self, user: str, password: str):
        raise NotImplementedError

    def _quoted(self, user: str) -> str:
        raise NotImplementedError

    def _literal(self, text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    def execute(self, statement: str) -> list:
        """Runs a statement as the administrator."""
        raise NotImplementedError

    def logs_in(self, user: str, password: str) -> bool:
        """Whether this password opens the database for this user. Trouble of another kind is an error."""
        raise NotImplementedError

    def add_user(self, user: str, password: str) -> None:
        raise NotImplementedError

    def set_password(self, user: str, password: str) -> None:
        raise NotImplementedError

    # What they have in common.

    def secret(self, user: str, password: str, **more) -> dict:
        """What a secret for this user says, in the form that AWS gives it."""
        words = {"engine": self.engine, "host": self.host, "port": self.port, "username": user, "password": password}
        return {**words, **({"dbname": self.dbname} if self.dbname else {}), **more}

    def start(self) -> None:
        """Starts it, at the port that it had or at a free one."""
        for attempt in range(STARTS_MAX):
            if attempt or not self.port:
                self.port = _free_port()
            with open(self.place / "log", "ab") as log:
                self._process = subprocess.Popen(
                    self._as_user(self._command()), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=_environment()
                )
            if self._gets_ready():
                return
            self.stop()
        raise AssertionError(f"{self.engine} did not get ready:\n{(self.place / 'log').read_text(errors='replace')[-4000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(how)
            try:
                self._process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.place, ignore_errors=True)

    def _gets_ready(self) -> bool:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self._connect(self.admin, self.admin_password).close()
                return True
            except (pg8000.exceptions.Error, pymysql.Error, OSError):
                time.sleep(0.1)
        return False

    def _own(self, path: Path) -> None:
        if self._user:
            shutil.chown(path, self._user)

    def _as_user(self, command: list[str]) -> list[str]:
        if not self._user:
            return command
        known = pwd.getpwnam(self._user)
        return ["setpriv", f"--reuid={known.pw_uid}", f"--regid={known.pw_gid}", "--clear-groups", "--", *command]

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(self._as_user(command), cwd="/", env=_environment(), capture_output=True, text=True)
        assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"

    def _file(self, name: str, text: str) -> Path:
        path = self.place / name
        path.touch(mode=0o600)
        path.write_text(text)
        self._own(path)
        return path


class Postgres(Database):
    """With `certificate`, files of one and of its key, it takes connections with TLS only."""

    engine = "postgres"
    admin = "postgres"
    dbname = "postgres"

    def __init__(self, certificate: tuple[Path, Path] | None = None):
        self._certificate = certificate
        super().__init__()

    def _ordinary_user(self) -> str:
        return _first_known("postgres", "nobody")

    def _prepare(self) -> None:
        password = self._file("password", self.admin_password)
        self._run([
            str(_postgres_program("initdb")), "--pgdata", str(self.place / "data"), "--username", self.admin, "--pwfile", str(password),
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions",
        ])
        if self._certificate:
            for name, source in zip(("server.crt", "server.key"), self._certificate, strict=True):
                self._file(f"data/{name}", source.read_text())
            self._file("data/pg_hba.conf", "hostssl all all all scram-sha-256\n")

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": self.host,
            "unix_socket_directories": "",
            # What a test writes need not outlive the machine; it does outlive the process.
            "fsync": "off",
            "max_connections": "50",
            "shared_buffers": "16MB",
            "ssl": "on" if self._certificate else "off",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(_postgres_program("postgres")), "-D", str(self.place / "data"), "-p", str(self.port), *words]

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """At once, without waiting for those who are connected."""
        super().stop(how)

    def _connect(self, user: str, password: str):
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        return pg8000.native.Connection(
            user,
            host=self.host,
            port=self.port,
            database=self.dbname,
            password=password,
            timeout=READY_SECONDS_MAX,
            ssl_context=trusting if self._certificate else False,
        )

    def _quoted(self, user: str) -> str:
        return '"' + user.replace('"', '""') + '"'

    def execute(self, statement: str) -> list:
        with self._connect(self.admin, self.admin_password) as connection:
            return connection.run(statement)

    def logs_in(self, user: str, password: str) -> bool:
        try:
            with self._connect(user, password) as connection:
                return connection.run("SELECT 1") == [[1]]
        except pg8000.exceptions.DatabaseError as error:
            # No such password, no such user.
            if error.args[0].get("C") in ("28P01", "28000"):
                return False
            raise

    def add_user(self, user: str, password: str) -> None:
        self.execute(f"CREATE ROLE {self._quoted(user)} WITH LOGIN PASSWORD {self._literal(password)}")

    def set_password(self, user: str, password: str) -> None:
        self.execute(f"ALTER ROLE {self._quoted(user)} WITH PASSWORD {self._literal(password)}")


class MariaDb(Database):
    engine = "mariadb"
    admin = "administrator"

    def _ordinary_user(self) -> str:
        return _first_known("mysql", "nobody")

    def _prepare(self) -> None:
        setup = self._file("setup.sql", (
            f"CREATE USER IF NOT EXISTS {self._quoted(self.admin)} IDENTIFIED BY {self._literal(self.admin_password)};\n"
            f"GRANT ALL PRIVILEGES ON *.* TO {self._quoted(self.admin)} WITH GRANT OPTION;\n"
        ))
        self._settings = self._file("settings.cnf", "\n".join([
            "[mariadbd]",
            f"datadir = {self.place}/data",
            f"socket = {self.place}/socket",
            f"pid-file = {self.place}/pid",
            f"bind-address = {self.host}",
            f"init-file = {setup}",
            "skip-name-resolve",
            "skip-log-bin",
            "innodb-buffer-pool-size = 16M",
            "innodb-log-file-size = 8M",
            "innodb-flush-log-at-trx-commit = 2",
            "max-connections = 50",
            "max-connect-errors = 1000000",
            "",
        ]))
        self._run([
            str(_mariadb_program("mariadb-install-db", "mysql_install_db")), "--no-defaults", f"--datadir={self.place}/data",
            "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
        ])

    def _command(self) -> list[str]:
        return [str(_mariadb_program("mariadbd", "mysqld")), f"--defaults-file={self._settings}", f"--port={self.port}"]

    def _connect(self, user: str, password: str):
        return pymysql.connect(
            host=self.host, port=self.port, user=user, password=password.encode(), connect_timeout=10, read_timeout=READY_SECONDS_MAX
        )

    def _quoted(self, user: str) -> str:
        return "`" + user.replace("`", "``") + "`@'%'"

    def execute(self, statement: str) -> list:
        with self._connect(self.admin, self.admin_password) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def logs_in(self, user: str, password: str) -> bool:
        try:
            with self._connect(user, password) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                return cursor.fetchone() == (1,)
        except pymysql.err.OperationalError as error:
            if error.args[0] in (1045, 1698):
                return False
            raise

    def add_user(self, user: str, password: str) -> None:
        self.execute(f"CREATE USER {self._quoted(user)} IDENTIFIED BY {self._literal(password)}")

    def set_password(self, user: str, password: str) -> None:
        self.execute(f"ALTER USER {self._quoted(user)} IDENTIFIED BY {self._literal(password)}")

    def _literal(self, text: str) -> str:
        return super()._literal(text.replace("\\", "\\\\"))


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL."""
    if not _postgres_program("postgres"):
        pytest.skip("there is no PostgreSQL server on this machine")
    database = Postgres()
    yield database
    database.remove()


@pytest.fixture(scope="session")
def mariadb():
    """A MariaDB, which speaks MySQL's protocol."""
    if not _mariadb_program("mariadbd", "mysqld"):
        pytest.skip("there is no MariaDB server on this machine")
    database = MariaDb()
    yield database
    database.remove()


@pytest.fixture(params=["postgres", "mariadb"])
def database(request):
    """One after the other."""
    return request.getfixturevalue(request.param)


def _postgres_program(name: str) -> Path | None:
    """Debian keeps them apart by version; the newest one is taken."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3].split(".")[0]))
    found = shutil.which(name)
    return places[-1] if places else Path(found) if found else None


def _mariadb_program(*names: str) -> Path | None:
    everywhere = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/libexec"])
    return next((Path(found) for name in names if (found := shutil.which(name, path=everywhere))), None)


def _first_known(*users: str) -> str:
    known = {user.pw_name for user in pwd.getpwall()}
    return next(user for user in users if user in known)


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

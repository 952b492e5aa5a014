"""The binary as a process: started, waited for, stopped.

Nothing here knows AWS. A node is ready when it has printed the address it listens on, because that line is what a person or a script
waits for too. Its output goes to files, which never fill up like pipes do, and which a failing test can show.
"""

import configparser
import os
import re
import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS_MAX = 30
STOP_SECONDS_MAX = 30
ENDPOINT = re.compile(r"https?://127\.0\.0\.1:\d+")


def binary() -> Path:
    """The binary under test: COFFER_BIN, or what cargo built last."""
    root = Path(__file__).resolve().parents[2]
    target = root / os.environ.get("CARGO_TARGET_DIR", "target")
    path = root / os.environ.get("COFFER_BIN", target / "debug" / "coffer")
    assert path.is_file(), f"{path} is missing; build it with: cargo build -p coffer"
    return path


def environment(home: Path) -> dict[str, str]:
    """The environment of a person who has never heard of AWS: nothing of the machine's own settings gets in."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def run(*words: str, home: Path) -> subprocess.CompletedProcess:
    """A command of the binary that ends by itself."""
    return subprocess.run(
        [binary(), *words], env=environment(home), capture_output=True, text=True, timeout=STOP_SECONDS_MAX
    )


@dataclass(frozen=True)
class Credentials:
    access_key_id: str
    secret_access_key: str


class Node:
    """A running `coffer server` or `coffer dev`, with all its files in one place."""

    def __init__(self, place: Path):
        self.place = place
        self.home = place / "home"
        self.data_dir = place / "data"
        self.keyfile = place / "keyfile"
        self.output = place / "stdout"
        self.log = place / "stderr"
        self.endpoint = ""
        self._process = None
        self.home.mkdir(parents=True, exist_ok=True)

    def server_words(self) -> list[str]:
        return ["server", "--data-dir", str(self.data_dir), "--keyfile", str(self.keyfile), "--listen", "127.0.0.1:0"]

    def start(self, *words: str, around: list[str] | None = None) -> "Node":
        """Starts the binary with these words, or as a server, and waits until it answers."""
        return self.start_with(environment(self.home), *words, around=around)

    def start_with(self, environment: dict[str, str], *words: str, around: list[str] | None = None) -> "Node":
        """The same with variables that are not those of everybody, or by a command that becomes the binary in the end."""
        command = [*(around or []), str(binary()), *(words or self.server_words())]
        with open(self.output, "wb") as output, open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=log
            )
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not (found := ENDPOINT.search(self.output.read_text())):
            if self._process.poll() is not None or time.monotonic() > deadline:
                state = self._process.poll()
                self.kill()
                raise AssertionError(f"{command} did not get ready (exit status {state}):\n{self.said()}")
            time.sleep(0.01)
        self.endpoint = found[0]
        return self

    def said(self) -> str:
        return f"{self.output.read_text()}\n--\n{self.log.read_text()}"

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def process_id(self) -> int:
        return self._process.pid

    def stop(self) -> int:
        """Asks the node to end, as a service supervisor does, and answers its exit status."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the node did not stop:\n{self.said()}") from None

    def kill(self) -> None:
        if self.is_running():
            self._process.kill()
            self._process.wait()

    def credentials(self) -> Credentials:
        """The administrator's key, from the file that the first start leaves behind."""
        parsed = configparser.ConfigParser()
        parsed.read_string((self.data_dir / "bootstrap" / "credentials").read_text())
        return Credentials(parsed["default"]["aws_access_key_id"], parsed["default"]["aws_secret_access_key"])


def http(method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None):
    """One plain request; answers status, headers and body, whatever the status is."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _KeepErrors())
    with opener.open(request, timeout=STOP_SECONDS_MAX) as answer:
        return answer.status, answer.headers, answer.read()


class _KeepErrors(urllib.request.HTTPErrorProcessor):
    """A status of 400 is an answer like any other."""

    def http_response(self, request, response):
        return response

    https_response = http_response

"""Terraform as a process, in a directory for each state: what Terraform calls a workspace.

It finds the binary and the provider on this machine and downloads neither: the provider is 700 MB, and what a registry serves next year
is not what was tested. The provider comes from a directory in the layout that Terraform calls a filesystem mirror: the one that
COFFER_TERRAFORM_MIRROR names, or one of the places where Terraform or a packager would put it.

A provider takes seconds before it does anything, because it describes its fifteen hundred resources first. So one process of it serves
all commands of a workspace that configures one, as Terraform offers to those who debug a provider; there are few commands, and what is
to be known about a state is read from its file.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import weakref
from dataclasses import dataclass
from pathlib import Path

from process import Credentials, environment

# In a mirror, under the name of whatever host the provider comes from.
PROVIDER = "*/hashicorp/aws"
# Write-only arguments are new in 1.11.
VERSION_MIN = (1, 11)
SECONDS_MAX = 300
PROVIDER_SECONDS_MAX = 60
REATTACH = re.compile(r"TF_REATTACH_PROVIDERS='(.+)'")


@dataclass(frozen=True)
class Tools:
    """Where the programs are, or what is missing."""

    binary: str = ""
    mirror: Path = Path()
    missing: str = ""

    def provider(self) -> Path | None:
        """The program, unless the mirror has it packed only."""
        machine = "linux_arm64" if os.uname().machine == "aarch64" else "linux_amd64"
        found = sorted(self.mirror.glob(f"{PROVIDER}/*/{machine}/terraform-provider-aws*"))
        return found[-1] if found else None


def _mirrors() -> list[Path]:
    if named := os.environ.get("COFFER_TERRAFORM_MIRROR"):
        return [Path(named)]
    data_home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    known = [
        Path.home() / ".terraform.d" / "plugins",
        data_home / "terraform" / "plugins",
        Path("/usr/local/share/terraform/plugins"),
        Path("/usr/share/terraform/plugins"),
    ]
    return known + [found.parents[2] for found in sorted(Path("/opt").glob(f"*/{PROVIDER}"))]


def find() -> Tools:
    binary = shutil.which(os.environ.get("COFFER_TERRAFORM", "terraform"))
    if binary is None:
        return Tools(missing="there is no terraform on the path (COFFER_TERRAFORM names one)")
    # Settings of whoever runs the tests do not count, nor whether they are right.
    quiet = {**os.environ, "TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
    asked = subprocess.run([binary, "version", "-json"], env=quiet, capture_output=True, text=True, check=True, timeout=60)
    version = json.loads(asked.stdout)["terraform_version"]
    if tuple(int(number) for number in version.split(".")[:2]) < VERSION_MIN:
        return Tools(missing=f"terraform is {version}, and 1.11 is needed")
    for mirror in _mirrors():
        if any(mirror.glob(f"{PROVIDER}/**/*terraform-provider-aws*")):
            return Tools(binary, mirror)
    return Tools(missing="there is no mirror with hashicorp/aws (COFFER_TERRAFORM_MIRROR names one)")


@dataclass(frozen=True)
class Outcome:
    """What a command said, message by message."""

    status: int
    messages: list[dict]

    def ok(self) -> "Outcome":
        assert self.status == 0, self.errors()
        return self

    def planned(self) -> dict[str, str]:
        """Address to action, of all that Terraform owns and would change."""
        changes = [message["change"] for message in self.messages if message["type"] == "planned_change"]
        return {change["resource"]["addr"]: change["action"] for change in changes if change["action"] != "read"}

    def imported(self) -> int:
        (summary,) = [message["changes"] for message in self.messages if message.get("changes", {}).get("operation") == "apply"]
        return summary["import"]

    def errors(self) -> list[str]:
        found = [message["diagnostic"] for message in self.messages if message["type"] == "diagnostic"]
        return [f"{error['summary']} {error['detail']}" for error in found if error["severity"] == "error"]


class Provider:
    """A provider that serves one command after the other."""

    def __init__(self, program: Path, place: Path, environment: dict[str, str]):
        output = place / "provider"
        with open(output, "wb") as file:
            self._process = subprocess.Popen(
                [program, "-debug"], cwd=place, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        # Also when the workspace is forgotten, or the tests end.
        self._end = weakref.finalize(self, _stop, self._process)
        deadline = time.monotonic() + PROVIDER_SECONDS_MAX
        while not (found := REATTACH.search(output.read_text())):
            assert self._process.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        self.words = found[1]

    def stop(self) -> None:
        self._end()


def _stop(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Workspace:
    """A configuration and its state."""

    def __init__(self, tools: Tools, place: Path, sources: list[Path], credentials: Credentials, **variables):
        self.place = place
        self._binary = tools.binary
        for source in sources:
            shutil.copy(source, place)
        settings = place / "terraform.rc"
        settings.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{tools.mirror}"\n  }}\n}}\n')
        (place / "all.auto.tfvars.json").write_text(json.dumps(variables))
        self._environment = {
            **environment(place),
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": str(settings),
            "TF_IN_AUTOMATION": "1",
        }
        # A process knows one region and one caller; two of them in one configuration need two.
        is_one = sum(source.read_text().count('provider "aws"') for source in sources) == 1
        program = tools.provider() if is_one else None
        self._provider = Provider(program, place, self._environment) if program else None
        if self._provider:
            self._environment["TF_REATTACH_PROVIDERS"] = self._provider.words
        self.finish(self.start("init")).ok()

    def start(self, command: str, *words: str) -> subprocess.Popen:
        return subprocess.Popen(
            [self._binary, command, "-input=false", "-json", *words],
            cwd=self.place, env=self._environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def finish(self, running: subprocess.Popen) -> Outcome:
        try:
            printed, _ = running.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            running.kill()
            raise AssertionError(f"{running.args} did not end:\n{running.communicate()[0]}") from None
        return Outcome(running.returncode, [json.loads(line) for line in printed.splitlines()])

    def apply(self, stage: int) -> Outcome:
        return self.finish(self.start("apply", "-auto-approve", f"-var=stage={stage}")).ok()

    def plan(self, stage: int) -> Outcome:
        """Reads everything again. The status is 0 if there is nothing to do, and 2 if there is."""
        return self.finish(self.start("plan", "-detailed-exitcode", f"-var=stage={stage}"))

    def destroy(self, stage: int) -> Outcome:
        destroyed = self.finish(self.start("destroy", "-auto-approve", f"-var=stage={stage}")).ok()
        if self._provider:
            self._provider.stop()
        return destroyed

    def import_at_the_next_apply(self, resources: dict[str, dict]) -> None:
        blocks = [f"import {{\n  to = {address}\n  id = {json.dumps(known['id'])}\n}}\n" for address, known in resources.items()]
        (self.place / "imports.tf").write_text("\n".join(blocks))

    def state_text(self) -> str:
        return (self.place / "terraform.tfstate").read_text()

    def resources(self) -> dict[str, dict]:
        """Address to attributes, of what Terraform owns."""
        owned = [resource for resource in json.loads(self.state_text())["resources"] if resource["mode"] == "managed"]
        return {f"{owner['type']}.{owner['name']}": owner["instances"][0]["attributes"] for owner in owned}

    def outputs(self) -> dict:
        return {name: output["value"] for name, output in json.loads(self.state_text())["outputs"].items()}

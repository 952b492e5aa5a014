"""Reads transcripts of shell commands with what they print, runs them, and compares.

There are two kinds: a shell script that a person can run, with what is printed in comments, and sections of a page such as the README. What the
page promises is read from the page itself, so that it cannot promise anything else. All commands run in one shell, so that
variables of one are there for the next.
"""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

MARK = "@@ end of step"
SECONDS_MAX = 240
# What differs between two runs of the same command, as a README shows it: ids, accounts, the ends of ARNs, seal slots.
DIFFERS = re.compile(r"^[0-9a-f]{8}(?=  )|(?<= slot )[0-9a-f]{8}\b|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b\d{12}\b|(?<=-)[A-Za-z0-9]{6}(?=\"|$| because)|\d{4}-\d\d-\d\dT[\d:]+Z")


@dataclass
class Step:
    command: str
    prints: list[str] = field(default_factory=list)
    complains: list[str] = field(default_factory=list)

    def __str__(self):
        return re.sub(r"\\\n\s*", "", self.command)


@dataclass(frozen=True)
class Outcome:
    status: int
    printed: str
    complained: str


def read_page(path: Path, *headings: str) -> list[Step]:
    """The commands of these sections: `$ command` with its output in console blocks, blocks of Python, and files.

    A block of JSON below a line with nothing but a name in it is a file.
    """
    return [step for heading in headings for step in _section(path, heading)]


def _section(path: Path, heading: str) -> list[Step]:
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?:^## |\Z)", path.read_text(), re.DOTALL | re.MULTILINE)
    assert section, f"{path} has no section {heading}"
    steps = []
    for name, language, block in re.findall(r"(?:^`([\w.]+)`:\n\n)?^```(\w+)\n(.*?)^```", section[1], re.DOTALL | re.MULTILINE):
        if name:
            steps.append(Step(f"cat > {name} <<'EOF'\n{block}EOF"))
        elif language == "python":
            steps.append(Step(f"python - <<'EOF'\n{block}EOF"))
        elif language == "console":
            for command, output in re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
                lines = [DIFFERS.sub("[..]", line) for line in output.strip("\n").splitlines()]
                is_refusal = output.startswith("An error occurred")
                steps.append(Step(command, *(([], lines) if is_refusal else (lines, []))))
    return steps


def read_script(path: Path) -> list[Step]:
    steps, open_line = [], False
    for line in path.read_text().splitlines():
        if open_line:
            steps[-1].command += "\n" + line
        elif line.startswith("#>"):
            steps[-1].prints.append(line[3:])
        elif line.startswith("#!"):
            steps[-1].complains.append(line[3:])
        elif line and not line.startswith("#"):
            steps.append(Step(line))
        else:
            continue
        open_line = not line.startswith(("#>", "#!")) and is_unfinished(steps[-1].command)
    return steps


def is_unfinished(command: str) -> bool:
    """Whether a shell would wait for another line: after a backslash, and within single quotes."""
    return command.endswith("\\") or command.count("'") % 2 == 1


def run(steps: list[Step], directory: Path, environment: dict[str, str]) -> list[Outcome]:
    """Runs the steps in one shell. The mark after each carries its status on the one stream and splits the other."""
    lines = []
    for step in steps:
        lines += [step.command, f"printf '\\n{MARK} %s\\n' $?; printf '\\n{MARK}\\n' >&2"]
    # The script is an argument, so that no command can read it away from the standard input.
    shell = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    printed = re.split(rf"\n{MARK} (\d+)\n", shell.stdout)
    complained = shell.stderr.split(f"\n{MARK}\n")
    outcomes = [
        Outcome(int(status), text, complaint)
        for text, status, complaint in zip(printed[0::2], printed[1::2], complained)
    ]
    assert len(outcomes) == len(steps), f"the shell ended early:\n{shell.stdout}\n{shell.stderr}"
    return outcomes


def matches(expected: list[str], found: str) -> bool:
    pattern = "\n".join(".*".join(map(re.escape, line.split("[..]"))) for line in expected)
    return re.fullmatch(pattern, found.strip("\n")) is not None

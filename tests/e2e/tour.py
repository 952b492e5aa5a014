"""Reads a transcript of shell commands with what they print, runs it, and compares.

The transcript is a shell script that a person can run. This module knows its two kinds of comment lines and nothing of what is in
them. All commands run in one shell, so that variables of one are there for the next.
"""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

MARK = "@@ end of step"
SECONDS_MAX = 120


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


def read(path: Path) -> list[Step]:
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
        open_line = not line.startswith("#") and line.endswith("\\")
    return steps


def run(steps: list[Step], prelude: str, environment: dict[str, str]) -> list[Outcome]:
    """Runs the steps in one shell. The mark after each carries its status on the one stream and splits the other."""
    lines = [prelude]
    for step in steps:
        lines += [step.command, f"printf '\\n{MARK} %s\\n' $?; printf '\\n{MARK}\\n' >&2"]
    # The script is a file of its own, so that no command can read it away from its standard input.
    shell = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
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

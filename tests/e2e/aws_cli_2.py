"""Where version 2 of the AWS CLI is, if it is on this machine: COFFER_AWS_CLI_2, or the first `aws` on the path that is one.

pip has version 1 only, so this one comes from elsewhere: an installer, a package of the system. Run as a script, it prints the path.
"""

import os
import shutil
import subprocess
from pathlib import Path

WELL_KNOWN = ("/usr/local/bin", "/usr/bin")


def is_version_2(program: str) -> bool:
    try:
        asked = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60)
    except OSError:
        return False
    return asked.stdout.startswith("aws-cli/2.")


def find() -> Path | None:
    if named := os.environ.get("COFFER_AWS_CLI_2"):
        return Path(named)
    places = dict.fromkeys([*os.environ["PATH"].split(os.pathsep), *WELL_KNOWN])
    candidates = [shutil.which("aws", path=place) for place in places]
    return next((Path(program) for program in candidates if program and is_version_2(program)), None)


if __name__ == "__main__":
    print(find() or "")

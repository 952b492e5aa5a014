"""Access as people set it up with the AWS CLI: the script access.sh, command by command."""

import os
import sys
from pathlib import Path

import pytest

import tour
from process import environment, run

HERE = Path(__file__).resolve().parent
STEPS = tour.read_script(HERE / "access.sh")
AWS = Path(sys.executable).with_name("aws")


@pytest.fixture(scope="module")
def outcomes(new_node):
    node = new_node().start()
    installed = run("profile", "install", "--data-dir", str(node.data_dir), home=node.home)
    assert installed.returncode == 0, installed.stderr
    path = f"{AWS.parent}{os.pathsep}{os.environ['PATH']}"
    yield tour.run(STEPS, node.place, {**environment(node.home), "PATH": path, "AWS_PAGER": ""})
    assert node.stop() == 0, node.said()


@pytest.mark.parametrize("index", range(len(STEPS)), ids=map(str, STEPS))
def test_access(outcomes, index):
    step, outcome = STEPS[index], outcomes[index]
    assert (outcome.status == 0) != bool(step.complains), outcome
    if step.prints or step.complains:
        assert tour.matches(step.prints, outcome.printed), outcome
        assert tour.matches(step.complains, outcome.complained), outcome

"""Access as people set it up with the AWS CLI: the script access.sh, command by command.

Of the cluster in it there are its public keys, and the tokens that it would put into pods of two of its service accounts.
"""

import os
import sys
from pathlib import Path

import pytest

import tour
from cluster import ISSUER, Cluster
from process import environment, run

HERE = Path(__file__).resolve().parent
STEPS = tour.read_script(HERE / "access.sh")
AWS = Path(sys.executable).with_name("aws")


@pytest.fixture(scope="module")
def outcomes(new_node):
    node, cluster = new_node(), Cluster()
    (node.place / "cluster.jwks").write_text(cluster.keys())
    (node.place / "token").write_text(cluster.token())
    (node.place / "token-of-another").write_text(cluster.token(sub="system:serviceaccount:prod:web"))
    config = node.place / "coffer.toml"
    config.write_text(f'[oidc.keys]\n"{ISSUER}" = "{node.place / "cluster.jwks"}"\n')
    node.start(*node.server_words(), "--config", str(config))
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

"""The pages for operators, command by command: what they show is what happens."""

import os
import sys
from pathlib import Path

import pytest

import tour
from process import binary, environment
from rotators import skip_without_functions

HERE = Path(__file__).resolve().parent
AWS = Path(sys.executable).with_name("aws")
# Where the pages say that a store lies, and its key.
SHOWN = "/home/ann/.local/share/coffer"
SHOWN_KEYFILE = "/home/ann/.config/coffer/keyfile"
PAGES = {
    "access.md": [
        "The first hour",
        "A policy for each team",
        "Roles instead of keys",
        "When somebody has locked himself out",
    ],
    "audit.md": ["Who read it", "On the machine"],
    "cross-account.md": ["A few lines of Python", "Making the link", "Who copies", "Ending it"],
    "functions.md": ["A first function"],
    "keys.md": ["Recovery shares", "Other ways in", "A lost keyfile", "New keys while it runs"],
    "kms.md": ["A key of your own", "The same key in another region", "One secret for a partner"],
}
STEPS = {page: tour.read_page(HERE.parents[1] / "docs" / page, *headings) for page, headings in PAGES.items()}


@pytest.fixture(scope="module")
def outcomes(new_node, new_place):
    """What came of the steps of a page, in a shell of its own and beside a server with a fresh store."""
    done, nodes = {}, []

    def of(page: str):
        if page not in done:
            if page == "functions.md":
                skip_without_functions(new_place())
            node = new_node().start()
            nodes.append(node)
            program = node.place / "bin" / "coffer"
            program.parent.mkdir()
            # Of somebody whose server has the default places.
            program.write_text(f'#!/bin/sh\nexec "{binary()}" "$@" --data-dir "{node.data_dir}" --keyfile "{node.keyfile}"\n')
            program.chmod(0o755)
            path = os.pathsep.join([str(program.parent), str(AWS.parent), os.environ["PATH"]])
            real = lambda text: text.replace(SHOWN, str(node.data_dir)).replace(SHOWN_KEYFILE, str(node.keyfile))
            steps = [tour.Step(real(step.command)) for step in STEPS[page]]
            found = tour.run(steps, node.place, {**environment(node.home), "PATH": path, "AWS_PAGER": ""})
            flags = f" --data-dir {node.data_dir} --keyfile {node.keyfile}"
            shown = lambda text: (
                text.replace(flags, "").replace(str(node.data_dir), SHOWN).replace(str(node.keyfile), SHOWN_KEYFILE)
            )
            done[page] = [tour.Outcome(each.status, shown(each.printed), shown(each.complained)) for each in found]
        return done[page]

    yield of
    for node in nodes:
        assert node.stop() == 0, node.said()


@pytest.mark.parametrize("page, index", [(page, index) for page, steps in STEPS.items() for index in range(len(steps))])
def test_page(outcomes, page, index):
    step, outcome = STEPS[page][index], outcomes(page)[index]
    if step.complains:
        assert outcome.status != 0 and tour.matches(step.complains, outcome.complained), (str(step), outcome)
        return
    assert outcome.status == 0, (str(step), outcome)
    if not step.prints:
        assert outcome.complained.strip() == "", (str(step), outcome)
        return
    # Remarks for people come behind the result.
    said = filter(None, [outcome.printed.strip("\n"), outcome.complained.strip("\n")])
    assert tour.matches(step.prints, "\n".join(said)), (str(step), outcome)

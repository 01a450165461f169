"""Conversations of replicas, read like prose: text in, text out (after etcd's raft).

``pytest tests/datadriven --rewrite`` writes down what the replicas say now. Commit the change only
if you understand it.
"""

from pathlib import Path

import pytest

from tests.datadriven.pbft_stage import Stage

CASES = Path(__file__).parent / "cases" / "pbft"


@pytest.mark.parametrize("path", sorted(CASES.glob("*.txt")), ids=lambda path: path.stem)
def test_the_conversation_is_as_written(path: Path, request: pytest.FixtureRequest) -> None:
    written = path.read_text()

    played = play(written)

    if request.config.getoption("--rewrite", default=False):
        path.write_text(played)
    else:
        assert played == written


def play(text: str) -> str:
    """Return ``text`` with the answer below each command replaced by what is said now."""
    stage = Stage()
    blocks = []
    for block in text.strip().split("\n\n"):
        asked = block.split("\n----", 1)[0]
        commands = [line for line in asked.splitlines() if not line.startswith("#")]
        answers = [stage.obey(command) for command in commands]
        shown = [answer for answer in answers if answer != "silence"] or ["silence"]
        blocks.append("\n".join([asked, "----", *shown]) if commands else asked)
    return "\n\n".join(blocks) + "\n"

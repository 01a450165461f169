"""What strangers chose does nothing to the terminal of whoever reads the log."""

import subprocess
import sys

import pytest

PROGRAM = r"""
from bftcluster.node.process.logs import configure_logs, log_for
configure_logs(level="info", levels={}, format="%s")
log = log_for("test")
evil = "\x1b[2J\x9b\u202e\u2028\x7f\nend"
log.info("joined " + evil, name=evil, names=[evil])
try:
    raise ValueError(evil)
except ValueError:
    log.exception("failed")
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_line_has_no_character_that_moves_others(form: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM % form], capture_output=True, text=True, check=True
    )

    assert "joined" in run.stderr
    assert run.stderr.count("x1b[2J") + run.stderr.count("u001b[2J") >= 4
    assert all(char.isprintable() or char == "\n" for char in run.stderr)

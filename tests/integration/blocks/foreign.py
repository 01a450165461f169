"""Other implementations of IPFS, as processes that answer line by line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[3]
FOREIGN = REPOSITORY / ".foreign"


class Process:
    """A child that reads one JSON line and answers with one line."""

    def __init__(self, command: list[str], log: Path, **environment: str) -> None:
        with log.open("wb") as errors:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | environment,
                text=True,
            )
        self._log = log

    def ask(self, **command: Any) -> str:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(command) + "\n")
        self._child.stdin.flush()
        answer = self._child.stdout.readline()
        assert answer, f"it ended: {self._log.read_text()}"
        return answer.strip()

    def kill(self) -> None:
        self._child.kill()
        self._child.communicate()


@contextmanager
def kubo(directory: Path) -> Iterator[Process]:
    """A Kubo in a network namespace of its own, which has nothing but loopback."""
    installed = FOREIGN / "kubo"
    assert (installed / ".done").exists(), "run tests/foreign/setup.sh first"
    script = REPOSITORY / "tests" / "foreign" / "kubo_node.py"
    child = Process(
        ["unshare", "--net", "--map-root-user", sys.executable, str(script), str(directory)],
        directory.with_suffix(".log"),
        PYTHONPATH=str(installed),
    )
    try:
        yield child
    finally:
        child.kill()


@contextmanager
def js_importer(directory: Path) -> Iterator[Process]:
    """The importer of the JavaScript implementation."""
    assert (FOREIGN / "js" / ".done").exists(), "run tests/foreign/setup.sh first"
    child = Process(["node", str(FOREIGN / "js" / "import.mjs")], directory / "js.log")
    try:
        yield child
    finally:
        child.kill()

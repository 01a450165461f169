"""How long a user waits for the command to say anything. The limit is the goal: 0.3 s."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.result import Result

GOAL_S = 0.3
RUNS = 7


def run() -> list[Result]:
    command = Path(sys.executable).with_name("bftcluster")
    return [
        Result(
            name="cli_help_seconds",
            value=median(_seconds([str(command), "--help"]) for _ in range(RUNS)),
            unit="s",
            limit=GOAL_S,
        )
    ]


def _seconds(arguments: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(arguments, check=True, capture_output=True)
    return time.monotonic() - start

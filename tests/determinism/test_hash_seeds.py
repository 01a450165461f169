"""The same seed gives the same trace, whatever Python's own hash seed is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.determinism.scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]


def traces(hash_seed: str) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.determinism.scenarios"],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
        text=True,
    )
    return ran.stdout.splitlines()


@pytest.mark.slow
def test_every_scenario_has_one_trace_whatever_the_hash_seed() -> None:
    first, second = traces("0"), traces("1")

    assert [line.split()[0] for line in first] == [scenario.__name__ for scenario in SCENARIOS]
    assert first == second

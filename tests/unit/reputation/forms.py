"""Compares the forms of the one arithmetic: imported, from the source, and compiled by numba.

python -m tests.unit.reputation.forms 1000000     so many vectors for each function

What is imported is interpreted in a working tree and compiled where the core is.
"""

import inspect
import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np

from bftcluster.reputation import arithmetic
from bftcluster.reputation.logarithms import log2_table
from bftcluster_sim.policy.arithmetic_source import fast_arithmetic, interpreted_arithmetic

MOST = (1 << 63) - 1
LEAST = -(1 << 63)
EXTREMES = (
    LEAST, LEAST + 1, -(1 << 62), -(1 << 32), -(1 << 31), -65537, -65536, -1, 0, 1, 2, 59, 60, 100,
    255, 256, 65535, 65536, 65537, (1 << 24) - 1, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
    1 << 32, 1 << 53, 1 << 62, MOST - 1, MOST,
)  # fmt: skip
THRESHOLDS = (
    arithmetic.GATE_MIN, arithmetic.SCORE_EVICT, arithmetic.SCORE_SUSPEND, arithmetic.SCORE_RESUME,
    arithmetic.UNKNOWN_SUSPEND, arithmetic.UNKNOWN_RESUME, arithmetic.VETTING_AUDITS,
)  # fmt: skip
WITH_TABLE = {"log2", "cost"}
OF_SEQUENCES = WITH_TABLE | {"availability"}
Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]


def values(count: int, rng: np.random.Generator) -> Numbers:
    """Return 64-bit integers: extremes, thresholds, any, small ones, and some of every length."""
    lengths = rng.integers(1, 40, count)
    near = rng.choice(np.array(THRESHOLDS, np.int64), count) + rng.integers(-1, 2, count)
    kinds = (
        rng.choice(np.array(EXTREMES, np.int64), count),
        near,
        rng.integers(LEAST, MOST, count, endpoint=True),
        rng.integers(0, 4, count),
        rng.integers(-200, 70_000, count),
        rng.integers(0, np.left_shift(np.int64(1), lengths)),
    )
    return np.choose(rng.integers(0, len(kinds), count), kinds)


def functions() -> dict[str, Callable[..., int]]:
    """Return every function of the arithmetic, from the source."""
    return {
        name: value
        for name, value in vars(interpreted_arithmetic()).items()
        if inspect.isfunction(value)
    }


def arity(function: Callable[..., int]) -> int:
    """Return how many numbers it takes."""
    return sum(each.annotation is int for each in inspect.signature(function).parameters.values())


def differences(count: int, seed: int) -> list[str]:
    """Return the names of the functions whose forms differ in one of ``count`` vectors."""
    rng = np.random.default_rng(seed)
    fast = fast_arithmetic()
    table = log2_table()
    differing = []
    for name, source in functions().items():
        if name == "availability":
            same = _same_availability(max(100, count // 100), source, fast, rng)
        else:
            rows = [values(count, rng).tolist() for _ in range(arity(source))]
            more = [[table] * count] if name in WITH_TABLE else []
            of_numba = [[np.array(table, np.int64)] * count] if name in WITH_TABLE else []
            interpreted = list(map(source, *rows, *more))
            imported = list(map(getattr(arithmetic, name), *rows, *more))
            by_numba = list(map(getattr(fast, name), *rows, *of_numba))
            same = interpreted == imported == by_numba
        if not same:
            differing.append(name)
    return differing


def _same_availability(
    count: int, source: Callable[..., int], fast: ModuleType, rng: np.random.Generator
) -> bool:
    for _ in range(count):
        parts = values(int(rng.integers(0, 70)), rng)
        asked = parts.tolist()
        answers = {source(asked), arithmetic.availability(asked), fast.availability(parts)}
        small = bytes(number & 0xFF for number in asked)
        answers_of_bytes = {
            source(small),
            arithmetic.availability(small),
            fast.availability(np.frombuffer(small, np.uint8)),
        }
        if len(answers) != 1 or len(answers_of_bytes) != 1:
            return False
    return True


if __name__ == "__main__":
    found = differences(int(sys.argv[1]), seed=1)
    form = "compiled" if str(arithmetic.__file__).endswith(".so") else "interpreted"
    sys.stdout.write(f"{form}: {sys.argv[1]} vectors for each function, differing: {found}\n")
    sys.exit(bool(found))

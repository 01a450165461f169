import random
import subprocess
import sys

import pytest

from bftcluster.reputation.logarithms import log2_table
from bftcluster_sim.policy.arithmetic_source import interpreted_arithmetic
from tests.unit.reputation.forms import (
    EXTREMES,
    OF_SEQUENCES,
    THRESHOLDS,
    arity,
    differences,
    functions,
)

LIMIT = 1 << 63
SHIFT_MAX = 62


class Watched(int):
    """An integer of 64 bits, and of nothing that numba would do otherwise than Python."""

    def __new__(cls, number: int) -> "Watched":
        assert -LIMIT <= number < LIMIT, f"{number} has more than 64 bits"
        return super().__new__(cls, number)

    def __add__(self, other: int) -> "Watched":
        return Watched(int(self) + int(other))

    __radd__ = __add__

    def __sub__(self, other: int) -> "Watched":
        return Watched(int(self) - int(other))

    def __rsub__(self, other: int) -> "Watched":
        return Watched(int(other) - int(self))

    def __mul__(self, other: int) -> "Watched":
        return Watched(int(self) * int(other))

    __rmul__ = __mul__

    def __floordiv__(self, other: int) -> "Watched":
        return divided(self, other)

    def __rfloordiv__(self, other: int) -> "Watched":
        return divided(other, self)

    def __lshift__(self, by: int) -> "Watched":
        return shifted(self, by)

    def __rlshift__(self, other: int) -> "Watched":
        return shifted(other, self)

    def __rshift__(self, by: int) -> "Watched":
        return shifted(self, by, left=False)

    def __rrshift__(self, other: int) -> "Watched":
        return shifted(other, self, left=False)

    def __and__(self, other: int) -> "Watched":
        return Watched(int(self) & int(other))

    __rand__ = __and__

    def __xor__(self, other: int) -> "Watched":
        return Watched(int(self) ^ int(other))

    __rxor__ = __xor__


def divided(number: int, by: int) -> Watched:
    assert int(number) >= 0, "what is divided is not negative"
    assert int(by) > 0, "what divides is positive"
    return Watched(int(number) // int(by))


def shifted(number: int, by: int, *, left: bool = True) -> Watched:
    assert int(number) >= 0, "what is shifted is not negative"
    assert 0 <= int(by) <= SHIFT_MAX, "shifts are short"
    return Watched(int(number) << int(by) if left else int(number) >> int(by))


def test_all_forms_answer_alike() -> None:
    assert differences(2_000, seed=7) == []


@pytest.mark.slow
def test_all_forms_answer_alike_for_a_million_vectors() -> None:
    assert differences(1_000_000, seed=11) == []


@pytest.mark.parametrize("name", sorted(functions()))
def test_nothing_on_the_way_leaves_64_bits(name: str) -> None:
    function = getattr(interpreted_arithmetic(), name)
    table = [Watched(entry) for entry in log2_table()]
    extremes = [Watched(number) for number in (*EXTREMES, *THRESHOLDS, 1 << 21, 3)]
    rng = random.Random(5)

    if name == "availability":
        rows = [([number] * 60,) for number in extremes]
    else:
        numbers = [tuple(rng.choices(extremes, k=arity(function))) for _ in range(3_000)]
        rows = [(*row, table) if name in OF_SEQUENCES else row for row in numbers]

    for row in rows:
        assert -LIMIT <= function(*row) < LIMIT


def test_without_numba_the_core_runs_and_the_simulator_says_what_to_install() -> None:
    code = """
import sys
sys.modules["numba"] = sys.modules["numpy"] = None
from bftcluster.errors import ClusterError
from bftcluster.reputation import terms_of
from bftcluster_sim.policy.arithmetic_source import fast_arithmetic, interpreted_arithmetic
assert terms_of(3_600_000).vetting == 504
assert interpreted_arithmetic().score(1, 0) == 1 << 16
try:
    fast_arithmetic()
except ClusterError as exc:
    print(exc, "|", exc.hint)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert said.startswith("the fast simulator needs numba and NumPy: ")
    assert said.endswith("| install them: pip install 'bftcluster[sim]'\n")


def test_the_core_imports_neither_numba_nor_numpy() -> None:
    code = """
import sys
import bftcluster.reputation, bftcluster.ledger.ledger
print(sorted({"numba", "numpy"} & set(sys.modules)))
"""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert said == "[]\n"

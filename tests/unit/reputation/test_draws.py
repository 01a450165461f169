import math
from random import Random

import pytest

from bftcluster.reputation.draws import NEVER, WEIGHT_MAX, cost, log2, log2_table, mix32

TABLE = log2_table()
LARGEST = (1 << 32) - 1


@pytest.mark.parametrize("number", [1, 2, 3, 255, 257, 1 << 16, (1 << 31) - 1, 1 << 31, LARGEST])
def test_the_integer_logarithm_is_nearly_the_logarithm_and_never_above_it(number: int) -> None:
    exact = math.log2(number) * 2**24

    assert exact - 50 < log2(number, TABLE) <= exact + 0.51


def test_the_integer_logarithm_never_falls() -> None:
    random = Random(1)
    numbers = sorted([1, LARGEST, *(random.getrandbits(32) for _ in range(2000))])

    logarithms = [log2(number, TABLE) for number in numbers]

    assert logarithms == sorted(logarithms)
    assert (log2(3, TABLE), logarithms[-1], log2(0, TABLE)) == (26591258, 536870911, 0)


def test_a_draw_is_the_product_of_its_whole_factors() -> None:
    """As published: two rounds of shift and multiplication, modulo 2^32."""
    random = Random(2)
    for seed in [0, 1, LARGEST, 1 << 31, *(random.getrandbits(32) for _ in range(2000))]:
        state = seed ^ (seed >> 16)
        state = state * 0x21F0AAAD % 2**32
        state ^= state >> 15
        state = state * 0x735A2D97 % 2**32
        assert mix32(seed, 0) == state ^ (state >> 15)
        assert mix32(seed ^ 77, 77) == mix32(seed, 0)


def test_the_larger_weight_bids_less_and_no_weight_bids_never() -> None:
    bids = [cost(12345, weight, TABLE) for weight in (1, 2, 1000, WEIGHT_MAX)]

    assert bids == sorted(bids, reverse=True)
    assert bids[0] < 1 << 53
    assert cost(12345, 0, TABLE) == cost(12345, -5, TABLE) == NEVER
    assert cost(12345, 1 << 40, TABLE) == bids[-1]

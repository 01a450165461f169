"""The numbers that the policy was measured with, and the edges of each function."""

import math
import random

import numba
import numpy as np
import pytest

from bftcluster.reputation import arithmetic
from bftcluster.reputation.arithmetic import ACTIVE, CANDIDATE, EVICTED, ONE, SUSPENDED
from bftcluster.reputation.logarithms import log2_table
from bftcluster_sim.policy.arithmetic_source import fast_arithmetic

FAST = fast_arithmetic()
GOOD_AFTER, BAD_AFTER, SCORE = FAST.good_after, FAST.bad_after, FAST.score
Outcomes = np.ndarray[tuple[int, int], np.dtype[np.int64]]

SATURATED = 1 << 23
FULL = 4320
AUDITS = 17_520
"""Two years of one an hour."""


def after(good: int, bad: int, passed: int, factor: int = 4, shift: int = 7) -> tuple[int, int]:
    return (
        arithmetic.good_after(good, passed, shift),
        arithmetic.bad_after(bad, passed, shift, factor),
    )


def audits_to_eviction(chance: float, rng: random.Random, *, factor: int) -> int | None:
    """Return how many audits a peer that passes with ``chance`` bears, None if all of them."""
    good, bad = SATURATED, 0
    for count in range(1, AUDITS + 1):
        good, bad = after(good, bad, int(rng.random() < chance), factor)
        if arithmetic.score(good, bad) < arithmetic.SCORE_EVICT:
            return count
    return None


def test_ten_successes_from_nothing() -> None:
    good = 0
    for _ in range(10):
        good = arithmetic.good_after(good, 1, 7)

    assert good == 632_796


def test_a_spotless_past_neither_grows_nor_fades() -> None:
    assert after(SATURATED, 0, 1) == (SATURATED, 0)


def test_one_failure_and_one_success_of_the_spotless_cost_what_they_cost() -> None:
    good, bad = after(SATURATED, 0, 0)
    assert (good, bad) == (8_323_072, 262_144)
    assert arithmetic.weight(30_000, good, bad, 0, FULL) == 3_368

    good, bad = after(good, bad, 1)
    assert (good, bad) == (8_323_584, 260_096)
    assert arithmetic.weight(30_000, good, bad, 1, FULL) == 3_376


@pytest.mark.parametrize(
    ("factor", "failures", "counts"),
    [(1, 29, (6_682_048, 1_706_586)), (4, 8, (7_878_438, 2_040_697))],
)
def test_failures_in_a_row_until_a_peer_is_evicted(
    factor: int, failures: int, counts: tuple[int, int]
) -> None:
    good, bad, count = SATURATED, 0, 0
    while arithmetic.score(good, bad) >= arithmetic.SCORE_EVICT:
        good, bad = after(good, bad, 0, factor)
        count += 1

    assert (count, (good, bad)) == (failures, counts)
    assert audits_to_eviction(0, random.Random(1), factor=factor) == failures


@pytest.mark.parametrize(
    ("factor", "chance", "mean"),
    [(4, 0.5, 16), (4, 0.7, 29), (4, 0.9, 110), (4, 0.95, 420), (1, 0.5, 65), (1, 0.7, 136)],
)
def test_a_peer_that_fails_often_bears_so_many_audits_on_average(
    factor: int, chance: float, mean: int
) -> None:
    rng = random.Random(f"{factor} {chance}")

    counts = [audits_to_eviction(chance, rng, factor=factor) for _ in range(300)]

    known = [count for count in counts if count is not None]
    assert len(known) == len(counts)
    average = sum(known) / len(known)
    spread = math.sqrt(sum((count - average) ** 2 for count in known) / len(known))
    # Both means are of 300 peers.
    assert abs(average - mean) < 4 * spread * math.sqrt(2 / len(known)) + 0.5


@numba.njit
def evicted_of(passes: Outcomes, factor: int) -> int:
    """Return how many of the peers, a row each, are evicted."""
    evicted = 0
    for row in passes:
        good, bad = SATURATED, 0
        for passed in row:
            good, bad = GOOD_AFTER(good, passed, 7), BAD_AFTER(bad, passed, 7, factor)
            if SCORE(good, bad) < arithmetic.SCORE_EVICT:
                evicted += 1
                break
    return evicted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factor", "chance", "least", "most"),
    [(4, 0.98, 0.25, 0.30), (4, 0.99, 0, 0.004), (4, 0.995, 0, 0), (1, 0.9, 0, 0.01)],
)
def test_of_those_that_seldom_fail_so_many_are_evicted_in_two_years(
    factor: int, chance: float, least: float, most: float
) -> None:
    # The reference had 32 % (sd 2.6), 0, 0 and 0 % of 300 peers; these are 3,000.
    rng = np.random.default_rng(int(factor * 1000 * chance))

    evicted = sum(
        evicted_of((rng.random((300, AUDITS)) < chance).astype(np.int64), factor) for _ in range(10)
    )

    assert least <= evicted / 3_000 <= most


@pytest.mark.parametrize(("one_in", "is_borne"), [(19, True), (16, False)])
def test_a_steady_failure_in_nineteen_audits_is_borne_and_one_in_sixteen_is_not(
    one_in: int, is_borne: bool
) -> None:
    # In the mean, (1 - c) / (1 - c + 4 c) failures, 1 in 17, leave a score of c = .80.
    good, bad, lowest = SATURATED, 0, ONE
    for turn in range(2_000):
        good, bad = after(good, bad, int(turn % one_in != 0))
        lowest = min(lowest, arithmetic.score(good, bad))

    assert (lowest >= arithmetic.SCORE_EVICT) is is_borne


def test_nothing_scores_nothing() -> None:
    assert arithmetic.score(0, 0) == 0
    assert arithmetic.score(1, 0) == ONE
    assert arithmetic.score(0, 1) == 0


def test_the_gate_opens_at_seventy_percent_and_wholly_at_all() -> None:
    assert arithmetic.gate(arithmetic.GATE_MIN - 1) == 0
    assert arithmetic.gate(arithmetic.GATE_MIN) == 0
    assert arithmetic.gate(arithmetic.GATE_MIN + 1) > 0
    assert arithmetic.gate(ONE) == ONE


def test_the_ramp_climbs_from_an_eighth_to_all_and_stays() -> None:
    assert arithmetic.ramp(0, FULL) == ONE // 8
    assert arithmetic.ramp(FULL // 2, FULL) == ONE // 8 + (ONE - ONE // 8) // 2
    assert arithmetic.ramp(FULL, FULL) == ONE
    assert arithmetic.ramp(10 * FULL, FULL) == ONE


def test_free_space_beyond_two_tebibytes_adds_no_weight() -> None:
    most = arithmetic.UNITS_MAX

    assert arithmetic.weight(most, SATURATED, 0, FULL, FULL) == most
    assert arithmetic.weight(1 << 62, SATURATED, 0, FULL, FULL) == most
    assert arithmetic.weight(-1, SATURATED, 0, FULL, FULL) == 0


def test_a_young_peer_that_lends_a_gigabyte_has_a_weight() -> None:
    assert arithmetic.weight(1024, SATURATED, 0, 0, FULL) == 128


def test_a_window_is_a_share_and_one_without_periods_is_held_against_nobody() -> None:
    assert arithmetic.window_part(12, 12) == 255
    assert arithmetic.window_part(0, 12) == 0
    assert arithmetic.window_part(6, 12) == 127
    assert arithmetic.window_part(0, 0) == 255


def test_the_availability_is_an_integer_mean_of_the_windows() -> None:
    assert arithmetic.availability(bytes([255] * 60)) == ONE
    assert arithmetic.availability(bytes([255] * 36 + [0] * 24)) == 39_321
    assert arithmetic.availability([0] * 14) == 0
    assert arithmetic.availability([0] * 13) == ONE, "too few to judge"


@pytest.mark.parametrize(
    ("evictions", "periods"),
    [(1, 720), (2, 1440), (3, 2880), (7, 46_080), (8, 46_080), (99, 46_080)],
)
def test_the_cool_down_doubles_up_to_six_times(evictions: int, periods: int) -> None:
    assert arithmetic.cool_down(evictions, 720) == periods


SOUND = (ONE, ONE, ONE)


def stepped(
    standing: int, dwell: int, points: int, unknown: int, available: int, vetted: int
) -> int:
    return arithmetic.step(standing, dwell, points, unknown, available, vetted, 168, 720)


@pytest.mark.parametrize("standing", [CANDIDATE, ACTIVE, SUSPENDED, EVICTED])
def test_a_score_below_eighty_percent_evicts_from_everywhere(standing: int) -> None:
    assert stepped(standing, 0, arithmetic.SCORE_EVICT - 1, ONE, ONE, 1) == EVICTED


@pytest.mark.parametrize("standing", [CANDIDATE, ACTIVE])
def test_each_track_suspends_just_below_its_threshold(standing: int) -> None:
    least = (arithmetic.SCORE_SUSPEND, arithmetic.UNKNOWN_SUSPEND, arithmetic.AVAILABILITY_MIN)
    assert stepped(standing, 0, *least, 0) == standing
    for place in range(3):
        weak = [value - (index == place) for index, value in enumerate(least)]
        assert stepped(standing, 0, *weak, 1) == SUSPENDED


def test_a_suspension_lasts_a_week_and_until_all_tracks_are_sound() -> None:
    least = (arithmetic.SCORE_RESUME, arithmetic.UNKNOWN_RESUME, arithmetic.AVAILABILITY_MIN)
    assert stepped(SUSPENDED, 167, *least, 1) == SUSPENDED
    assert stepped(SUSPENDED, 168, *least, 1) == ACTIVE
    assert stepped(SUSPENDED, 168, *least, 0) == CANDIDATE
    for place in range(3):
        unsound = [value - (index == place) for index, value in enumerate(least)]
        assert stepped(SUSPENDED, 168, *unsound, 1) == SUSPENDED


def test_a_suspension_of_more_than_thirty_days_is_an_eviction_unless_it_ends_now() -> None:
    assert stepped(SUSPENDED, 720, arithmetic.SCORE_SUSPEND, ONE, ONE, 1) == SUSPENDED
    assert stepped(SUSPENDED, 721, arithmetic.SCORE_SUSPEND, ONE, ONE, 1) == EVICTED
    assert stepped(SUSPENDED, 721, *SOUND, 1) == ACTIVE


def test_no_answers_at_all_never_evict_by_themselves() -> None:
    assert stepped(ACTIVE, 0, ONE, 0, ONE, 1) == SUSPENDED
    assert stepped(SUSPENDED, 720, ONE, 0, ONE, 1) == SUSPENDED


def test_a_candidate_becomes_active_when_it_is_vetted_and_sound() -> None:
    assert stepped(CANDIDATE, 504, *SOUND, 0) == CANDIDATE
    assert stepped(CANDIDATE, 504, *SOUND, 1) == ACTIVE
    assert stepped(CANDIDATE, 504, arithmetic.SCORE_RESUME - 1, ONE, ONE, 1) == CANDIDATE


def test_vetting_takes_a_hundred_audits_and_21_days() -> None:
    assert arithmetic.is_vetted(100, 504, 504) == 1
    assert arithmetic.is_vetted(99, 504, 504) == 0
    assert arithmetic.is_vetted(100, 503, 504) == 0


def test_nobody_returns_from_an_eviction_by_itself() -> None:
    assert stepped(EVICTED, 1 << 40, *SOUND, 1) == EVICTED
    assert stepped(7, 0, *SOUND, 1) == EVICTED, "nor is an unknown standing a good one"


def test_time_does_not_run_backwards() -> None:
    assert arithmetic.elapsed(5, 9) == 4
    assert arithmetic.elapsed(9, 5) == 0


def test_the_table_holds_the_nearest_integers() -> None:
    table = log2_table()

    assert list(table) == [round(math.log2(1 + index / 256) * (1 << 24)) for index in range(257)]


@pytest.mark.parametrize(
    ("number", "logarithm"),
    [(1, 0), (2, 1 << 24), (3, 26_591_258), (1 << 31, 31 << 24), ((1 << 32) - 1, 536_870_911)],
)
def test_logarithms_are_those_of_the_reference(number: int, logarithm: int) -> None:
    assert arithmetic.log2(number, log2_table()) == logarithm


def test_logarithms_are_near_the_true_ones_and_never_fall() -> None:
    rng, table = random.Random(3), log2_table()
    numbers = sorted(rng.randrange(1, 1 << rng.randrange(1, 33)) for _ in range(5_000))

    logarithms = [arithmetic.log2(number, table) for number in numbers]

    assert logarithms == sorted(logarithms)
    errors = [
        abs(got / (1 << 24) - math.log2(n)) for n, got in zip(numbers, logarithms, strict=True)
    ]
    assert max(errors) < 3e-6


def test_bids_fit_53_bits_and_no_weight_never_wins() -> None:
    table, draws = log2_table(), (0, 1, 2, 1 << 31, (1 << 32) - 1)
    for weight in (1, 2, arithmetic.WEIGHT_MAX):
        bids = [arithmetic.cost(draw, weight, table) for draw in draws]
        assert all(0 <= bid <= 1 << 53 for bid in bids)
        assert bids == sorted(bids, reverse=True)
    assert arithmetic.cost(1 << 31, 0, table) == arithmetic.NEVER > 1 << 53


def test_wins_are_shared_as_the_weights_are() -> None:
    table, weights, wins, count = log2_table(), (1, 2, 5, 8), [0, 0, 0, 0], 20_000
    for turn in range(count):
        bids = [
            arithmetic.cost(arithmetic.mix32(turn, (place + 1) * 0x9E3779B9), weight, table)
            for place, weight in enumerate(weights)
        ]
        wins[bids.index(min(bids))] += 1

    expected = [count * weight / sum(weights) for weight in weights]
    squares = sum((w - e) ** 2 / e for w, e in zip(wins, expected, strict=True))
    assert squares < 16.3, "chi-square of three degrees of freedom, at one in a thousand"


def test_mixing_is_a_bijection_of_32_bits_that_halves_each_bit() -> None:
    outputs = [arithmetic.mix32(seed, 0) for seed in range(50_000)]

    assert len(set(outputs)) == len(outputs)
    assert min(outputs) >= 0
    assert max(outputs) < 1 << 32
    for bit in range(32):
        ones = sum(output >> bit & 1 for output in outputs)
        assert abs(ones - 25_000) < 5 * 112


def test_products_keep_the_low_32_bits() -> None:
    rng = random.Random(9)
    for _ in range(1_000):
        left, right = rng.getrandbits(32), rng.getrandbits(32)
        assert arithmetic.multiply32(left, right) == left * right % (1 << 32)

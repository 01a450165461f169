"""The integer arithmetic of reputation and of weighted draws, one source for three forms.

CPython runs it in a working tree, mypyc compiles it with the core, and the simulator loads this
file and has numba compile each function. All three must answer alike, so the rules are narrow:

- plain ``int``; every argument is clamped, masked or only compared, since numba wraps silently
  where Python's integers grow. Each docstring proves that nothing reaches 2^63;
- shares are in 65536ths (``ONE``); ``//``, ``%``, ``>>`` of what is not negative alone, and shifts
  by 0 to 62; no constant of 2^63 or more;
- draws and tables are arguments; no exception, keyword-only argument, walrus or generator.

`tests/architecture/test_policy_rules.py` reads the rules off this file, and
`tests/unit/reputation/test_one_source.py` compares the forms.
"""

from collections.abc import Sequence
from typing import Final

ONE: Final = 1 << 16
"""A whole; and what one outcome adds to a count."""
COUNT_MAX: Final = (1 << 31) - 1
PERIOD_MAX: Final = (1 << 53) - 1
"""Largest number of a period: no more than of milliseconds."""
TERM_MAX: Final = (1 << 31) - 1
"""Longest term, in periods."""
UNITS_MAX: Final = 1 << 21
"""Free MiB that count: 2 TiB."""
WEIGHT_MAX: Final = (1 << 24) - 1
DRAW_MAX: Final = (1 << 32) - 1
NEVER: Final = 1 << 62
"""The cost of one with no weight: above every other."""

CANDIDATE: Final = 0
ACTIVE: Final = 1
SUSPENDED: Final = 2
EVICTED: Final = 3

GATE_MIN: Final = 45875
""".70 of ``ONE``: with a lower score a peer weighs nothing."""
SCORE_EVICT: Final = 52428
"""Below .80: evicted."""
SCORE_SUSPEND: Final = 58982
"""Below .90: suspended."""
SCORE_RESUME: Final = 62259
""".95: vetted, or back from a suspension."""
UNKNOWN_SUSPEND: Final = 39321
"""Too many audits without an answer below .60; that suspends, and never evicts by itself."""
UNKNOWN_RESUME: Final = 52428
""".80: they are answered again."""
AVAILABILITY_MIN: Final = 39321
"""Below .60: suspended."""
VETTING_AUDITS: Final = 100
RAMP_START: Final = 8192
"""The weight of the youngest: an eighth."""

WINDOWS_MAX: Final = 60
WINDOWS_JUDGED_MIN: Final = 14
"""Seven days of windows: absence before that says nothing yet."""
PART_MAX: Final = 255
"""A window in which the peer was always seen; a part fits a byte."""
DOUBLINGS_MAX: Final = 6
"""Of the cool-down."""
WORD: Final = 0xFFFFFFFF


def clamp(value: int, low: int, high: int) -> int:
    """Return ``value`` within ``low`` to ``high``.

    Bounds: those of the arguments; nothing is computed.
    """
    if value < low:
        return low
    if value > high:
        return high
    return value


def decay(count: int, shift: int) -> int:
    """Return ``count`` after one more outcome: ``1 / 2^shift`` of it is forgotten.

    Bounds: 0 to COUNT_MAX, as it only falls.
    """
    count = clamp(count, 0, COUNT_MAX)
    shift = clamp(shift, 1, 30)
    return count - (count >> shift)


def good_after(good: int, passed: int, shift: int) -> int:
    """Return what speaks for a peer after an outcome; ``passed`` is 0 if that speaks against it.

    Bounds: the sum is at most COUNT_MAX + ONE < 2^32; the result at most COUNT_MAX.
    """
    kept = decay(good, shift)
    if passed != 0:
        return clamp(kept + ONE, 0, COUNT_MAX)
    return kept


def bad_after(bad: int, passed: int, shift: int, factor: int) -> int:
    """Return what speaks against a peer after an outcome; a failure counts ``factor`` times.

    Bounds: the sum is at most COUNT_MAX + 64 * ONE < 2^32; the result at most COUNT_MAX.
    """
    factor = clamp(factor, 0, 64)
    kept = decay(bad, shift)
    if passed == 0:
        return clamp(kept + factor * ONE, 0, COUNT_MAX)
    return kept


def score(good: int, bad: int) -> int:
    """Return the share of ``good`` in both, rounded down; 0 of nothing.

    Bounds: the dividend is below 2^47; the result 0 to ONE.
    """
    good = clamp(good, 0, COUNT_MAX)
    bad = clamp(bad, 0, COUNT_MAX)
    total = good + bad
    if total == 0:
        return 0
    return (good << 16) // total


def gate(points: int) -> int:
    """Return how far a score opens the way to new data: not below .70, wholly at 1.

    Bounds: the dividend is below 2^33; the result 0 to ONE.
    """
    points = clamp(points, 0, ONE)
    if points < GATE_MIN:
        return 0
    return ((points - GATE_MIN) << 16) // (ONE - GATE_MIN)


def ramp(age: int, full: int) -> int:
    """Return the share of its weight that a peer of ``age`` has: an eighth, all of it at ``full``.

    Bounds: the dividend is below 2^16 * 2^31 = 2^47; the result RAMP_START to ONE.
    """
    full = clamp(full, 1, TERM_MAX)
    age = clamp(age, 0, full)
    return RAMP_START + (ONE - RAMP_START) * age // full


def weight(free_units: int, good: int, bad: int, age: int, full: int) -> int:
    """Return the weight in allocations of a peer with so many free MiB, score and age.

    Bounds: each product is at most 2^21 * 2^16 = 2^37; the result at most UNITS_MAX.
    """
    free_units = clamp(free_units, 0, UNITS_MAX)
    opened = (free_units * gate(score(good, bad))) >> 16
    return (opened * ramp(age, full)) >> 16


def window_part(seen: int, observed: int) -> int:
    """Return the share of a window's ``observed`` periods with the peer ``seen``, in 255ths.

    Rounded down; of no period at all it is the whole, since nothing speaks against the peer.
    Bounds: the dividend is below 2^39; the result 0 to PART_MAX.
    """
    observed = clamp(observed, 0, TERM_MAX)
    seen = clamp(seen, 0, observed)
    if observed == 0:
        return PART_MAX
    return seen * PART_MAX // observed


def availability(parts: Sequence[int]) -> int:
    """Return the mean of a peer's closed windows, the whole while they are too few to judge.

    Bounds: the sum is at most 60 * 255 < 2^14, the dividend below 2^30; the result 0 to ONE.
    """
    count = clamp(len(parts), 0, WINDOWS_MAX)
    if count < WINDOWS_JUDGED_MIN:
        return ONE
    total = 0
    for index in range(count):
        total += clamp(parts[index], 0, PART_MAX)
    return (total << 16) // (PART_MAX * count)


def elapsed(since: int, now: int) -> int:
    """Return the periods from ``since`` to ``now``, none if it lies ahead.

    Bounds: 0 to PERIOD_MAX.
    """
    since = clamp(since, 0, PERIOD_MAX)
    now = clamp(now, 0, PERIOD_MAX)
    if now < since:
        return 0
    return now - since


def is_sound(points: int, unknown: int, available: int) -> int:
    """Return 1 if all three tracks allow a peer to be vetted or to come back, otherwise 0.

    Bounds: arguments are only compared.
    """
    if points < SCORE_RESUME or unknown < UNKNOWN_RESUME or available < AVAILABILITY_MIN:
        return 0
    return 1


def is_weak(points: int, unknown: int, available: int) -> int:
    """Return 1 if one of the three tracks suspends a peer, otherwise 0.

    Bounds: arguments are only compared.
    """
    if points < SCORE_SUSPEND or unknown < UNKNOWN_SUSPEND or available < AVAILABILITY_MIN:
        return 1
    return 0


def is_vetted(audits: int, age: int, vetting: int) -> int:
    """Return 1 if a peer was audited often, and is old, enough to be more than a candidate.

    Bounds: ``vetting`` is clamped to 1 to TERM_MAX; the others are only compared.
    """
    vetting = clamp(vetting, 1, TERM_MAX)
    if audits < VETTING_AUDITS or age < vetting:
        return 0
    return 1


def step(
    standing: int,
    dwell: int,
    points: int,
    unknown: int,
    available: int,
    vetted: int,
    dwell_min: int,
    suspended_max: int,
) -> int:
    """Return a peer's next standing at the start of a period.

    One that is sound again comes back before it is asked whether it was suspended too long, so
    that an eviction which had to wait is not carried out on the innocent.

    Args:
        standing: 0 to 3; what is beyond counts as evicted.
        dwell: For how many periods it has had that standing.
        points: Its score.
        unknown: The share of its audits that it answered.
        available: The mean of its windows.
        vetted: 0 if it has to be a candidate.
        dwell_min: Periods that a suspension lasts at least.
        suspended_max: Periods after which it is an eviction.

    Bounds: arguments are only clamped and compared.
    """
    standing = clamp(standing, CANDIDATE, EVICTED)
    dwell_min = clamp(dwell_min, 0, TERM_MAX)
    suspended_max = clamp(suspended_max, dwell_min, TERM_MAX)
    sound = is_sound(points, unknown, available)
    if standing == EVICTED or points < SCORE_EVICT:
        return EVICTED
    if standing == SUSPENDED:
        if sound != 0 and dwell >= dwell_min:
            if vetted != 0:
                return ACTIVE
            return CANDIDATE
        if dwell > suspended_max:
            return EVICTED
        return SUSPENDED
    if is_weak(points, unknown, available) != 0:
        return SUSPENDED
    if standing == CANDIDATE and vetted != 0 and sound != 0:
        return ACTIVE
    return standing


def cool_down(evictions: int, first: int) -> int:
    """Return the periods from the last of so many evictions to a re-admission.

    ``first`` after one, and twice as many after each further one, up to six times twice.
    Bounds: at most 2^31 * 2^6 = 2^37.
    """
    first = clamp(first, 1, TERM_MAX)
    doublings = clamp(clamp(evictions, 1, COUNT_MAX) - 1, 0, DOUBLINGS_MAX)
    return first << doublings


def log2(number: int, table: Sequence[int]) -> int:
    """Return the logarithm to base 2 of 1 to 2^32 - 1, with 24 fractional bits.

    ``table`` is `logarithms.log2_table`: 257 entries, between which it is linear.
    Bounds: a 32-bit number is shifted below 2^33; the product of a difference and a fraction is at
    most 2^48; the result below 32 * 2^24 = 2^29.
    """
    number = clamp(number, 1, DRAW_MAX)
    exponent = 0
    rest = number
    if rest >= 1 << 16:
        exponent += 16
        rest >>= 16
    if rest >= 1 << 8:
        exponent += 8
        rest >>= 8
    if rest >= 1 << 4:
        exponent += 4
        rest >>= 4
    if rest >= 1 << 2:
        exponent += 2
        rest >>= 2
    if rest >= 1 << 1:
        exponent += 1
    shift = clamp(32 - exponent, 1, 32)
    mantissa = (number << shift) & WORD
    index = mantissa >> 24
    low = clamp(table[index], 0, 1 << 24)
    high = clamp(table[index + 1], low, 1 << 24)
    return (exponent << 24) + low + (((high - low) * (mantissa & 0xFFFFFF)) >> 24)


def cost(draw: int, peer_weight: int, table: Sequence[int]) -> int:
    """Return what one of such a weight bids with a 32-bit ``draw``: the least bid wins (straw2).

    An exponential variate over the weight, so that the shares of wins are those of the weights.
    Bounds: ``32 * 2^24 - log2`` is 1 to 2^29, shifted at most 2^53: 53 bits, or NEVER.
    """
    peer_weight = clamp(peer_weight, 0, WEIGHT_MAX)
    if peer_weight == 0:
        return NEVER
    return (((32 << 24) - log2(draw, table)) << 24) // peer_weight


def multiply32(left: int, right: int) -> int:
    """Return the low 32 bits of a product of two 32-bit numbers.

    By halves, since compiled integers multiply slowly where a factor has more than 30 bits.
    Bounds: products of 16 by 16 bits, the sum of two below 2^33, masked to 16 bits and shifted.
    """
    left &= WORD
    right &= WORD
    low = left & 0xFFFF
    middle = (left >> 16) * (right & 0xFFFF) + low * (right >> 16)
    return (low * (right & 0xFFFF) + ((middle & 0xFFFF) << 16)) & WORD


def mix32(seed: int, word: int) -> int:
    """Return a draw of 32 bits, a bijection of ``seed ^ word``.

    Constants: two rounds of Chris Wellons' hash-prospector. It spreads and does not hide: the seed
    has to come of a cryptographic hash.
    Bounds: 32 bits throughout; products as in `multiply32`.
    """
    state = (seed ^ word) & WORD
    state ^= state >> 16
    state = multiply32(state, 0x21F0AAAD)
    state ^= state >> 15
    state = multiply32(state, 0x735A2D97)
    return state ^ (state >> 15)

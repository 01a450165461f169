"""The integers of weighted draws: a 32-bit draw, its logarithm, and what a weight bids with it.

Plain ``int``, every argument clamped or masked, nothing reaches 2^63: interpreted, compiled by
mypyc and compiled by numba they answer alike.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

WORD: Final = 0xFFFFFFFF
WEIGHT_MAX: Final = (1 << 24) - 1
NEVER: Final = 1 << 62
"""The cost of one with no weight: above every other."""
_FRACTION_BITS: Final = 24
_TABLE_BITS: Final = 8
_GUARD_BITS: Final = 96
"""Fractional bits while squaring; 25 squarings lose 26 of them."""


def log2(number: int, table: Sequence[int]) -> int:
    """Return the logarithm to base 2 of 1 to 2^32 - 1, with 24 fractional bits.

    ``table`` is `log2_table`, between whose entries it is linear. Never above the true value by
    more than half of a 2^-24th. Bounds: products below 2^48; the result below 2^29.
    """
    number = 1 if number < 1 else min(number, WORD)
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
    mantissa = (number << (32 - exponent)) & WORD
    index = mantissa >> 24
    low = table[index]
    high = table[index + 1]
    return (exponent << 24) + low + (((high - low) * (mantissa & 0xFFFFFF)) >> 24)


def cost(draw: int, weight: int, table: Sequence[int]) -> int:
    """Return what one of such a weight bids with a 32-bit ``draw``: the least bid wins (straw2).

    An exponential variate over the weight, so that the shares of wins are those of the weights.
    Bounds: ``32 * 2^24 - log2`` is 1 to 2^29, shifted at most 2^53: 53 bits, or NEVER.
    """
    if weight <= 0:
        return NEVER
    weight = min(weight, WEIGHT_MAX)
    return (((32 << 24) - log2(draw, table)) << 24) // weight


def mix32(seed: int, word: int) -> int:
    """Return a draw of 32 bits, a bijection of ``seed ^ word``.

    Constants: two rounds of Chris Wellons' hash-prospector. It spreads and does not hide: the seed
    has to come of a cryptographic hash. Bounds: factors of 16 and 30 bits, so products below 2^46:
    compiled integers are slow where one factor has more than 30.
    """
    state = (seed ^ word) & WORD
    state ^= state >> 16
    low = state & 0xFFFF
    high = state >> 16
    state = (low * 0x21F0AAAD + (((high * 0xAAAD) & 0xFFFF) << 16)) & WORD
    state ^= state >> 15
    low = state & 0xFFFF
    high = state >> 16
    state = (low * 0x2D97 + (((low * 0x735A + high * 0x2D97) & 0xFFFF) << 16)) & WORD
    return state ^ (state >> 15)


@cache
def log2_table() -> tuple[int, ...]:
    """Return ``log2(1 + i / 256)`` for i in 0 to 256, in 2^-24ths, each rounded to the nearest."""
    size = 1 << _TABLE_BITS
    return *(_nearest(size + index) for index in range(size)), 1 << _FRACTION_BITS


def _nearest(number: int) -> int:
    """Return the logarithm of ``number / 256``: a bit a squaring (C. S. Turner, IEEE SPM 2010)."""
    mantissa = number << _GUARD_BITS - _TABLE_BITS
    bits = 0
    for _ in range(_FRACTION_BITS + 1):
        mantissa = mantissa * mantissa >> _GUARD_BITS
        bits <<= 1
        if mantissa >> _GUARD_BITS + 1:
            bits |= 1
            mantissa >>= 1
    return (bits + 1) >> 1

"""The frozen table of logarithms between which `arithmetic.log2` is linear."""

from functools import cache
from typing import Final

TABLE_SIZE: Final = 257
_FRACTION_BITS: Final = 24
_GUARD_BITS: Final = 96
"""Fractional bits while squaring: 25 squarings lose 26 of them, so that every entry is exact."""


@cache
def log2_table() -> tuple[int, ...]:
    """Return ``log2(1 + i / 256)`` for i in 0 to 256, in 2^-24ths, each rounded to the nearest."""
    return tuple(_nearest(index) for index in range(TABLE_SIZE))


def _nearest(index: int) -> int:
    """Return one entry: a bit for each squaring, as the logarithm of a square is twice as large."""
    if index == TABLE_SIZE - 1:
        return 1 << _FRACTION_BITS
    mantissa = (TABLE_SIZE - 1 + index) << _GUARD_BITS - 8
    bits = 0
    for _ in range(_FRACTION_BITS + 1):
        mantissa = mantissa * mantissa >> _GUARD_BITS
        bits <<= 1
        if mantissa >> _GUARD_BITS + 1:
            bits |= 1
            mantissa >>= 1
    return (bits + 1) >> 1

"""The peers that pins may be allocated to: weighted rendezvous hashing, in integers.

Each candidate draws an exponential variate from a hash of (cluster, peer, CID), divided by its
weight; the smallest draws win. A peer is then chosen in proportion to its free space, and a change
of one peer's weight moves only what that peer gains or loses (Schindelhauer and Schomaker,
"Weighted Distributed Hash Tables", SPAA 2005; CRUSH's straw2 buckets do the same).
"""

import hashlib
from collections.abc import Collection, Iterable
from functools import cache
from typing import Final

from bftcluster.cid import Cid
from bftcluster.ids import PeerId

_TAG: Final = b"bftcluster/allocation/v1\x00"
_FRACTION_BITS: Final = 40
_TABLE_BITS: Final = 10
_REST_BITS: Final = 63 - _TABLE_BITS
_SCALE_BITS: Final = 44
"""Draws are scaled so that the largest weight, 2^44, still leaves a fraction."""


class Roster:
    """The peers that pins may be allocated to, with their weights."""

    def __init__(self, seed: bytes) -> None:
        self._seed = hashlib.sha256(_TAG + seed).digest()
        self._candidates: dict[PeerId, tuple[int, Hasher]] = {}
        self._groups: dict[PeerId, str] = {}

    def update(self, peer: PeerId, weight: int, group: str = "") -> None:
        """Set a peer's weight; without any it is no candidate.

        Args:
            peer: Which one.
            weight: As of ``weights.weight_of``.
            group: Peers of one group (their domain) may fail together; those without are one.
        """
        if group:
            self._groups[peer] = group
        else:
            self._groups.pop(peer, None)
        if weight <= 0:
            self._candidates.pop(peer, None)
            return
        known = self._candidates.get(peer)
        hasher = known[1] if known else Hasher(self._seed + peer)
        self._candidates[peer] = (weight, hasher)

    def __len__(self) -> int:
        """Return how many candidates there are."""
        return len(self._candidates)

    def __contains__(self, peer: PeerId) -> bool:
        """Return whether pins may be allocated to ``peer``."""
        return peer in self._candidates

    def rank(self, cid: Cid, peers: Iterable[PeerId]) -> list[PeerId]:
        """Return those of ``peers`` that are candidates, best first."""
        draws = []
        for peer in peers:
            candidate = self._candidates.get(peer)
            if candidate is not None:
                weight, hasher = candidate
                draws.append(((hasher.cost(cid) << _SCALE_BITS) // weight, peer))
        draws.sort()
        return [peer for _, peer in draws]

    def rank_all(self, cid: Cid) -> list[PeerId]:
        """Return all candidates, best first."""
        return self.rank(cid, self._candidates)

    def spread(self, ranked: list[PeerId], chosen: Collection[PeerId]) -> list[PeerId]:
        """Return ``ranked`` with one peer of each group that ``chosen`` lacks moved to the front.

        Peers without a group are one group: nobody said that they fail apart.
        """
        if not self._groups:
            return ranked
        seen = {self._groups.get(peer, "") for peer in chosen}
        first: list[PeerId] = []
        rest: list[PeerId] = []
        for peer in ranked:
            group = self._groups.get(peer, "")
            (rest if group in seen else first).append(peer)
            seen.add(group)
        return first + rest


class Hasher:
    """Draws of one peer."""

    __slots__ = ("_copy",)

    def __init__(self, prefix: bytes) -> None:
        self._copy = hashlib.sha256(prefix).copy

    def cost(self, cid: Cid) -> int:
        """Return the peer's draw for ``cid``: exponentially distributed, 40 fractional bits."""
        state = self._copy()
        state.update(cid)
        return negative_log2(int.from_bytes(state.digest()[:8], "big"))


def negative_log2(number: int) -> int:
    """Return ``-log2((number + 1) / 2^64)`` with 40 fractional bits, for 64-bit ``number``.

    A table of 1024 logarithms and linear interpolation: exact integers on every machine, within
    2e-7 of the true value, monotone.
    """
    number += 1
    exponent = number.bit_length() - 1
    mantissa = (number << 63 >> exponent) - (1 << 63)
    table = _log2_table()
    index = mantissa >> _REST_BITS
    low = table[index]
    rest = mantissa & ((1 << _REST_BITS) - 1)
    fraction = low + ((table[index + 1] - low) * rest >> _REST_BITS)
    return (64 - exponent << _FRACTION_BITS) - fraction


@cache
def _log2_table() -> tuple[int, ...]:
    """Return ``log2(1 + i / 1024)`` for i in 0..1024, with 40 fractional bits.

    One bit per squaring (C. S. Turner, "A Fast Binary Logarithm Algorithm", IEEE Signal Processing
    Magazine, 2010).
    """
    size = 1 << _TABLE_BITS
    return *(_log2_bits((size + i) << 60 - _TABLE_BITS) for i in range(size)), 1 << _FRACTION_BITS


def _log2_bits(mantissa: int) -> int:
    """Return the 40 fractional bits of ``log2(mantissa / 2^60)``, for a mantissa in [1, 2)."""
    bits = 0
    for _ in range(_FRACTION_BITS):
        mantissa = mantissa * mantissa >> 60
        bits <<= 1
        if mantissa >> 61:
            mantissa >>= 1
            bits |= 1
    return bits

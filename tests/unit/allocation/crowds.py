"""Rosters of many peers, and what is counted about their picks."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable

from bftcluster.allocation.roster import Roster
from bftcluster.ids import PeerId


def peer(number: int) -> PeerId:
    return PeerId(hashlib.sha256(b"peer %d" % number).digest())


def roster_of(
    count: int,
    *,
    weight: Callable[[int], int] = lambda number: 1000,
    domain: Callable[[int], str] = lambda number: "",
    operator: Callable[[int], str] = lambda number: "",
) -> Roster:
    roster = Roster()
    for number in range(count):
        roster.update(
            peer(number), weight(number), domain=domain(number), operator=operator(number)
        )
    return roster


def seeds(count: int) -> Iterable[bytes]:
    return (b"pin %d" % number for number in range(count))


def picks(roster: Roster, pins: int, copies: int = 1) -> list[list[PeerId]]:
    return [roster.pick(seed, copies) for seed in seeds(pins)]


def chi_square(counts: Counter[str], shares: dict[str, int]) -> float:
    """Return how far ``counts`` are from ``shares``, per degree of freedom."""
    whole, total = sum(shares.values()), sum(counts.values())
    expected = {name: total * share / whole for name, share in shares.items()}
    terms = ((counts[name] - each) ** 2 / each for name, each in expected.items())
    return sum(terms) / (len(shares) - 1)


def chi_square_most(names: int) -> float:
    """Return what `chi_square` of so many names exceeds once in a thousand times.

    Wilson and Hilferty: the cube root of it is nearly normal; 3.09 is that normal's quantile.
    """
    freedom = names - 1
    spread = 2 / (9 * freedom)
    return (1 - spread + 3.09 * math.sqrt(spread)) ** 3


def moved(before: list[list[PeerId]], after: list[list[PeerId]]) -> float:
    """Return the copies a pin that another peer holds now."""
    pairs = zip(before, after, strict=True)
    return sum(len(set(new) - set(old)) for old, new in pairs) / len(before)

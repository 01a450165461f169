"""The strategies of allocation, behind one port: who comes into question, and who comes first."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from bftcluster.allocation.roster import BY_SPACE, BY_WEIGHT, Measure, Roster
from bftcluster.ids import PeerId
from bftcluster.ledger.rules.allocation import NotEnoughPeers, allocate


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of a strategy for one pin; the words are those of `allocate`."""

    seed: bytes
    least: int
    most: int
    current: Collection[PeerId] = ()
    preferred: Collection[PeerId] = ()
    tags: tuple[tuple[str, str], ...] = ()
    """Of peers that come first, in their order."""
    domains_min: int = 0


class AllocationStrategy(Protocol):
    """Answers wishes."""

    def allocate(self, roster: Roster, wish: Wish) -> tuple[PeerId, ...] | NotEnoughPeers:
        """Return who is to hold a pin, sorted, where nobody is everybody; or what is missing."""


class Balanced:
    """By weight: free space, how far a peer is trusted, and its age."""

    def allocate(self, roster: Roster, wish: Wish) -> tuple[PeerId, ...] | NotEnoughPeers:
        """Return who is to hold a pin, or what is missing."""
        return _allocate(roster, wish, (BY_WEIGHT,))


class FreeSpace:
    """By free space alone, of those that have a weight."""

    def allocate(self, roster: Roster, wish: Wish) -> tuple[PeerId, ...] | NotEnoughPeers:
        """Return who is to hold a pin, or what is missing."""
        return _allocate(roster, wish, (BY_SPACE,))


class Tagged:
    """By weight, those with the first wanted tag first, then those with the next, then others."""

    def allocate(self, roster: Roster, wish: Wish) -> tuple[PeerId, ...] | NotEnoughPeers:
        """Return who is to hold a pin, or what is missing: too many peers, or a tag at all."""
        measures = tuple(Measure(tag=tag) for tag in wish.tags)
        missing = len(wish.current) < wish.least and next(
            (measure.tag for measure in measures if not roster.count(measure)), None
        )
        if missing:
            kept = len(wish.current)
            return NotEnoughPeers(
                needed=wish.least - kept,
                wanted=wish.most - kept,
                candidates=len(roster),
                tag=missing,
            )
        return _allocate(roster, wish, (*measures, BY_WEIGHT))


class Everywhere:
    """Every peer, whoever comes."""

    def allocate(self, roster: Roster, wish: Wish) -> tuple[PeerId, ...]:
        """Return nobody, which is everybody."""
        return ()


STRATEGIES: Final[Mapping[str, AllocationStrategy]] = MappingProxyType(
    {
        "balanced": Balanced(),
        "freespace": FreeSpace(),
        "tags": Tagged(),
        "everywhere": Everywhere(),
    }
)
"""By the names that policies and pins have for them."""


def _allocate(
    roster: Roster, wish: Wish, measures: tuple[Measure, ...]
) -> tuple[PeerId, ...] | NotEnoughPeers:
    return allocate(
        wish.seed,
        roster,
        least=wish.least,
        most=wish.most,
        current=wish.current,
        preferred=wish.preferred,
        measures=measures,
        domains_min=wish.domains_min,
    )

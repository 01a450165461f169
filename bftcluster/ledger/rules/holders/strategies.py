"""The strategies of allocation, behind one port: who comes into question, and who comes first."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, assert_never

from bftcluster.allocation.roster import BY_WEIGHT, Measure, Roster
from bftcluster.ids import PeerId
from bftcluster.ledger.rules.holders.allocation import Draw, NotEnoughPeers, allocate
from bftcluster.ledger.wire.pin_strategy import PinStrategy, StrategyName, Tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of a strategy for one pin; the words are those of `allocate`."""

    seed: bytes
    least: int
    most: int
    current: Collection[PeerId] = ()
    preferred: Collection[PeerId] = ()
    required: tuple[Tag, ...] = ()
    """Every new holder has them."""
    tags: tuple[Tag, ...] = ()
    """Of peers that come first, in their order."""
    spread: str = ""
    """The key of a tag in whose values copies are to differ."""
    domains_min: int = 0


class AllocationStrategy(Protocol):
    """Answers wishes."""

    def allocate(self, roster: Roster, wish: Wish) -> tuple[PeerId, ...] | NotEnoughPeers:
        """Return who is to hold a pin, sorted, where nobody is everybody; or what is missing."""


class Balanced:
    """By weight: free space, how far a peer is trusted, and its age."""

    def allocate(self, roster: Roster, wish: Wish) -> tuple[PeerId, ...] | NotEnoughPeers:
        """Return who is to hold a pin, or what is missing."""
        return _allocate(roster, wish, Draw(measure=Measure(tags=wish.required)))


class FreeSpace:
    """By free space alone, of those that have a weight."""

    def allocate(self, roster: Roster, wish: Wish) -> tuple[PeerId, ...] | NotEnoughPeers:
        """Return who is to hold a pin, or what is missing."""
        measure = Measure(by_space=True, tags=wish.required)
        return _allocate(roster, wish, Draw(measure=measure))


class Tagged:
    """By weight, those with the first wanted tag first, then those with the next, then others.

    Or one of each value of a tag, as far as there are copies, and others then.
    """

    def allocate(self, roster: Roster, wish: Wish) -> tuple[PeerId, ...] | NotEnoughPeers:
        """Return who is to hold a pin, or what is missing: too many peers, or a tag at all."""
        draw = tagged(wish.required, wish.tags, wish.spread)
        missing = len(wish.current) < wish.least and next(
            (tag for tag, first in zip(wish.tags, draw.first, strict=True)
             if not roster.count(first)), None
        )  # fmt: skip
        if missing:
            kept = len(wish.current)
            return NotEnoughPeers(
                needed=wish.least - kept,
                wanted=wish.most - kept,
                candidates=roster.count(draw.measure),
                tag=missing,
            )
        return _allocate(roster, wish, draw)


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


def draw_of(strategy: PinStrategy | None) -> Draw:
    """Return by what new holders of a pin are drawn; None: as nobody said anything else."""
    if strategy is None:
        return Draw(measure=BY_WEIGHT)
    match strategy.name:
        case StrategyName.BALANCED:
            return Draw(measure=Measure(tags=strategy.required))
        case StrategyName.FREESPACE:
            return Draw(measure=Measure(by_space=True, tags=strategy.required))
        case StrategyName.TAGS:
            return tagged(strategy.required, strategy.preferred, strategy.spread)
        case _ as unreachable:
            assert_never(unreachable)


def tagged(required: tuple[Tag, ...], preferred: tuple[Tag, ...], spread: str) -> Draw:
    """Return a draw by tags."""
    first = tuple([Measure(tags=(*required, tag)) for tag in preferred])
    return Draw(measure=Measure(tags=required), first=first, spread=spread)


def wish_of(strategy: PinStrategy | None, wish: Wish) -> tuple[AllocationStrategy, Wish]:
    """Return the strategy that a pin, or the cluster, names, and what is asked of it."""
    if strategy is None:
        return STRATEGIES["balanced"], wish
    asked = Wish(
        seed=wish.seed,
        least=wish.least,
        most=wish.most,
        current=wish.current,
        preferred=wish.preferred,
        required=strategy.required,
        tags=strategy.preferred,
        spread=strategy.spread,
        domains_min=strategy.domains_min,
    )
    return STRATEGIES[strategy.name.word], asked


def _allocate(roster: Roster, wish: Wish, draw: Draw) -> tuple[PeerId, ...] | NotEnoughPeers:
    return allocate(
        wish.seed,
        roster,
        least=wish.least,
        most=wish.most,
        current=wish.current,
        preferred=wish.preferred,
        draw=draw,
        domains_min=wish.domains_min,
    )

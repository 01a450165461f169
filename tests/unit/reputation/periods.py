"""A whole period at once, as the ledger begins it peer by peer, for the tests of reputation."""

from collections.abc import Mapping
from dataclasses import dataclass

from bftcluster.ids import PeerId
from bftcluster.reputation import (
    EvictionRation,
    PeerReputation,
    Standing,
    Terms,
    due_for_eviction,
    settled,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingChange:
    """A peer that stands elsewhere from this period on."""

    peer: PeerId
    before: Standing
    after: PeerReputation


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodJudgement:
    """What the start of a period changes."""

    changes: tuple[StandingChange, ...]
    """Sorted by peer."""
    waiting: tuple[PeerId, ...]
    """Who is to be evicted and was not, the worst first."""


def at_period(
    period: int,
    peers: Mapping[PeerId, PeerReputation],
    capacities: Mapping[PeerId, int],
    terms: Terms,
) -> PeriodJudgement:
    """Return what changes at the start of ``period``."""
    ration = EvictionRation()
    after = {peer: settled(peers[peer], period, terms) for peer in peers}
    for peer, reputation in peers.items():
        if not reputation.is_evicted:
            ration = ration.judged(capacities.get(peer, 1))
    waiting = due_for_eviction(after, period, terms)
    while waiting:
        used = ration.used(capacities.get(waiting[0], 1))
        if used is None:
            break
        ration, peer = used, waiting.pop(0)
        after[peer] = after[peer].moved(Standing.EVICTED, period)
    changes = [
        StandingChange(peer=peer, before=peers[peer].standing, after=after[peer])
        for peer in sorted(peers)
        if after[peer].standing is not peers[peer].standing
    ]
    return PeriodJudgement(changes=tuple(changes), waiting=tuple(waiting))

"""The start of a period: every peer's standing is settled, and evictions are rationed.

A fault of the beacon or of the network can make many peers look bad at once. So what is evicted in
one period has at most a hundredth of the capacity, though one peer may always go; the worst go
first, the rest wait, suspended, and that they do is an alarm. Proof of fraud is not rationed:
`PeerReputation.defrauded` evicts whenever it is ordered.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bftcluster.ids import PeerId
from bftcluster.limits import EVICTED_CAPACITY_MAX_PERCENT
from bftcluster.reputation.peer_reputation import PeerReputation
from bftcluster.reputation.standing import Standing
from bftcluster.reputation.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingChange:
    """A peer that stands elsewhere from this period on; ``after.last_change`` says why."""

    peer: PeerId
    before: Standing
    after: PeerReputation


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodJudgement:
    """What the start of a period changes."""

    changes: tuple[StandingChange, ...]
    """Sorted by peer."""
    waiting: tuple[PeerId, ...]
    """Who is to be evicted and was not, the worst first: there is an alarm if there is any."""


def at_period(
    period: int,
    peers: Mapping[PeerId, PeerReputation],
    capacities: Mapping[PeerId, int],
    terms: Terms,
) -> PeriodJudgement:
    """Return what changes at the start of ``period``, whatever the order of the mappings.

    Args:
        period: The one that starts; asked once, after `PeerReputation.observed` of the last one.
        peers: All of the cluster.
        capacities: Approved, in any one unit; who is not there, or has none, has one unit.
        terms: Of the cluster.
    """
    due: list[PeerId] = []
    total = 0
    after: dict[PeerId, Standing] = {}
    for peer in sorted(peers):
        reputation = peers[peer]
        if reputation.is_evicted:
            continue
        total += _capacity(capacities, peer)
        standing = reputation.next_standing(period, terms)
        if standing is Standing.EVICTED:
            due.append(peer)
            standing = Standing.SUSPENDED
        after[peer] = standing
    due.sort(key=lambda peer: _goodness(peer, peers[peer]))
    evicted = _rationed(due, capacities, total)
    after.update((peer, Standing.EVICTED) for peer in due[:evicted])
    changes = tuple(
        StandingChange(
            peer=peer, before=peers[peer].standing, after=peers[peer].moved(standing, period)
        )
        for peer, standing in after.items()
        if standing is not peers[peer].standing
    )
    return PeriodJudgement(changes=changes, waiting=tuple(due[evicted:]))


def _goodness(peer: PeerId, reputation: PeerReputation) -> tuple[int, bool, int, PeerId]:
    """Return what sorts the worst first: by score, then those suspended, the longest first."""
    last = reputation.last_change
    is_suspended = last.standing is Standing.SUSPENDED
    return reputation.integrity.score, not is_suspended, last.since, peer


def _rationed(due: list[PeerId], capacities: Mapping[PeerId, int], total: int) -> int:
    """Return how many of ``due`` go; nobody goes before somebody who is worse."""
    spent = 0
    for count, peer in enumerate(due):
        spent += _capacity(capacities, peer)
        if count > 0 and spent * 100 > total * EVICTED_CAPACITY_MAX_PERCENT:
            return count
    return len(due)


def _capacity(capacities: Mapping[PeerId, int], peer: PeerId) -> int:
    return max(1, capacities.get(peer, 1))

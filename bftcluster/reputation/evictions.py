"""The start of a period: every peer's standing is settled, and evictions are rationed.

A fault of the beacon or of the network can make many peers look bad at once. So what is evicted in
one period has at most a hundredth of the capacity, though one peer may always go; the worst go
first, the rest wait, suspended, and that they do is an alarm. Proof of fraud is not rationed:
`PeerReputation.defrauded` evicts whenever it is ordered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bftcluster.ids import PeerId
from bftcluster.limits import EVICTED_CAPACITY_MAX_PERCENT
from bftcluster.reputation.peer_reputation import PeerReputation
from bftcluster.reputation.standing import Standing
from bftcluster.reputation.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictionRation:
    """How much may be evicted in one period, and how much was."""

    capacity: int = 0
    """Approved, of all that were judged and are not evicted, in any one unit."""
    spent: int = 0
    """Of that, what was evicted."""
    evicted: int = 0
    """How many peers were."""

    def judged(self, capacity: int) -> "EvictionRation":
        """Return this with one more peer that was judged; one without any has one unit."""
        return replace(self, capacity=self.capacity + max(1, capacity))

    def used(self, capacity: int) -> "EvictionRation | None":
        """Return this after one more eviction; None: it has to wait for another period."""
        spent = self.spent + max(1, capacity)
        if self.evicted and spent * 100 > self.capacity * EVICTED_CAPACITY_MAX_PERCENT:
            return None
        return replace(self, spent=spent, evicted=self.evicted + 1)


def settled(reputation: PeerReputation, period: int, terms: Terms) -> PeerReputation:
    """Return a reputation as it stands from the start of ``period`` on.

    One that is to be evicted is suspended, until the ration reaches it. Asked once in a period,
    after `PeerReputation.observed` of the last one.
    """
    standing = reputation.next_standing(period, terms)
    if standing is Standing.EVICTED and not reputation.is_evicted:
        standing = Standing.SUSPENDED
    return reputation if standing is reputation.standing else reputation.moved(standing, period)


def due_for_eviction(
    peers: Mapping[PeerId, PeerReputation], period: int, terms: Terms
) -> list[PeerId]:
    """Return who of settled peers is to be evicted, the worst first: nobody passes one worse."""
    due: list[PeerId] = []
    for peer, reputation in peers.items():
        is_suspended = reputation.standing is Standing.SUSPENDED
        if is_suspended and reputation.next_standing(period, terms) is Standing.EVICTED:
            due.append(peer)
    return sorted(due, key=lambda peer: _goodness(peer, peers[peer]))


def _goodness(peer: PeerId, reputation: PeerReputation) -> tuple[int, int, PeerId]:
    """Return what sorts the worst first: by score, then the longest suspended."""
    return reputation.integrity.score, reputation.last_change.since, peer

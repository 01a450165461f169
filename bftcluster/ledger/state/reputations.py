"""The rows of the reputations: of every peer there is, and of a bounded number of those that left.

Whoever left keeps its row, so that nobody is better off for having left and come back.
"""

from collections.abc import Collection, Iterable
from typing import Final

from bftcluster import codec
from bftcluster.ids import PeerId
from bftcluster.reputation import PeerReputation, Standing, Terms, peer_reputation

WAITING_KEY: Final = b"members/waiting"
"""Of the row in ``Space.META`` of those that are to be evicted, and wait for it."""


class Reputations:
    """The decoded rows, as of now."""

    def __init__(self, rows: Iterable[tuple[bytes, bytes]], terms: Terms) -> None:
        """Decode.

        Args:
            rows: All of ``Space.REPUTATION``.
            terms: Of the cluster.
        """
        self.terms = terms
        self._by_peer = {PeerId(key): peer_reputation(value) for key, value in rows}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._by_peer)

    def of(self, peer: PeerId) -> PeerReputation:
        """Return the reputation of a peer that is admitted."""
        return self._by_peer[peer]

    def get(self, peer: PeerId) -> PeerReputation | None:
        """Return the reputation of anybody, if it is kept."""
        return self._by_peer.get(peer)

    def set(self, peer: PeerId, reputation: PeerReputation | None) -> None:
        """Take in what the row of a peer is now; None: it is deleted."""
        if reputation is None:
            del self._by_peer[peer]
        else:
            self._by_peer[peer] = reputation

    def of_all(self, peers: Iterable[PeerId]) -> dict[PeerId, PeerReputation]:
        """Return the reputations of peers that are admitted."""
        return {peer: self._by_peer[peer] for peer in peers}

    def forgettable(self, members: Collection[PeerId], most: int, period: int) -> list[PeerId]:
        """Return whose rows are too many, if more than ``most`` who are no members have one.

        First those that may come back at once: of these those who were never suspended or evicted,
        and then whose standing is the oldest. A cool-down is forgotten last.
        """
        gone = [peer for peer in self._by_peer if peer not in members]
        if len(gone) <= most:
            return []
        return sorted(gone, key=lambda peer: self._worth(peer, period))[: len(gone) - most]

    def _worth(self, peer: PeerId, period: int) -> tuple[bool, bool, int, PeerId]:
        reputation = self._by_peer[peer]
        is_barred = reputation.is_evicted and period < reputation.first_period_back(self.terms)
        is_blamed = reputation.standing is Standing.SUSPENDED or reputation.evictions > 0
        return is_barred, is_blamed, reputation.last_change.since, peer


def waiting_to_value(peers: Collection[PeerId]) -> bytes | None:
    """Return the row of those whose eviction waits; None if nobody's does."""
    return codec.encode(list(peers)) if peers else None


def read_waiting(value: bytes | None) -> tuple[PeerId, ...]:
    """Return who is in that row, the worst first."""
    return () if value is None else tuple(PeerId(peer) for peer in codec.decode(value))

"""The rows of the peers: what was approved of them, what they announce, and how they weigh."""

from dataclasses import dataclass, field, replace

from bftcluster import codec
from bftcluster.ids import PeerId
from bftcluster.ledger.state.shares import Spent, spent_from_wire
from bftcluster.ledger.state.weights import weight_of
from bftcluster.ledger.wire.peer_terms import PeerTerms, terms_from_wire
from bftcluster.reputation import PeerReputation, Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRecord:
    """One admitted peer."""

    peer: PeerId
    name: str
    addresses: tuple[str, ...]
    """Multiaddrs, from the genesis until the peer joins and says otherwise."""
    is_replica: bool
    """Whether it votes in the current epoch."""
    terms: PeerTerms = field(default_factory=PeerTerms)
    """As approved; what the peer announces counts as far as they go."""
    capacity_bytes: int = 0
    """As last announced."""
    free_bytes: int = 0
    """As last announced or reported, at most the capacity."""
    weighed_bytes: int = 0
    """What was free and counted when the period began, or when the peer joined."""
    weight: int = 0
    """In allocations, as of then, by that and by how far the peer was trusted."""
    tags: tuple[tuple[str, str], ...] = ()
    """Sorted by key."""
    joined_ms: int = 0
    """Timestamp of the last join, 0 if there was none yet."""
    reported_ms: int = 0
    """Timestamp of the last report or join."""
    counter: int = 0
    """Of the last report or join: the next must be higher."""
    spent: Spent = field(default_factory=Spent)
    """On joins, reports, and its part of beacons."""
    registration: bytes = b""
    """The key that shares are sealed for, which it has shown to be its own; empty: none."""
    goes_ms: int = 0
    """When it goes at the latest, if it said that it does: its copies do not count any more."""

    @property
    def usable_capacity_bytes(self) -> int:
        """How much of what it lends counts."""
        return self.terms.usable_capacity_bytes(self.capacity_bytes)

    @property
    def usable_free_bytes(self) -> int:
        """How much of what it has free counts, from the next period on."""
        return self.terms.usable_free_bytes(self.capacity_bytes, self.free_bytes)

    def weighed(self, reputation: PeerReputation, period: int, terms: Terms) -> "PeerRecord":
        """Return this as allocation goes by it from now on, until the next period."""
        free_bytes = self.usable_free_bytes
        weight = weight_of(free_bytes, reputation, period, terms)
        return replace(self, weighed_bytes=free_bytes, weight=weight)

    def to_value(self) -> bytes:
        """Return the row's value."""
        return codec.encode(
            [
                self.peer,
                self.name,
                self.addresses,
                self.is_replica,
                self.terms.to_wire(),
                self.capacity_bytes,
                self.free_bytes,
                self.weighed_bytes,
                self.weight,
                self.tags,
                self.joined_ms,
                self.reported_ms,
                self.counter,
                self.spent.to_wire(),
                self.registration,
                self.goes_ms,
            ]
        )


def peer_record(value: bytes) -> PeerRecord:
    """Return the peer in a row of ``Space.PEER``."""
    peer, name, addresses, is_replica, terms, capacity, free, *rest = codec.decode(value)
    weighed, weight, tags, joined, reported, counter, spent, registration, leaves = rest
    return PeerRecord(
        peer=PeerId(peer),
        name=name,
        addresses=tuple(addresses),
        is_replica=is_replica,
        terms=terms_from_wire(terms),
        capacity_bytes=capacity,
        free_bytes=free,
        weighed_bytes=weighed,
        weight=weight,
        tags=tuple((key, text) for key, text in tags),
        joined_ms=joined,
        reported_ms=reported,
        counter=counter,
        spent=spent_from_wire(spent),
        registration=registration,
        goes_ms=leaves,
    )

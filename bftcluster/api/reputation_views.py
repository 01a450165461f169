"""How far a peer is trusted, as the API shows it."""

from dataclasses import dataclass

from bftcluster.ids import Digest, PeerId
from bftcluster.reputation import PeerReputation


@dataclass(frozen=True, slots=True, kw_only=True)
class ReputationView:
    """A peer that is admitted, or one that left and is remembered."""

    peer: PeerId
    peername: str
    """Empty if it left."""
    is_member: bool
    reputation: PeerReputation
    period: int
    """That of the last batch."""
    period_ms: int
    first_period_back: int | None
    """From which on it may be admitted again; None if it is not evicted."""
    weight: int
    """In allocations, in this period."""
    weight_of_all: int
    seen_ms: int
    """When a batch last ordered something of its own; 0: never, or it left."""
    waits_for_eviction: bool
    """Whether it is to be evicted, and too many are at once."""
    evidence: Digest | None
    """Of the proof that it contradicted itself; None if there is none."""

"""A peer's place in the cluster, as the API shows it."""

from dataclasses import dataclass

from bftcluster.api.reputation_views import ReputationView
from bftcluster.ids import Epoch, PeerId
from bftcluster.ledger.wire.peer_terms import PeerTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """One admitted peer."""

    peer: PeerId
    peername: str
    addresses: tuple[str, ...]
    votes: bool
    """In the current epoch."""
    since_epoch: Epoch | None
    """Since when it votes; None if it does not."""
    is_barred: bool
    """Whether it is primary in no view of the current epoch."""
    has_joined: bool
    """Whether it has announced itself."""
    is_connected: bool
    terms: PeerTerms
    """What it was let in with."""
    announced_bytes: int
    """What it says that it lends; what counts is at most the terms' capacity."""
    free_bytes: int
    """What it has free, as far as that counts."""
    used_bytes: int
    """Of what was approved."""
    reputation: ReputationView
    under_way: str
    """An approved change that has not taken effect, in plain words; empty if there is none."""

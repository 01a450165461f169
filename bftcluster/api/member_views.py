"""A peer's place in the cluster, as the API shows it."""

from dataclasses import dataclass

from bftcluster.api.reputation_views import ReputationView
from bftcluster.ids import Epoch
from bftcluster.ledger.state.peer_records import PeerRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """One admitted peer, and what follows from other rows and from our links."""

    record: PeerRecord
    votes: bool
    """In the current epoch."""
    since_epoch: Epoch | None
    """Since when it votes; None if it does not."""
    is_barred: bool
    """Whether it is primary in no view of the current epoch."""
    is_connected: bool
    is_absent: bool
    """Whether it was not heard for so long that what it holds does not count."""
    used_bytes: int
    """Of what was approved."""
    reputation: ReputationView
    under_way: str
    """An approved change that has not taken effect, in plain words; empty if there is none."""

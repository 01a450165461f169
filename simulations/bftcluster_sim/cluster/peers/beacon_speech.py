"""What a member may make of what it owes a beacon, where it is faulty."""

from collections.abc import Callable
from dataclasses import dataclass

from bftcluster.ids import ClusterId
from bftcluster.ledger.state.beacon_state import BeaconState
from bftcluster.signing.envelope import Signer
from bftcluster.signing.threshold.curve import Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconLiar:
    """A member that has its keys, and says what it likes."""

    signer: Signer
    seed: bytes
    cluster_id: ClusterId
    curve: Curve


BeaconLie = Callable[[BeaconLiar, BeaconState, list[bytes]], list[bytes]]
"""Makes of what a member owes, by the state, what it says."""

"""What the ledger asks nodes to do after a batch."""

from dataclasses import dataclass

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.state.records import PinRecord


@dataclass(frozen=True, slots=True)
class KeepPin:
    """A pin was added or changed. Who is not allocated may drop it."""

    cid: Cid
    record: PinRecord


@dataclass(frozen=True, slots=True)
class DropPin:
    """A pin was removed or expired."""

    cid: Cid


@dataclass(frozen=True, slots=True)
class Reported:
    """A peer said again or for the first time that it holds pins which it is to hold."""

    peer: PeerId
    cids: tuple[Cid, ...]


@dataclass(frozen=True, slots=True)
class PeerChanged:
    """A peer was admitted, joined, announced something else, began to vote or stopped.

    Or where it stands changed, or it is absent, or back.
    """

    peer: PeerId


@dataclass(frozen=True, slots=True)
class PeerRemoved:
    """A peer is not one of the cluster's any more."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class PeerAccused:
    """Proof was ordered that a replica contradicted itself."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class FraudProven:
    """What a peer signed is on the log, and proves that it lied."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class BeaconMoved:
    """A ceremony opened or came further, or a period began: members may owe something to it."""


@dataclass(frozen=True, slots=True)
class AuditMoved:
    """A phase of an audit began: those who are asked, or voters, may owe something to it."""

    number: int


Effect = (
    KeepPin
    | DropPin
    | Reported
    | PeerChanged
    | PeerRemoved
    | PeerAccused
    | FraudProven
    | BeaconMoved
    | AuditMoved
)

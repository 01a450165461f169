"""Operations on the cluster's peers: who belongs to it, and who of them votes."""

from dataclasses import dataclass, field
from typing import Any, Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import PeerId
from bftcluster.ledger.wire.peer_fields import check_peer_texts
from bftcluster.ledger.wire.peer_terms import PeerTerms, terms_from_wire
from bftcluster.limits import PUBLIC_KEY_SIZE_BYTES
from bftcluster.signing.keys import peer_id_text
from bftcluster.signing.wire import check_array, check_size

ADMIT: Final = 3
REMOVE: Final = 4
_ADMIT_SHAPE: Final[list[type]] = [int, bytes, str, list, bool, list]
_REMOVE_SHAPE: Final[list[type]] = [int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmitPeer:
    """Let a peer in; or, if it is in already, change whether it votes, or its terms.

    Raises:
        MalformedMessageError: On construction, if a field is over a limit.
    """

    peer: PeerId
    name: str
    addresses: tuple[str, ...]
    """Multiaddrs to reach it at until it joins and says otherwise; may be empty."""
    votes: bool
    """Whether it becomes a replica, at an epoch boundary; otherwise it stores and follows."""
    terms: PeerTerms = field(default_factory=PeerTerms)
    """What of its announcements counts, whatever it says; by default nothing."""

    def __post_init__(self) -> None:
        check_size(self.peer, PUBLIC_KEY_SIZE_BYTES, "a peer id")
        check_peer_texts(self.name, self.addresses)
        if self.votes and self.terms.is_light:
            raise MalformedMessageError("a light peer has no ledger to vote on")

    @property
    def subject(self) -> str:
        """What the peer calls itself."""
        return self.name

    def to_bytes(self) -> bytes:
        """Return the canonical encoding, an intent's ``operation``."""
        return codec.encode(
            [ADMIT, self.peer, self.name, self.addresses, self.votes, self.terms.to_wire()]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovePeer:
    """Let a peer take part no longer; one that votes goes at an epoch boundary."""

    peer: PeerId

    def __post_init__(self) -> None:
        check_size(self.peer, PUBLIC_KEY_SIZE_BYTES, "a peer id")

    @property
    def subject(self) -> str:
        """The peer's id as text."""
        return peer_id_text(self.peer)

    def to_bytes(self) -> bytes:
        """Return the canonical encoding, an intent's ``operation``."""
        return codec.encode([REMOVE, self.peer])


def parse_admit(items: list[Any]) -> AdmitPeer:
    """Return the operation that a decoded array stands for.

    Raises:
        MalformedMessageError: It stands for none.
    """
    _, peer, name, addresses, votes, terms = check_array(items, _ADMIT_SHAPE, "admit operation")
    return AdmitPeer(
        peer=PeerId(peer),
        name=name,
        addresses=tuple(addresses),
        votes=votes,
        terms=terms_from_wire(terms),
    )


def parse_remove(items: list[Any]) -> RemovePeer:
    """Return the operation that a decoded array stands for.

    Raises:
        MalformedMessageError: It stands for none.
    """
    _, peer = check_array(items, _REMOVE_SHAPE, "remove operation")
    return RemovePeer(peer=PeerId(peer))

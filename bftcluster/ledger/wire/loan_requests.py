"""What those say who lend room: that they come by an invitation, and that they go.

A redemption is signed by the invitation's key and by the newcomer over the same bytes: who has read
an invitation off the log cannot use it, and who has seen a redemption cannot put another's name in.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import ClusterId, InviteKey
from bftcluster.ledger.wire.peer_fields import PeerStatement, StatementFormat, check_peer_texts
from bftcluster.ledger.wire.peer_terms import PeerTerms, QuotaClass
from bftcluster.ledger.wire.request_kinds import RequestKind
from bftcluster.limits import (
    PEER_CAPACITY_MAX_BYTES,
    PUBLIC_KEY_SIZE_BYTES,
    REDEMPTION_SIZE_MAX_BYTES,
    SIGNATURE_SIZE_BYTES,
    TIME_MAX_MS,
)
from bftcluster.signing.envelope import Domain, Signer, Verifier, is_valid, sign
from bftcluster.signing.wire import check_array, check_size

_REDEEM_SHAPE: Final[list[type]] = [int, bytes, bytes, bytes]
_REDEEM: Final = StatementFormat(
    RequestKind.REDEEM, Domain.REDEEM, [bytes, int, str, list, str, str], REDEMPTION_SIZE_MAX_BYTES
)
_LEAVE: Final = StatementFormat(
    RequestKind.LEAVE, Domain.LEAVE, [int, bool], REDEMPTION_SIZE_MAX_BYTES
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeem(PeerStatement):
    """A newcomer asks to be let in by an invitation. Made by ``redeem``."""

    invite: InviteKey
    name: str
    addresses: tuple[str, ...]
    """Multiaddrs to reach it at; may be empty."""
    asked: PeerTerms
    """The capacity that it would lend; domain and operator, which count if the invitation says so.
    Its class is the invitation's."""
    invite_signature: bytes
    """By the invitation's key."""

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        items = [int(self.said.kind), self.payload, self.signature, self.invite_signature]
        return codec.encode(items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(PeerStatement):
    """A peer that does not vote says that it goes. Made by ``leave``."""

    said_ms: int
    """When it said so, in unix milliseconds: it counts for a while only, since a peer that was let
    in again must not be sent away by what it said before."""
    is_final: bool
    """Whether it goes at once; otherwise its pins are given to others first."""


LoanRequest: TypeAlias = Redeem | Leave


def redeem(
    newcomer: Signer,
    invite: Signer,
    *,
    cluster_id: ClusterId,
    name: str,
    addresses: tuple[str, ...],
    asked: PeerTerms,
) -> Redeem:
    """Return the request of ``newcomer``, who has the secret of an invitation.

    Raises:
        MalformedMessageError: Over a limit of ``limits.PEER_…``, or an address is no multiaddr.
    """
    place = [asked.domain, asked.operator]
    items = [invite.public_key, asked.capacity_bytes, name, addresses, *place]
    payload, signature = _REDEEM.signed(newcomer, cluster_id, items)
    return _read_redeem(payload, signature, sign(invite, Domain.REDEEM, payload))


def leave(signer: Signer, *, cluster_id: ClusterId, now_ms: int, is_final: bool) -> Leave:
    """Return the signer's word that it goes; ``now_ms`` is unix time."""
    return read_leave(*_LEAVE.signed(signer, cluster_id, [now_ms, is_final]))


def is_signed(verifier: Verifier, request: LoanRequest) -> bool:
    """Return whether whoever has to sign a request has signed it."""
    payload = request.payload
    if isinstance(request, Leave):
        return is_valid(verifier, Domain.LEAVE, request.peer, payload, request.signature)
    by_invite = request.invite_signature
    return is_valid(verifier, Domain.REDEEM, request.invite, payload, by_invite) and is_valid(
        verifier, Domain.REDEEM, request.peer, payload, request.signature
    )


def parse_redeem(items: list[Any]) -> Redeem:
    """Return the request that the decoded ``items`` are.

    Raises:
        MalformedMessageError: They are none.
    """
    _, payload, signature, by_invite = check_array(items, _REDEEM_SHAPE, "redemption")
    return _read_redeem(payload, signature, by_invite)


def _read_redeem(payload: bytes, signature: bytes, by_invite: bytes) -> Redeem:
    said, items = _REDEEM.read(payload, signature)
    invite, capacity, name, addresses, domain, operator = items
    check_size(invite, PUBLIC_KEY_SIZE_BYTES, "an invitation's key")
    check_size(by_invite, SIGNATURE_SIZE_BYTES, "a signature")
    check_peer_texts(name, tuple(addresses))
    if not 0 < capacity <= PEER_CAPACITY_MAX_BYTES:
        raise MalformedMessageError(f"a peer lends 1 to {PEER_CAPACITY_MAX_BYTES} bytes")
    asked = PeerTerms(
        capacity_bytes=capacity,
        quota_class=QuotaClass.VOLUNTEER,
        domain=domain,
        operator=operator,
    )
    return Redeem(
        said=said,
        invite=InviteKey(invite),
        name=name,
        addresses=tuple(addresses),
        asked=asked,
        invite_signature=by_invite,
    )


def read_leave(payload: bytes, signature: bytes) -> Leave:
    """Return the request that a payload and its signature are.

    Raises:
        MalformedMessageError: They are none.
    """
    said, [said_ms, is_final] = _LEAVE.read(payload, signature)
    if not 0 <= said_ms <= TIME_MAX_MS:
        raise MalformedMessageError("a time that is none")
    return Leave(said=said, said_ms=said_ms, is_final=is_final)

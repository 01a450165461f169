"""Operations on invitations: by one, whoever has its secret is let in with terms set beforehand."""

from dataclasses import dataclass, field
from typing import Any, Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import InviteKey
from bftcluster.ledger.wire.peer_terms import PeerTerms, terms_from_wire
from bftcluster.limits import INVITE_USES_MAX, PUBLIC_KEY_SIZE_BYTES, TIME_MAX_MS
from bftcluster.signing.wire import check_array, check_size

INVITE: Final = 14
REVOKE_INVITE: Final = 15
_INVITE_SHAPE: Final[list[type]] = [int, bytes, int, int, list, bool]
_REVOKE_SHAPE: Final[list[type]] = [int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """Let in whoever shows the secret of ``key``, as a peer that does not vote.

    Raises:
        MalformedMessageError: On construction, if a field is over a limit.
    """

    key: InviteKey
    """A public key, made for this invitation alone."""
    uses: int
    """How many peers it lets in, from 1 to ``INVITE_USES_MAX``."""
    expires_ms: int
    """Unix milliseconds of batch time; it lets nobody in from then on."""
    terms: PeerTerms = field(default_factory=PeerTerms)
    """Of each peer that it lets in; the capacity is the most that one may ask for."""
    is_place_open: bool = False
    """Whether each peer says itself what it may fail together with and who looks after it, instead
    of the terms: whoever approves the invitation vouches for those who will get it."""

    def __post_init__(self) -> None:
        check_size(self.key, PUBLIC_KEY_SIZE_BYTES, "an invitation's key")
        if not 1 <= self.uses <= INVITE_USES_MAX:
            raise MalformedMessageError(f"an invitation lets in 1 to {INVITE_USES_MAX} peers")
        if not 0 < self.expires_ms <= TIME_MAX_MS:
            raise MalformedMessageError(f"an invitation cannot expire at {self.expires_ms} ms")
        if not self.terms.capacity_bytes:
            raise MalformedMessageError("an invitation grants some capacity")

    @property
    def subject(self) -> str:
        """How people name the invitation."""
        return invite_name(self.key)

    def to_bytes(self) -> bytes:
        """Return the canonical encoding, an intent's ``operation``."""
        terms = self.terms.to_wire()
        items = [INVITE, self.key, self.uses, self.expires_ms, terms, self.is_place_open]
        return codec.encode(items)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeInvite:
    """Let in nobody more by an invitation; who came by it stays."""

    key: InviteKey

    def __post_init__(self) -> None:
        check_size(self.key, PUBLIC_KEY_SIZE_BYTES, "an invitation's key")

    @property
    def subject(self) -> str:
        """How people name the invitation."""
        return invite_name(self.key)

    def to_bytes(self) -> bytes:
        """Return the canonical encoding, an intent's ``operation``."""
        return codec.encode([REVOKE_INVITE, self.key])


def invite_name(key: InviteKey) -> str:
    """Return what people call an invitation: the beginning of its key, which is no secret."""
    return key.hex()[:16]


def parse_invite(items: list[Any]) -> Invite:
    """Return the operation that a decoded array stands for.

    Raises:
        MalformedMessageError: It stands for none.
    """
    _, key, uses, expires_ms, terms, is_open = check_array(items, _INVITE_SHAPE, "invitation")
    return Invite(
        key=InviteKey(key),
        uses=uses,
        expires_ms=expires_ms,
        terms=terms_from_wire(terms),
        is_place_open=is_open,
    )


def parse_revoke_invite(items: list[Any]) -> RevokeInvite:
    """Return the operation that a decoded array stands for, or raise as ``parse_invite``."""
    _, key = check_array(items, _REVOKE_SHAPE, "revocation")
    return RevokeInvite(key=InviteKey(key))

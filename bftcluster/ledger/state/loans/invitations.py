"""The rows of invitations: what was approved, and who came by each."""

from dataclasses import dataclass, replace
from typing import Final

from bftcluster import codec
from bftcluster.ids import InviteKey, PeerId, Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state.deadlines import invite_deadline
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.invitation_operations import Invite, parse_invite
from bftcluster.limits import PUBLIC_KEY_SIZE_BYTES

_KEY_SIZE: Final = PUBLIC_KEY_SIZE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteRecord:
    """One invitation that has not expired."""

    invite: Invite
    """As approved."""
    seq: Seq
    """The batch that ordered it."""
    is_revoked: bool = False
    came: tuple[PeerId, ...] = ()
    """Who was let in by it, in that order, whether or not they are still in."""

    @property
    def uses_left(self) -> int:
        """How many it lets in yet."""
        return 0 if self.is_revoked else self.invite.uses - len(self.came)

    def used_by(self, peer: PeerId) -> "InviteRecord":
        """Return this after it let ``peer`` in."""
        assert self.uses_left, "an invitation that is used up lets nobody in"
        return replace(self, came=(*self.came, peer))

    def to_value(self) -> bytes:
        """Return the row's value."""
        came = b"".join(self.came)
        return codec.encode([self.invite.to_bytes(), self.seq, self.is_revoked, came])


def invite_record(value: bytes) -> InviteRecord:
    """Return what a row of ``Space.INVITE`` holds."""
    encoded, seq, is_revoked, came = codec.decode(value)
    starts = range(0, len(came), _KEY_SIZE)
    return InviteRecord(
        invite=parse_invite(codec.decode(encoded)),
        seq=Seq(seq),
        is_revoked=is_revoked,
        came=tuple([PeerId(came[at : at + _KEY_SIZE]) for at in starts]),
    )


def invite_of(state: State, key: InviteKey) -> InviteRecord | None:
    """Return an invitation, if it is known and has not expired."""
    value = state.get(Space.INVITE, key)
    return None if value is None else invite_record(value)


def put_invite(state: State, record: InviteRecord) -> None:
    """Set an invitation's row; it goes when it expires."""
    invite = record.invite
    state.put(Space.INVITE, invite.key, record.to_value())
    state.put(Space.DEADLINE, invite_deadline(invite.key, invite.expires_ms), b"\x80")


def forget_invite(state: State, record: InviteRecord) -> None:
    """Delete the row of an invitation that has expired."""
    invite = record.invite
    state.put(Space.INVITE, invite.key, None)
    state.put(Space.DEADLINE, invite_deadline(invite.key, invite.expires_ms), None)

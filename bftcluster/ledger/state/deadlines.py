"""Keys of what happens at a time: what expires, who leaves, which pins come of age.

All pins of an hour come of age at once, and only some of them are looked at in a batch: their keys
sort behind all others, so that nothing waits behind them.
"""

from collections.abc import Callable, Sequence
from typing import Final

from bftcluster.cid import Cid
from bftcluster.ids import Digest, InviteKey, PeerId
from bftcluster.ledger.state.records import PinRecord

TIME_SIZE_BYTES: Final = 8
PIN_KIND: Final = 1
PROPOSAL_KIND: Final = 2
AUDIT_KIND: Final = 3
INVITE_KIND: Final = 4
LEAVE_KIND: Final = 5
AGE_KIND: Final = 6
_AGES: Final = 1 << 63
"""Added to the times at which pins come of age: no time is as late."""
AGES_AFTER: Final = (_AGES - 1).to_bytes(TIME_SIZE_BYTES, "big") + b"\xff" * 64
"""Behind this the keys of such times begin."""


def pin_deadline(record: PinRecord) -> bytes:
    """Return the deadline of a pin that expires."""
    assert record.options.expire_at_ms, "the pin expires"
    return _key(record.options.expire_at_ms, PIN_KIND, record.cid)


def proposal_deadline(intent_digest: Digest, expires_ms: int) -> bytes:
    """Return the deadline of an intent on the log."""
    return _key(expires_ms, PROPOSAL_KIND, intent_digest)


def audit_deadline(number: int, until_ms: int) -> bytes:
    """Return the deadline of an audit's phase."""
    return _key(until_ms, AUDIT_KIND, number.to_bytes(8, "big"))


def invite_deadline(invite: InviteKey, expires_ms: int) -> bytes:
    """Return the deadline of an invitation."""
    return _key(expires_ms, INVITE_KIND, invite)


def leave_deadline(peer: PeerId, goes_ms: int) -> bytes:
    """Return the deadline of a peer that leaves."""
    return _key(goes_ms, LEAVE_KIND, peer)


def age_deadline(cid: Cid, due_ms: int) -> bytes:
    """Return the deadline of a pin that has another number of copies from then on."""
    return _key(_AGES + due_ms, AGE_KIND, cid)


def parse_deadline(key: bytes) -> tuple[int, bytes]:
    """Return the kind and the key of what happens."""
    return key[TIME_SIZE_BYTES], key[TIME_SIZE_BYTES + 1 :]


def time_of(key: bytes) -> int:
    """Return when it happens, in unix milliseconds."""
    return int.from_bytes(key[:TIME_SIZE_BYTES], "big") % _AGES


def rank_of(key: bytes) -> tuple[int, bytes]:
    """Return what deadlines are ordered by: their times, and then their keys."""
    return time_of(key), key


def end_of(now_ms: int) -> bytes:
    """Return the first key that is not due: what is due at ``now_ms`` sorts before it, but ages."""
    return (now_ms + 1).to_bytes(TIME_SIZE_BYTES, "big")


class EarliestDeadline:
    """The key of what happens next, without asking the rows more often than needed."""

    def __init__(self, first: Callable[[], Sequence[bytes]]) -> None:
        """Begin, knowing nothing.

        Args:
            first: Returns keys of rows that are there, the earliest among them.
        """
        self._first = first
        self._key: bytes | None = None
        self._is_known = False

    @property
    def key(self) -> bytes | None:
        """Return it, if anything will happen."""
        if not self._is_known:
            self._key = min(self._first(), key=rank_of, default=None)
            self._is_known = True
        return self._key

    def note(self, key: bytes, *, is_there: bool) -> None:
        """Take in that a row was put or deleted."""
        if not is_there:
            self._is_known = self._is_known and key != self._key
        elif self._key is None or rank_of(key) < rank_of(self._key):
            self._key = key


def _key(time_ms: int, kind: int, subject: bytes) -> bytes:
    return time_ms.to_bytes(TIME_SIZE_BYTES, "big") + bytes((kind,)) + subject

"""What peers say on the sync stream to those who lag, besides what PBFT says there: every kind.

The table says who takes a frame of each kind, how large it may be and how it is read. A new kind
has its number, its class and its entry here; a receiver that is new as well has to be named where
frames are handed out. What is none of these is the replica's, which says so if it is nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from bftcluster import codec
from bftcluster.cid import Cid, from_bytes
from bftcluster.errors import InvalidCidError, MalformedMessageError
from bftcluster.ids import Digest, Epoch, Seq
from bftcluster.ledger.rows.spaces import STATE_SPACES, Key
from bftcluster.ledger.rows.tree_nodes import KEY_SIZE_MAX, PATH_NIBBLES
from bftcluster.limits import (
    AUDIT_HINT_SIZE_MAX_BYTES,
    EPOCH_FETCH_SIZE_MAX_BYTES,
    EPOCH_LINK_SIZE_MAX_BYTES,
    EPOCH_LINKS_MAX,
    FRAME_SIZE_MAX_BYTES,
    HANDED_SIZE_MAX_BYTES,
    HINT_FETCH_SIZE_MAX_BYTES,
    REQUEST_SIZE_MAX_BYTES,
    STATE_FETCH_SIZE_MAX_BYTES,
    STATE_WANTS_MAX,
)
from bftcluster.pbft import shapes
from bftcluster.pbft.frames import kind_of

FETCH_EPOCHS: Final = 19
EPOCHS: Final = 20
FETCH_STATE: Final = 21
STATE: Final = 22
FETCH_HINTS: Final = 23
HINT: Final = 24
HAND_IN: Final = 25
HANDED_IN: Final = 26
AUDIT_HINT: Final = 27
_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class FetchEpochLinks:
    """Please prove to me who votes behind this epoch."""

    after: Epoch

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([FETCH_EPOCHS, self.after])

    @classmethod
    def from_frame(cls, frame: bytes) -> "FetchEpochLinks":
        """Return the question in ``frame``.

        Raises:
            MalformedMessageError: There is none.
        """
        _, after = _items(frame, FETCH_EPOCHS, 2)
        return cls(shapes.epoch(after))


@dataclass(frozen=True, slots=True)
class EpochLinks:
    """The answer: consecutive links, as many as fit."""

    links: tuple[bytes, ...]
    """``EpochLink.to_bytes()`` of each."""

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([EPOCHS, list(self.links)])

    @classmethod
    def from_frame(cls, frame: bytes) -> "EpochLinks":
        """Return the answer in ``frame``; nothing is verified.

        Raises:
            MalformedMessageError: There is none.
        """
        _, links = _items(frame, EPOCHS, 2)
        return cls(_blobs(links, EPOCH_LINKS_MAX, EPOCH_LINK_SIZE_MAX_BYTES, "links"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchState:
    """Please send me parts of the state with this root."""

    number: int
    """Comes back in the answer."""
    root: Digest
    nodes: tuple[str, ...]
    """Nodes of the tree, by their paths in hexadecimal."""
    rows: tuple[Key, ...]

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        rows = [[int(space), key] for space, key in self.rows]
        return codec.encode([FETCH_STATE, self.number, self.root, list(self.nodes), rows])

    @classmethod
    def from_frame(cls, frame: bytes) -> "FetchState":
        """Return the question in ``frame``.

        Raises:
            MalformedMessageError: There is none.
        """
        _, number, root, nodes, rows = _items(frame, FETCH_STATE, 5)
        return cls(
            number=shapes.counter(number),
            root=shapes.digest(root),
            nodes=tuple(map(_prefix, shapes.items(nodes, STATE_WANTS_MAX, "wanted nodes"))),
            rows=tuple(map(_key, shapes.items(rows, STATE_WANTS_MAX, "wanted rows"))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StateParts:
    """The answer: what was asked for, from the first on, as much as fits."""

    number: int
    root: Digest
    """The one asked about; or that of our last checkpoint, and then there is nothing else."""
    nodes: tuple[bytes, ...]
    """As they are stored, pages with the keys of their rows."""
    rows: tuple[bytes, ...]
    """Their values."""

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([STATE, self.number, self.root, list(self.nodes), list(self.rows)])

    @classmethod
    def from_frame(cls, frame: bytes) -> "StateParts":
        """Return the answer in ``frame``; nothing is verified.

        Raises:
            MalformedMessageError: There is none.
        """
        _, number, root, nodes, rows = _items(frame, STATE, 5)
        return cls(
            number=shapes.counter(number),
            root=shapes.digest(root),
            nodes=_blobs(nodes, STATE_WANTS_MAX, FRAME_SIZE_MAX_BYTES, "nodes"),
            rows=_blobs(rows, STATE_WANTS_MAX, FRAME_SIZE_MAX_BYTES, "rows"),
        )


@dataclass(frozen=True, slots=True)
class FetchHints:
    """Please tell me of my duties from this slot on: I know of no checkpoint that has them."""

    slot: int

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([FETCH_HINTS, self.slot])

    @classmethod
    def from_frame(cls, frame: bytes) -> "FetchHints":
        """Return the question in ``frame``.

        Raises:
            MalformedMessageError: There is none.
        """
        _, slot = _items(frame, FETCH_HINTS, 2)
        return cls(shapes.counter(slot))


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyHint:
    """A relay's word that a batch gave its light peer a pin, with the approvals of that pin.

    The approvals can be checked; that the pin is this peer's is believed until checkpoints show.
    """

    seq: Seq
    """The batch that ordered the pin."""
    approval: bytes
    """``Submit.to_bytes()`` of its certificate."""

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([HINT, self.seq, self.approval])

    @classmethod
    def from_frame(cls, frame: bytes) -> "DutyHint":
        """Return the hint in ``frame``; nothing is verified.

        Raises:
            MalformedMessageError: There is none.
        """
        _, seq, approval = _items(frame, HINT, 3)
        return cls(seq=shapes.seq(seq), approval=shapes.blob(approval, REQUEST_SIZE_MAX_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHint:
    """A relay's word that its light peer is asked for blocks."""

    number: int
    seed: Digest
    cid: Cid
    """The root of the pin."""
    is_pledged: bool
    """Whether the ledger has its pledge, and waits for the answer."""

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([AUDIT_HINT, self.number, self.seed, self.cid, self.is_pledged])

    @classmethod
    def from_frame(cls, frame: bytes) -> "AuditHint":
        """Return the hint in ``frame``; nothing is verified.

        Raises:
            MalformedMessageError: There is none.
        """
        _, number, seed, cid, is_pledged = _items(frame, AUDIT_HINT, 5)
        if type(cid) is not bytes or type(is_pledged) is not bool:
            raise MalformedMessageError("not an audit")
        try:
            root = from_bytes(cid)
        except InvalidCidError as exc:
            raise MalformedMessageError(str(exc)) from None
        return cls(
            number=shapes.counter(number), seed=shapes.digest(seed), cid=root, is_pledged=is_pledged
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HandIn:
    """Please have this request of mine ordered: I have no ledger to do it with."""

    number: int
    """Comes back in the answer."""
    request: bytes

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([HAND_IN, self.number, self.request])

    @classmethod
    def from_frame(cls, frame: bytes) -> "HandIn":
        """Return what is handed in with ``frame``; nothing is verified.

        Raises:
            MalformedMessageError: Nothing is.
        """
        _, number, request = _items(frame, HAND_IN, 3)
        return cls(
            number=shapes.counter(number), request=shapes.blob(request, REQUEST_SIZE_MAX_BYTES)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedIn:
    """A relay's word on what became of a request."""

    number: int
    code: int
    """An ``OutcomeCode``; one that the reader does not know is a refusal."""

    def frame(self) -> bytes:
        """Return the bytes on the wire."""
        return codec.encode([HANDED_IN, self.number, self.code])

    @classmethod
    def from_frame(cls, frame: bytes) -> "HandedIn":
        """Return the answer in ``frame``.

        Raises:
            MalformedMessageError: There is none.
        """
        _, number, code = _items(frame, HANDED_IN, 3)
        return cls(number=shapes.counter(number), code=shapes.counter(code))


Question: TypeAlias = FetchEpochLinks | FetchState
"""What a state server is asked: each has an answer."""
LightMessage: TypeAlias = FetchHints | DutyHint | AuditHint | HandIn | HandedIn
"""What light peers and their relays say to each other, besides."""
SyncMessage: TypeAlias = Question | EpochLinks | StateParts | LightMessage


class Receiver(Enum):
    """Which part of a peer takes a frame."""

    REPLICA = "orders: whatever is PBFT's, or no frame at all"
    STATE_SERVER = "answers questions"
    STATE_TRANSFER = "asked for a state"
    EPOCH_SYNC = "asked who votes"
    RELAY = "does what light peers ask"
    LIGHT_PEER = "asked a relay"


@dataclass(frozen=True, slots=True)
class SyncEntry:
    """One kind of frame."""

    name: str
    """For people."""
    receiver: Receiver
    size_max_bytes: int
    """Of the whole frame, looked at before it is decoded."""
    parse: Callable[[bytes], SyncMessage]


def receiver_of(frame: bytes) -> Receiver:
    """Return who takes ``frame``, by a look at its head: whoever takes it parses it."""
    kind = kind_of(frame)
    entry = None if kind is None else SYNC_FRAMES.get(kind)
    return Receiver.REPLICA if entry is None else entry.receiver


def parse_sync_frame(frame: bytes) -> SyncMessage:
    """Return the message in ``frame``; nothing is verified.

    Raises:
        MalformedMessageError: There is none of these kinds.
    """
    kind = kind_of(frame)
    entry = None if kind is None else SYNC_FRAMES.get(kind)
    if entry is None:
        raise MalformedMessageError("no frame of the sync stream's own")
    return entry.parse(frame)


def read_question(frame: bytes) -> Question:
    """Return what ``frame`` asks for.

    Raises:
        MalformedMessageError: It asks for nothing.
    """
    message = parse_sync_frame(frame)
    if not isinstance(message, Question):
        raise MalformedMessageError("not a question")
    return message


def _items(frame: bytes, kind: int, length: int) -> list[Any]:
    """Return the items of a frame of this kind, of which there are so many."""
    entry = SYNC_FRAMES[kind]
    value = codec.decode(frame, size_max_bytes=entry.size_max_bytes)
    items = shapes.tagged(shapes.array(value, length, f"a frame of kind {entry.name}"))
    if items[0] != kind:
        raise MalformedMessageError(f"not a frame of kind {entry.name}")
    return items


def _blobs(value: object, count_max: int, size_max_bytes: int, what: str) -> tuple[bytes, ...]:
    blobs = shapes.items(value, count_max, what)
    return tuple(shapes.blob(each, size_max_bytes) for each in blobs)


def _prefix(value: object) -> str:
    if type(value) is not str or len(value) > PATH_NIBBLES or not _HEX.issuperset(value):
        raise MalformedMessageError("not the path to a node")
    return value


def _key(value: object) -> Key:
    space, key = shapes.array(value, 2, "a row's key")
    if type(space) is not int or not 0 <= space < len(STATE_SPACES):
        raise MalformedMessageError("not a space of the state")
    return STATE_SPACES[space], shapes.blob(key, KEY_SIZE_MAX)


SYNC_FRAMES: Final[Mapping[int, SyncEntry]] = {
    FETCH_EPOCHS: SyncEntry(
        "fetch-epochs",
        Receiver.STATE_SERVER,
        EPOCH_FETCH_SIZE_MAX_BYTES,
        FetchEpochLinks.from_frame,
    ),
    EPOCHS: SyncEntry("epochs", Receiver.EPOCH_SYNC, FRAME_SIZE_MAX_BYTES, EpochLinks.from_frame),
    FETCH_STATE: SyncEntry(
        "fetch-state", Receiver.STATE_SERVER, STATE_FETCH_SIZE_MAX_BYTES, FetchState.from_frame
    ),
    STATE: SyncEntry("state", Receiver.STATE_TRANSFER, FRAME_SIZE_MAX_BYTES, StateParts.from_frame),
    FETCH_HINTS: SyncEntry(
        "fetch-hints", Receiver.RELAY, HINT_FETCH_SIZE_MAX_BYTES, FetchHints.from_frame
    ),
    HINT: SyncEntry("hint", Receiver.LIGHT_PEER, HANDED_SIZE_MAX_BYTES, DutyHint.from_frame),
    AUDIT_HINT: SyncEntry(
        "audit-hint", Receiver.LIGHT_PEER, AUDIT_HINT_SIZE_MAX_BYTES, AuditHint.from_frame
    ),
    HAND_IN: SyncEntry("hand-in", Receiver.RELAY, HANDED_SIZE_MAX_BYTES, HandIn.from_frame),
    HANDED_IN: SyncEntry(
        "handed-in", Receiver.LIGHT_PEER, HINT_FETCH_SIZE_MAX_BYTES, HandedIn.from_frame
    ),
}
"""By the number that a frame begins with. None is one of PBFT's."""

"""Giving the state of a checkpoint to a peer that lags: what it asks for, and the answers.

The asker walks the authentication tree of a certified checkpoint downwards, so that it can check
each answer by itself and need not ask for what it has. We give nodes of our last checkpoint's tree,
and rows as they were then; and those of the few checkpoints before it that the tree has kept. Once
a checkpoint is too old we say so, and the asker, who hears of a newer certificate, aims at that:
only what differs is asked for again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest
from bftcluster.ledger.state.spaces import STATE_SPACES, Key, Space
from bftcluster.ledger.state.tree import before_key, node_key, stored_root
from bftcluster.ledger.state.tree_history import first_kept, kept_from, node_at, row_at
from bftcluster.ledger.state.tree_nodes import KEY_SIZE_MAX, PATH_NIBBLES
from bftcluster.limits import (
    FRAME_SIZE_MAX_BYTES,
    STATE_ANSWER_SIZE_BYTES,
    STATE_FETCH_SIZE_MAX_BYTES,
    STATE_ROW_SIZE_MAX_BYTES,
    STATE_WANTS_MAX,
)
from bftcluster.pbft import shapes

FETCH_STATE: Final = 21
STATE: Final = 22
"""Kinds of frames on the sync stream, beside those of PBFT."""
_HEX: Final = frozenset("0123456789abcdef")


class Source(Protocol):
    """Rows to read, of one moment or of several: whatever is read is checked."""

    def get(self, space: Space, key: bytes) -> bytes | None:
        """Return the value of one row."""
        ...

    def get_many(self, space: Space, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the rows that exist among at most ``STATE_WANTS_MAX`` keys."""
        ...

    def iterate(self, space: Space, after: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """Return up to ``limit`` rows with ``key > after``, ascending."""
        ...


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
        """Return the request in ``frame``.

        Raises:
            MalformedMessageError: There is none.
        """
        value = codec.decode(frame, size_max_bytes=STATE_FETCH_SIZE_MAX_BYTES)
        _, number, root, nodes, rows = shapes.array(value, 5, "a state fetch")
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
        value = codec.decode(frame, size_max_bytes=FRAME_SIZE_MAX_BYTES)
        _, number, root, nodes, rows = shapes.array(value, 5, "parts of a state")
        return cls(
            number=shapes.counter(number),
            root=shapes.digest(root),
            nodes=_blobs(nodes, "nodes"),
            rows=_blobs(rows, "rows"),
        )


def answer(store: Source, fetch: FetchState) -> StateParts:
    """Return what ``store``, which must stand still meanwhile, has of what is asked for."""
    root = stored_root(store.get)
    kept = kept_from(fetch.root, store.get)
    nodes: list[bytes] = []
    rows: list[bytes] = []
    size_bytes = 0
    if root == fetch.root or kept:
        root = fetch.root
        for prefix in fetch.nodes:
            node = _node(store, kept, prefix)
            size_bytes += 0 if node is None else len(node)
            if node is None or (nodes and size_bytes > STATE_ANSWER_SIZE_BYTES):
                break
            nodes.append(node)
        for space, key in fetch.rows:
            row = row_at_root(store, space, key, kept)
            size_bytes += 0 if row is None else len(row)
            if row is None or len(row) > STATE_ROW_SIZE_MAX_BYTES:
                break
            if (nodes or rows) and size_bytes > STATE_ANSWER_SIZE_BYTES:
                break
            rows.append(row)
    return StateParts(number=fetch.number, root=root, nodes=tuple(nodes), rows=tuple(rows))


def row_at_root(
    store: Source, space: Space, key: bytes, kept: Sequence[Digest] = ()
) -> bytes | None:
    """Return what a row of a checkpoint's state was then.

    Args:
        store: Where all is.
        space: The row's space.
        key: The row's key.
        kept: The roots of the checkpoint and of those between it and the last one; none for the
            last one.
    """
    name = before_key(space, key)
    earlier = first_kept(store.get, [row_at(root, name) for root in kept])
    before = store.get(Space.BEFORE, name) if earlier is None else earlier
    return store.get(space, key) if before is None else before


def _node(store: Source, kept: Sequence[Digest], prefix: str) -> bytes | None:
    key = node_key(prefix)
    earlier = first_kept(store.get, [node_at(root, key) for root in kept])
    return store.get(Space.TREE, key) if earlier is None else earlier


def _prefix(value: object) -> str:
    if type(value) is not str or len(value) > PATH_NIBBLES or not _HEX.issuperset(value):
        raise MalformedMessageError("not the path to a node")
    return value


def _key(value: object) -> Key:
    space, key = shapes.array(value, 2, "a row's key")
    if type(space) is not int or not 0 <= space < len(STATE_SPACES):
        raise MalformedMessageError("not a space of the state")
    return STATE_SPACES[space], shapes.blob(key, KEY_SIZE_MAX)


def _blobs(value: object, what: str) -> tuple[bytes, ...]:
    blobs = shapes.items(value, STATE_WANTS_MAX, what)
    return tuple(shapes.blob(each, FRAME_SIZE_MAX_BYTES) for each in blobs)

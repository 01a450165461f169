"""Gives the state of a checkpoint to a peer that lags, part after part.

The asker walks the authentication tree of a certified checkpoint downwards, so that it can check
each answer by itself and need not ask for what it has. We give nodes of our last checkpoint's tree,
and rows as they were then; and those of the few checkpoints before it that the tree has kept. Once
a checkpoint is too old we say so, and the asker, who hears of a newer certificate, aims at that:
only what differs is asked for again.
"""

from collections.abc import Sequence
from typing import Protocol

from bftcluster.ids import Digest
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.store import ManyRowsPort
from bftcluster.ledger.rows.tree import before_key, node_key, stored_root
from bftcluster.ledger.rows.tree_history import first_kept, kept_from, node_at, row_at
from bftcluster.limits import STATE_ANSWER_SIZE_BYTES, STATE_ROW_SIZE_MAX_BYTES
from bftcluster.sync.frames import FetchState, StateParts


class Source(ManyRowsPort, Protocol):
    """Rows to read, of one moment or of several: whatever is read is checked."""


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

"""The authentication tree over the whole state, kept up to date in batches.

Changes are hashed as they come and wait; a checkpoint takes all of them into the tree at once,
level by level downwards (so that storage can fetch many nodes at a time) and then upwards, so that
each node is hashed once. What waits is stored too, so that a restart between checkpoints loses
nothing. And so is what each row was at the checkpoint before it changed: whoever lags can be given
the state that a quorum certified, while ours moves on. All of that are rows of the tree's own
spaces.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from bftcluster.ids import Digest, Seq
from bftcluster.ledger.rows.spaces import Key, Rows, Space
from bftcluster.ledger.rows.store import StatePort, scan
from bftcluster.ledger.rows.tree_history import Earlier, Read
from bftcluster.ledger.rows.tree_nodes import (
    EMPTY_BRANCH,
    EMPTY_PAGE,
    EMPTY_SLOT,
    ENTRY_SIZE,
    GONE,
    HASH_SIZE,
    PAGE_ENTRIES_MAX,
    SLOT_SIZE,
    digest_of_node,
    digest_of_value,
    is_branch,
    nibble_of,
    node_of,
    page,
    path_of,
    record,
    records_in,
    records_of,
    slot,
    slot_count,
    slot_start,
)

_PENDING_PAGE: Final = 64
_ROOT: Final = ""
_HEX: Final = "0123456789abcdef"
Changes = list[tuple[str, bytes]]
"""Paths in hexadecimal, sorted, with their records; one whose digest is ``GONE`` deletes."""


class StateTree:
    """The tree's stored nodes, and the changes that the next root takes in."""

    def __init__(self, store: StatePort) -> None:
        self.keeps_earlier = False
        """Whether checkpoints from now on keep what they replace: somebody fetches a state."""
        self._store = store
        self._earlier = Earlier(store)
        self._nodes: dict[str, bytes | None] = {}
        """By prefix: nodes that changed since the last ``take_delta``."""
        self._loaded: dict[str, bytes] = {}
        self._waiting: dict[bytes, bytes] = {}
        self._unsaved: dict[bytes, bytes] = {}
        self._saved: list[bytes] = []
        """Keys of the stored rows of waiting changes."""
        self._before: dict[bytes, bytes] = {}
        """What rows were at the last root, by their keys in ``Space.BEFORE``; not stored yet."""
        self._kept = [key for key, _ in scan(store, Space.BEFORE, page_rows=_PENDING_PAGE)]
        """Those keys that are stored."""
        self._obsolete: list[Key] = []
        for key, value in scan(store, Space.TREE_PENDING, page_rows=_PENDING_PAGE):
            self._saved.append(key)
            self._waiting.update((each[:HASH_SIZE], each) for each in records_in(value))

    def absorb(self, dirty: Iterable[tuple[Space, Rows]], at_root: Read | None = None) -> None:
        """Take changed rows to be part of the next root.

        Args:
            dirty: The rows.
            at_root: Tells what a row was at the last root, for those that changed since only now;
                left out, the store does.
        """
        changes: dict[bytes, bytes] = {}
        first: list[Key] = []
        for space, rows in dirty:
            for key, value in rows.items():
                path = path_of(space, key)
                if path not in self._waiting:
                    first.append((space, key))
                digest = GONE if value is None else digest_of_value(value)
                changes[path] = record(path, digest, space, key)
        self._waiting.update(changes)
        self._unsaved.update(changes)
        self._store.prefetch(first)
        read = at_root or self._store.get
        for space, key in first:
            before = read(space, key)
            if before is not None:
                self._before[before_key(space, key)] = before

    def root(self) -> Digest:
        """Return the digest of the whole state as absorbed."""
        changes = sorted((path.hex(), entry) for path, entry in self._waiting.items())
        self._load(changes)
        node = self._node(_ROOT)
        count = _count(node)
        _, digest = self._rebuild(_ROOT, node, count, changes)
        was = digest_of_node(node_of(node))
        if not self.keeps_earlier:
            self._earlier.forget()
        elif was != digest:
            nodes = {node_key(prefix): each for prefix, each in self._loaded.items()}
            self._earlier.add(was, nodes, self._rows_before())
        self._loaded = {}
        self._waiting = {}
        self._unsaved = {}
        self._obsolete += [(Space.TREE_PENDING, key) for key in self._saved]
        self._obsolete += [(Space.BEFORE, key) for key in self._kept]
        self._saved, self._kept, self._before = [], [], {}
        return digest

    def take_delta(self, seq: Seq) -> dict[Key, bytes | None]:
        """Return the rows of the tree's spaces that changed; the caller flushes them.

        Args:
            seq: The last batch that was absorbed: names the row of what waits.
        """
        delta: dict[Key, bytes | None] = {
            (Space.TREE, node_key(prefix)): node for prefix, node in self._nodes.items()
        }
        delta.update((key, None) for key in self._obsolete)
        delta.update(((Space.BEFORE, key), value) for key, value in self._before.items())
        delta.update(self._earlier.take_delta())
        self._kept += self._before
        if self._unsaved:
            key = seq.to_bytes(8, "big")
            delta[Space.TREE_PENDING, key] = b"".join(self._unsaved.values())
            self._saved.append(key)
        self._nodes, self._unsaved, self._before, self._obsolete = {}, {}, {}, []
        return delta

    def _rows_before(self) -> dict[bytes, bytes]:
        """Return what rows were at the last root, of those that changed since."""
        self._store.prefetch([(Space.BEFORE, key) for key in self._kept])
        rows = dict(self._before)
        for key in self._kept:
            value = self._store.get(Space.BEFORE, key)
            assert value is not None, "what is noted as stored is stored"
            rows[key] = value
        return rows

    def _load(self, changes: Changes) -> None:
        """Bring every node that the changes pass through into memory, a level at a time."""
        frontier: list[tuple[str, Changes]] = [(_ROOT, changes)]
        while frontier:
            self._store.prefetch([(Space.TREE, node_key(prefix)) for prefix, _ in frontier])
            below: list[tuple[str, Changes]] = []
            for prefix, part in frontier:
                node = self._node(prefix)
                self._loaded[prefix] = node
                if is_branch(node):
                    below += [
                        (prefix + nibble, group)
                        for nibble, group in _split(part, len(prefix))
                        if slot_count(node, int(nibble, 16))
                    ]
            frontier = below

    def _node(self, prefix: str) -> bytes:
        """Return the node with this prefix of the path, as of the last root."""
        node = self._loaded.get(prefix)
        if node is None:
            node = self._nodes.get(prefix) or self._store.get(Space.TREE, node_key(prefix))
        return node or EMPTY_PAGE

    def _rebuild(
        self, prefix: str, node: bytes, count: int, changes: Changes
    ) -> tuple[int, Digest]:
        """Apply changes below one node; return its new count of entries and its digest."""
        if not is_branch(node):
            return self._rebuild_page(prefix, node, changes)
        branch = bytearray(node)
        depth = len(prefix)
        for nibble, group in _split(changes, depth):
            number = int(nibble, 16)
            start = slot_start(number)
            was = slot_count(branch, number)
            child = prefix + nibble
            below = self._node(child) if was else EMPTY_PAGE
            becomes, digest = self._rebuild(child, below, was, group)
            branch[start : start + SLOT_SIZE] = slot(becomes, digest) if becomes else EMPTY_SLOT
            count += becomes - was
        if count <= PAGE_ENTRIES_MAX:
            return self._put(prefix, page(self._collapse(prefix, branch)), count)
        return self._put(prefix, bytes(branch), count)

    def _rebuild_page(self, prefix: str, node: bytes, changes: Changes) -> tuple[int, Digest]:
        records = {each[:HASH_SIZE]: each for each in records_of(node)}
        for _, each in changes:
            if each[HASH_SIZE:ENTRY_SIZE] == GONE:
                records.pop(each[:HASH_SIZE], None)
            else:
                records[each[:HASH_SIZE]] = each
        return self._build(prefix, sorted(records.values()))

    def _build(self, prefix: str, records: list[bytes]) -> tuple[int, Digest]:
        """Make the node of these records, and whatever is below it, from nothing."""
        count = len(records)
        if count <= PAGE_ENTRIES_MAX:
            return self._put(prefix, page(records), count)
        branch = bytearray(EMPTY_BRANCH)
        depth = len(prefix)
        for number, group in groupby(records, key=lambda each: nibble_of(each, depth)):
            below, digest = self._build(prefix + _HEX[number], list(group))
            start = slot_start(number)
            branch[start : start + SLOT_SIZE] = slot(below, digest)
        return self._put(prefix, bytes(branch), count)

    def _collapse(self, prefix: str, branch: bytearray) -> list[bytes]:
        """Remove the children of a branch that has become a page; return their records, in order.

        With so few entries below it, all its children are pages.
        """
        records: list[bytes] = []
        for number, nibble in enumerate(_HEX):
            if slot_count(branch, number):
                child = prefix + nibble
                node = self._nodes.get(child) or self._node(child)
                assert not is_branch(node), "a child has no more entries than its parent"
                self._loaded.setdefault(child, node)
                records += records_of(node)
                self._nodes[child] = None
        return records

    def _put(self, prefix: str, node: bytes, count: int) -> tuple[int, Digest]:
        """Store a node; an empty one is none, but for the root."""
        self._nodes[prefix] = node if count or prefix == _ROOT else None
        return count, digest_of_node(node_of(node))


def node_key(prefix: str) -> bytes:
    """Return the key of a node's row: ``/`` and the path to it in hexadecimal."""
    return b"/" + prefix.encode()


def stored_root(get: Read) -> Digest:
    """Return the state root of the last checkpoint, out of the stored tree."""
    return digest_of_node(node_of(get(Space.TREE, node_key(_ROOT)) or EMPTY_PAGE))


def before_key(space: Space, key: bytes) -> bytes:
    """Return the key under which ``Space.BEFORE`` has what a row was at the last root."""
    return bytes((space,)) + key


def _split(changes: Changes, depth: int) -> list[tuple[str, Changes]]:
    """Return the changes by their next four bits, in order."""
    return [(nibble, list(group)) for nibble, group in groupby(changes, lambda c: c[0][depth])]


def _count(node: bytes) -> int:
    """Return how many entries are below a branch; a page is counted when it is rebuilt."""
    return sum(slot_count(node, nibble) for nibble in range(16)) if is_branch(node) else 0

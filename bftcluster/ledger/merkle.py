"""The authentication tree over the whole state, kept up to date in batches.

Changes are hashed as they come and wait; a checkpoint takes all of them into the tree at once,
level by level downwards (so that storage can fetch many nodes at a time) and then upwards, so that
each node is hashed once. What waits is stored too, so that a restart between checkpoints loses
nothing. Nodes and waiting changes are rows of the tree's own spaces.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from bftcluster.ids import Digest, Seq
from bftcluster.ledger.ports import StatePort
from bftcluster.ledger.spaces import Key, Rows, Space
from bftcluster.ledger.tree_nodes import (
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
    entries_of,
    is_branch,
    nibble_of,
    page,
    path_of,
    slot,
    slot_count,
    slot_start,
)

_PENDING_PAGE: Final = 64
_ROOT: Final = ""
_HEX: Final = "0123456789abcdef"
Changes = list[tuple[str, bytes]]
"""Paths in hexadecimal, sorted, with their entries; an entry that ends in ``GONE`` deletes."""


class StateTree:
    """The tree's stored nodes, and the changes that the next root takes in."""

    def __init__(self, store: StatePort) -> None:
        self._store = store
        self._nodes: dict[str, bytes | None] = {}
        """By prefix: nodes that changed since the last ``take_delta``."""
        self._loaded: dict[str, bytes] = {}
        self._waiting: dict[bytes, bytes] = {}
        self._unsaved: dict[bytes, bytes] = {}
        self._saved: list[bytes] = []
        """Keys of the stored rows of waiting changes."""
        self._obsolete: list[bytes] = []
        after = b""
        while rows := store.iterate(Space.TREE_PENDING, after, _PENDING_PAGE):
            for key, value in rows:
                self._saved.append(key)
                for start in range(0, len(value), ENTRY_SIZE):
                    entry = value[start : start + ENTRY_SIZE]
                    self._waiting[entry[:HASH_SIZE]] = entry
            after = rows[-1][0]

    def absorb(self, dirty: Iterable[tuple[Space, Rows]]) -> None:
        """Take changed rows to be part of the next root."""
        changes: dict[bytes, bytes] = {}
        for space, rows in dirty:
            for key, value in rows.items():
                path = path_of(space, key)
                changes[path] = path + (GONE if value is None else digest_of_value(value))
        self._waiting.update(changes)
        self._unsaved.update(changes)

    def root(self) -> Digest:
        """Return the digest of the whole state as absorbed."""
        changes = sorted((path.hex(), entry) for path, entry in self._waiting.items())
        self._load(changes)
        node = self._node(_ROOT)
        count = _count(node)
        _, digest = self._rebuild(_ROOT, node, count, changes)
        self._loaded = {}
        self._waiting = {}
        self._unsaved = {}
        self._obsolete += self._saved
        self._saved = []
        return digest

    def take_delta(self, seq: Seq) -> dict[Key, bytes | None]:
        """Return the rows of the tree's spaces that changed; the caller flushes them.

        Args:
            seq: The last batch that was absorbed: names the row of what waits.
        """
        delta: dict[Key, bytes | None] = {
            (Space.TREE, node_key(prefix)): node for prefix, node in self._nodes.items()
        }
        delta.update(((Space.TREE_PENDING, key), None) for key in self._obsolete)
        if self._unsaved:
            key = seq.to_bytes(8, "big")
            delta[Space.TREE_PENDING, key] = b"".join(self._unsaved.values())
            self._saved.append(key)
        self._nodes, self._unsaved, self._obsolete = {}, {}, []
        return delta

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
        entries = {entry[:HASH_SIZE]: entry for entry in entries_of(node)}
        for _, entry in changes:
            if entry[HASH_SIZE:] == GONE:
                entries.pop(entry[:HASH_SIZE], None)
            else:
                entries[entry[:HASH_SIZE]] = entry
        return self._build(prefix, sorted(entries.values()))

    def _build(self, prefix: str, entries: list[bytes]) -> tuple[int, Digest]:
        """Make the node of these entries, and whatever is below it, from nothing."""
        count = len(entries)
        if count <= PAGE_ENTRIES_MAX:
            return self._put(prefix, page(entries), count)
        branch = bytearray(EMPTY_BRANCH)
        depth = len(prefix)
        for number, group in groupby(entries, key=lambda entry: nibble_of(entry, depth)):
            below, digest = self._build(prefix + _HEX[number], list(group))
            start = slot_start(number)
            branch[start : start + SLOT_SIZE] = slot(below, digest)
        return self._put(prefix, bytes(branch), count)

    def _collapse(self, prefix: str, branch: bytearray) -> list[bytes]:
        """Remove the children of a branch that has become a page; return their entries, in order.

        With so few entries below it, all its children are pages.
        """
        entries: list[bytes] = []
        for number, nibble in enumerate(_HEX):
            if slot_count(branch, number):
                child = prefix + nibble
                node = self._nodes.get(child) or self._node(child)
                assert not is_branch(node), "a child has no more entries than its parent"
                entries += entries_of(node)
                self._nodes[child] = None
        return entries

    def _put(self, prefix: str, node: bytes, count: int) -> tuple[int, Digest]:
        """Store a node; an empty one is none, but for the root."""
        self._nodes[prefix] = node if count or prefix == _ROOT else None
        return count, digest_of_node(node)


def node_key(prefix: str) -> bytes:
    """Return the key of a node's row: ``/`` and the path to it in hexadecimal."""
    return b"/" + prefix.encode()


def _split(changes: Changes, depth: int) -> list[tuple[str, Changes]]:
    """Return the changes by their next four bits, in order."""
    return [(nibble, list(group)) for nibble, group in groupby(changes, lambda c: c[0][depth])]


def _count(node: bytes) -> int:
    """Return how many entries are below a branch; a page is counted when it is rebuilt."""
    return sum(slot_count(node, nibble) for nibble in range(16)) if is_branch(node) else 0

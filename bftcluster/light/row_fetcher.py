"""Fetches single rows of a certified state, with the nodes of the tree that prove them.

The asker descends from the root that a quorum certified, and checks each node by the digest that
its parent names: what a relay sends is right, or is noticed. What is known by its digest is not
asked for again, so a newer state costs what changed on the paths to the rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bftcluster.ids import Digest
from bftcluster.ledger.rows.spaces import Key
from bftcluster.ledger.rows.tree_nodes import (
    ENTRY_SIZE,
    HASH_SIZE,
    digest_of_node,
    digest_of_value,
    entries_of,
    is_branch,
    is_well_formed,
    nibble_of,
    node_of,
    path_of,
    slot_count,
    slot_digest,
)
from bftcluster.limits import STATE_WANTS_MAX
from bftcluster.sync.frames import StateParts


@dataclass(frozen=True, slots=True, kw_only=True)
class RowQuestion:
    """What one request asks for."""

    nodes: tuple[tuple[str, Digest], ...]
    """By their paths, with the digests they must have."""
    rows: tuple[tuple[Key, bytes], ...]
    """With the digests that their values must have."""


class RowFetcher:
    """Knows which nodes and rows are missing, and what an answer proves."""

    def __init__(self) -> None:
        self.rows: dict[Key, bytes | None] = {}
        """What was found, of the rows that are wanted; ``None`` is proven to be absent."""
        self._root: Digest | None = None
        self._open: list[Key] = []
        """Wanted rows that were not found yet."""
        self._nodes: dict[bytes, bytes] = {}
        """By digest, as they are hashed."""
        self._values: dict[bytes, bytes] = {}
        """By digest."""
        self._used: set[bytes] = set()
        """Digests of nodes and values on the way to rows of this root."""

    @property
    def is_complete(self) -> bool:
        """Whether every wanted row was found, or proven to be absent."""
        return not self._open

    def remember(self, values: Iterable[bytes]) -> None:
        """Take rows that need not be fetched if they are still the same."""
        self._values.update((digest_of_value(value), value) for value in values)

    def aim(self, root: Digest) -> None:
        """Look at the state with this certified root from now on, and want nothing of it yet."""
        self._root = root
        self._open = []
        self._used = set()
        self.rows = {}

    def want(self, keys: Iterable[Key]) -> None:
        """Want these rows as well."""
        self._open += [key for key in keys if key not in self.rows]
        self._open = [key for key in self._open if not self._is_found(key)]

    def forget_the_rest(self) -> None:
        """Keep, of what is known by digest, what led to rows of this root."""
        self._nodes = {digest: node for digest, node in self._nodes.items() if digest in self._used}
        self._values = {
            digest: value for digest, value in self._values.items() if digest in self._used
        }

    def question(self) -> RowQuestion:
        """Return what to ask for next, as much as one request may; nothing if all is found."""
        nodes: dict[str, Digest] = {}
        rows: dict[Key, bytes] = {}
        for key in self._open:
            prefix, digest, entry = self._descended(key)
            if entry is not None and len(rows) < STATE_WANTS_MAX:
                rows[key] = entry
            elif entry is None and len(nodes) < STATE_WANTS_MAX:
                nodes[prefix] = digest
        return RowQuestion(nodes=tuple(nodes.items()), rows=tuple(rows.items()))

    def take(self, asked: RowQuestion, parts: StateParts) -> bool:
        """Take in what is right in an answer; return whether all of it is, and there is any."""
        is_right = len(parts.nodes) <= len(asked.nodes) and len(parts.rows) <= len(asked.rows)
        if not is_right or not (parts.nodes or parts.rows):
            return False
        for (_, digest), stored in zip(asked.nodes, parts.nodes, strict=False):
            if not is_well_formed(stored) or digest_of_node(node_of(stored)) != digest:
                return False
            self._nodes[digest] = node_of(stored)
        for (_, wanted), value in zip(asked.rows, parts.rows, strict=False):
            if digest_of_value(value) != wanted:
                return False
            self._values[wanted] = value
        self._open = [key for key in self._open if not self._is_found(key)]
        return True

    def _is_found(self, key: Key) -> bool:
        """Look how far what is known leads to a row; note it if that is all the way."""
        _, digest, entry = self._descended(key)
        if entry is None and digest in self._nodes:
            self.rows[key] = None
            return True
        if entry is None or entry not in self._values:
            return False
        self._used.add(entry)
        self.rows[key] = self._values[entry]
        return True

    def _descended(self, key: Key) -> tuple[str, Digest, bytes | None]:
        """Return where the known nodes end on the path to a row, and what is known there.

        Returns:
            The path to the last node, its digest, and the digest of the row's value if that node is
            the page that has it. A known node without one is the end: there is no such row.
        """
        assert self._root is not None, "rows are of a state"
        path = path_of(*key)
        prefix, digest = "", self._root
        while (node := self._nodes.get(digest)) is not None:
            self._used.add(digest)
            if not is_branch(node):
                return prefix, digest, _value_digest(node, path)
            nibble = nibble_of(path, len(prefix))
            if not slot_count(node, nibble):
                return prefix, digest, None
            prefix += format(nibble, "x")
            digest = Digest(slot_digest(node, nibble))
        return prefix, digest, None


def _value_digest(page: bytes, path: bytes) -> bytes | None:
    """Return the digest of the value that a page has at a path; None if there is no such row."""
    for entry in entries_of(page):
        if entry[:HASH_SIZE] == path:
            return bytes(entry[HASH_SIZE:ENTRY_SIZE])
    return None

"""Proves what a row holds, or that it is absent, to somebody who knows only a certified root."""

from dataclasses import dataclass

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.store import StatePort
from bftcluster.ledger.rows.tree import node_key
from bftcluster.ledger.rows.tree_nodes import (
    BRANCH_SIZE,
    EMPTY_PAGE,
    ENTRY_SIZE,
    HASH_SIZE,
    PAGE_ENTRIES_MAX,
    digest_of_node,
    digest_of_value,
    entries_of,
    is_branch,
    nibble_of,
    node_of,
    path_of,
    slot_count,
    slot_digest,
)
from bftcluster.limits import PROOF_SIZE_MAX_BYTES


@dataclass(frozen=True, slots=True)
class Proof:
    """The nodes from the root to where a row is, or would be."""

    nodes: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        """Return the canonical encoding."""
        return codec.encode(self.nodes)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Proof":
        """Return the proof that ``data`` encodes.

        Raises:
            MalformedMessageError: It encodes none.
        """
        nodes = codec.decode(data, size_max_bytes=PROOF_SIZE_MAX_BYTES)
        if type(nodes) is not list or not all(_is_node(node) for node in nodes):
            raise MalformedMessageError("a proof is an array of nodes")
        return cls(tuple(nodes))


def prove(store: StatePort, space: Space, key: bytes) -> Proof:
    """Return the proof of a row's value or absence, as of the last checkpoint."""
    path = path_of(space, key)
    prefix = ""
    nodes = [node_of(store.get(Space.TREE, node_key(prefix)) or EMPTY_PAGE)]
    while is_branch(nodes[-1]):
        nibble = nibble_of(path, len(prefix))
        if not slot_count(nodes[-1], nibble):
            break
        prefix += format(nibble, "x")
        node = store.get(Space.TREE, node_key(prefix))
        assert node is not None, "a branch counts only what is there"
        nodes.append(node_of(node))
    return Proof(tuple(nodes))


def proves(root: Digest, space: Space, key: bytes, value: bytes | None, proof: Proof) -> bool:
    """Return whether ``proof`` shows that the state with this root has this row.

    Args:
        root: From a checkpoint certificate.
        space: The row's space.
        key: The row's key.
        value: The row's value; ``None`` asks for its absence.
        proof: Untrusted.
    """
    path = path_of(space, key)
    expected: bytes = root
    for depth, node in enumerate(proof.nodes):
        if digest_of_node(node) != expected:
            return False
        is_last = depth == len(proof.nodes) - 1
        if not is_branch(node):
            return is_last and _page_shows(node, path, value)
        nibble = nibble_of(path, depth)
        if not slot_count(node, nibble):
            return is_last and value is None
        expected = slot_digest(node, nibble)
    return False


def _page_shows(node: bytes, path: bytes, value: bytes | None) -> bool:
    for entry in entries_of(node):
        if entry[:HASH_SIZE] == path:
            return value is not None and entry[HASH_SIZE:] == digest_of_value(value)
    return value is None


def _is_node(node: object) -> bool:
    if type(node) is not bytes or not node or node[0] > 1:
        return False
    if is_branch(node):
        return len(node) == BRANCH_SIZE
    size = len(node) - 1
    return size % ENTRY_SIZE == 0 and size <= PAGE_ENTRIES_MAX * ENTRY_SIZE

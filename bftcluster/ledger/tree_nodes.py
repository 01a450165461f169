"""The nodes of the authentication tree, as bytes: what is hashed, stored and sent in proofs.

A row of the state is an entry: SHA-256 of its space and key (the path), then SHA-256 of its value.
A node with up to 32 entries below it is a page, which lists them in order; any other is a branch on
the next four bits of the path, with the count and the digest of each of 16 children. So the shape
depends on the contents only. Rows, values and nodes are hashed under different tags, so that none
passes for another (RFC 6962, section 2.1, does the same).
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from bftcluster.ids import Digest
from bftcluster.ledger.spaces import Space

PAGE_ENTRIES_MAX: Final = 32
HASH_SIZE: Final = 32
ENTRY_SIZE: Final = 2 * HASH_SIZE
SLOT_SIZE: Final = 8 + HASH_SIZE
BRANCH_SIZE: Final = 1 + 16 * SLOT_SIZE
EMPTY_SLOT: Final = bytes(SLOT_SIZE)
GONE: Final = bytes(HASH_SIZE)
"""In place of a value's digest: the row was deleted."""

_PAGE: Final = 0
_BRANCH: Final = 1
EMPTY_PAGE: Final = bytes((_PAGE,))
EMPTY_BRANCH: Final = bytes((_BRANCH,)) + 16 * EMPTY_SLOT
_key_hasher: Final = hashlib.sha256(b"bftcluster/state/key/v1\x00")
_value_hasher: Final = hashlib.sha256(b"bftcluster/state/value/v1\x00")
_node_hasher: Final = hashlib.sha256(b"bftcluster/state/node/v1\x00")


def path_of(space: Space, key: bytes) -> bytes:
    """Return where a row is in the tree: 32 bytes, four bits a level."""
    hasher = _key_hasher.copy()
    hasher.update(bytes((space,)) + key)
    return hasher.digest()


def digest_of_value(value: bytes) -> bytes:
    """Return what the tree holds of a row's value."""
    hasher = _value_hasher.copy()
    hasher.update(value)
    return hasher.digest()


def digest_of_node(node: bytes) -> Digest:
    """Return the digest by which a node's parent names it; the root's is the state root."""
    hasher = _node_hasher.copy()
    hasher.update(node)
    return Digest(hasher.digest())


def is_branch(node: bytes) -> bool:
    """Return whether ``node`` is a branch, not a page."""
    return node[0] == _BRANCH


def page(entries: Iterable[bytes]) -> bytes:
    """Return the page of these entries, which are in order."""
    return EMPTY_PAGE + b"".join(entries)


def entries_of(node: bytes) -> list[bytes]:
    """Return the entries of a page, in order."""
    return [node[start : start + ENTRY_SIZE] for start in range(1, len(node), ENTRY_SIZE)]


def slot(count: int, digest: bytes) -> bytes:
    """Return what a branch says about a child with ``count`` entries below it."""
    return count.to_bytes(8, "big") + digest


def slot_start(nibble: int) -> int:
    """Return where a branch's slot of one child begins."""
    return 1 + nibble * SLOT_SIZE


def slot_count(branch: bytes | bytearray, nibble: int) -> int:
    """Return how many entries are below a child."""
    start = 1 + nibble * SLOT_SIZE
    return int.from_bytes(branch[start : start + 8], "big")


def slot_digest(branch: bytes, nibble: int) -> bytes:
    """Return a child's digest; zeros if it has no entries."""
    start = 1 + nibble * SLOT_SIZE + 8
    return branch[start : start + HASH_SIZE]


def nibble_of(path: bytes, depth: int) -> int:
    """Return the four bits of a path that choose the child at ``depth``."""
    byte = path[depth >> 1]
    return byte & 15 if depth & 1 else byte >> 4

"""The nodes of the authentication tree, as bytes: what is hashed, stored and sent in proofs.

A row of the state is an entry: SHA-256 of its space and key (the path), then SHA-256 of its value.
A node with up to 32 entries below it is a page, which lists them in order; any other is a branch on
the next four bits of the path, with the count and the digest of each of 16 children. So the shape
depends on the contents only. Rows, values and nodes are hashed under different tags, so that none
passes for another (RFC 6962, section 2.1, does the same).

A stored page also says which rows its entries are, so that whoever has the tree finds the rows: its
records, an entry with the row's space and key each. These are not hashed, for the path commits to
them already.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from bftcluster.ids import Digest
from bftcluster.ledger.rows.spaces import Key, Space

PAGE_ENTRIES_MAX: Final = 32
HASH_SIZE: Final = 32
ENTRY_SIZE: Final = 2 * HASH_SIZE
SLOT_SIZE: Final = 8 + HASH_SIZE
BRANCH_SIZE: Final = 1 + 16 * SLOT_SIZE
EMPTY_SLOT: Final = bytes(SLOT_SIZE)
GONE: Final = bytes(HASH_SIZE)
"""In place of a value's digest: the row was deleted."""
KEY_SIZE_MAX: Final = 255
PATH_NIBBLES: Final = 2 * HASH_SIZE

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
    """Return the digest by which a node's parent names it; the root's is the state root.

    Args:
        node: As it is hashed: see ``node_of``.
    """
    hasher = _node_hasher.copy()
    hasher.update(node)
    return Digest(hasher.digest())


def is_branch(node: bytes) -> bool:
    """Return whether ``node`` is a branch, not a page."""
    return node[0] == _BRANCH


def record(path: bytes, digest: bytes, space: Space, key: bytes) -> bytes:
    """Return the record of a row; sorted, records are in the order of their paths."""
    assert len(key) <= KEY_SIZE_MAX, "the length of a key is one byte"
    return path + digest + bytes((space, len(key))) + key


def records_in(data: bytes) -> Iterator[bytes]:
    """Yield the records that ``data`` is the concatenation of."""
    start = 0
    while start < len(data):
        end = start + ENTRY_SIZE + 2 + data[start + ENTRY_SIZE + 1]
        yield data[start:end]
        start = end


def page(records: Sequence[bytes]) -> bytes:
    """Return the stored page of these records, which are in order.

    First the node that is hashed, then the rest of each record, then how many they are.
    """
    if not records:
        return EMPTY_PAGE
    entries = b"".join([each[:ENTRY_SIZE] for each in records])
    rows = b"".join([each[ENTRY_SIZE:] for each in records])
    return EMPTY_PAGE + entries + rows + bytes((len(records),))


def node_of(stored: bytes) -> bytes:
    """Return the node that is hashed out of what is stored for it."""
    if is_branch(stored) or stored == EMPTY_PAGE:
        return stored
    return stored[: 1 + stored[-1] * ENTRY_SIZE]


def records_of(stored: bytes) -> list[bytes]:
    """Return the records of a stored page, in order."""
    if stored == EMPTY_PAGE:
        return []
    entries_end = start = 1 + stored[-1] * ENTRY_SIZE
    found = []
    for entry in range(1, entries_end, ENTRY_SIZE):
        end = start + 2 + stored[start + 1]
        found.append(stored[entry : entry + ENTRY_SIZE] + stored[start:end])
        start = end
    return found


def row_of(record: bytes) -> Key:
    """Return which row a record speaks of."""
    return Space(record[ENTRY_SIZE]), record[ENTRY_SIZE + 2 :]


def is_well_formed(stored: bytes) -> bool:
    """Return whether bytes of a stranger are a branch, or a page whose keys lead to its paths."""
    if not stored or stored[0] > _BRANCH:
        return False
    if is_branch(stored):
        return len(stored) == BRANCH_SIZE
    if stored[-1] > PAGE_ENTRIES_MAX or len(stored) < 1 + stored[-1] * (ENTRY_SIZE + 2):
        return False
    try:
        records = records_of(stored)
        is_whole = page(records) == stored
        return is_whole and all(each[:HASH_SIZE] == path_of(*row_of(each)) for each in records)
    except (IndexError, ValueError):
        return False


def entries_of(node: bytes) -> list[bytes]:
    """Return the entries of a page as it is hashed, in order."""
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

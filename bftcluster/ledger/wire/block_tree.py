"""The blocks of a pin in one hash: a Merkle tree over their CIDs, in the order of a walk.

Who knows the root checks that a CID is the one at an index with twenty hashes at most. The tree is
that of RFC 6962, 2.1: leaves and inner nodes are hashed apart, and a tree of n leaves splits at the
largest power of two below n, so that no two lists of one length have one root.

The order is that of ``blocks.dag.walk``: each block once, parents before children, as first linked.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bftcluster.cid import Cid
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest
from bftcluster.limits import DIGEST_SIZE_BYTES, PIN_BLOCKS_MAX
from bftcluster.shell_limits import BLOCK_SIZE_MAX_BYTES
from bftcluster.signing.wire import check_array, check_size

PATH_MAX: Final = (PIN_BLOCKS_MAX - 1).bit_length()
"""Hashes in the longest path."""
_LEAF: Final = b"bftcluster/blocks/leaf/v1\x00"
_NODE: Final = b"bftcluster/blocks/node/v1\x00"
_SHAPE: Final[list[type]] = [int, int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class PinContents:
    """What is behind a pin, as far as its blocks tell.

    Raises:
        MalformedMessageError: On construction, if no blocks could be so.
    """

    size_bytes: int
    """Of the blocks, each counted once: what a holder needs."""
    blocks: int
    """How many there are: the leaves of the tree."""
    root: Digest

    def __post_init__(self) -> None:
        if not 1 <= self.blocks <= PIN_BLOCKS_MAX:
            raise MalformedMessageError(f"a pin names 1 to {PIN_BLOCKS_MAX} blocks")
        if not 0 <= self.size_bytes <= self.blocks * BLOCK_SIZE_MAX_BYTES:
            raise MalformedMessageError(f"{self.blocks} blocks are not of {self.size_bytes} bytes")
        check_size(self.root, DIGEST_SIZE_BYTES, "a root of blocks")


def contents_to_wire(contents: PinContents | None) -> list[object]:
    """Return what is encoded; an empty list if nothing is known."""
    return [] if contents is None else [contents.size_bytes, contents.blocks, contents.root]


def contents_from_wire(items: list[object]) -> PinContents | None:
    """Return what a decoded array stands for.

    Raises:
        MalformedMessageError: It stands for nothing.
    """
    if not items:
        return None
    size_bytes, blocks, root = check_array(items, _SHAPE, "a pin's contents")
    return PinContents(size_bytes=size_bytes, blocks=blocks, root=Digest(root))


def root_of(cids: Iterable[Cid]) -> Digest:
    """Return the root over at least one CID; takes memory for one path."""
    peaks: list[tuple[int, bytes]] = []
    for cid in cids:
        height, node = 0, _leaf(cid)
        while peaks and peaks[-1][0] == height:
            node = _node(peaks.pop()[1], node)
            height += 1
        peaks.append((height, node))
    assert peaks, "there is a block"
    _, root = peaks.pop()
    while peaks:
        root = _node(peaks.pop()[1], root)
    return Digest(root)


def path_of(cids: Sequence[Cid], index: int) -> tuple[Digest, ...]:
    """Return what proves the CID at ``index``, from the leaf to the root: ``PATH_MAX`` at most."""
    assert 0 <= index < len(cids) <= PIN_BLOCKS_MAX, "there is such a block"
    path: list[Digest] = []
    start, end = 0, len(cids)
    while end - start > 1:
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        if index < middle:
            path.append(root_of(cids[middle:end]))
            end = middle
        else:
            path.append(root_of(cids[start:middle]))
            start = middle
    return tuple(reversed(path))


def is_at(contents: PinContents, index: int, cid: Cid, path: Sequence[bytes]) -> bool:
    """Return whether ``path`` proves that ``cid`` is the block at ``index``. Total: never raises.

    RFC 6962-bis, 2.1.3.2.
    """
    last = contents.blocks - 1
    if not 0 <= index <= last or len(path) > PATH_MAX:
        return False
    node = _leaf(cid)
    for sibling in path:
        if len(sibling) != DIGEST_SIZE_BYTES or not last:
            return False
        if index & 1 or index == last:
            node = _node(sibling, node)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            node = _node(node, sibling)
        index >>= 1
        last >>= 1
    return not last and node == contents.root


def _leaf(cid: bytes) -> bytes:
    return hashlib.sha256(_LEAF + cid).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()

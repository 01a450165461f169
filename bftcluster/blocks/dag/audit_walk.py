"""Which blocks an audit is about: a path from the root of a DAG down, with a link drawn at each.

All who have the blocks come to the same ones, and nobody who lacks one of them comes further. Links
are drawn alike, whatever is said to be behind them: only who uploaded it says how much that is.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from bftcluster.blocks.dag.walk import linked
from bftcluster.blocks.formats.dag_pb import DagLink
from bftcluster.blocks.formats.links import may_link, stored
from bftcluster.blocks.port import BlockSource
from bftcluster.cid import Cid
from bftcluster.errors import MalformedContentError
from bftcluster.ids import Digest
from bftcluster.ledger.wire.audit_requests import answer_digest, link_at

PATH_BLOCKS_MAX: Final = 64
"""A path ends there: no file of our importer is a tenth as deep."""


def first_of_path(root: Cid, seed: bytes) -> Cid | None:
    """Return the first block of the path; None if the root's CID carries all there is."""
    try:
        return _drawn(seed, 0, [link.cid for link in stored((DagLink(cid=root),))])
    except MalformedContentError:
        return None


def next_of_path(cid: Cid, data: bytes, seed: bytes, depth: int) -> Cid | None:
    """Return the block of the path behind one of them; None if it ends there.

    What cannot be read as the codec says ends a path, for everybody alike.

    Args:
        cid: The last block.
        data: Its bytes, verified.
        seed: The audit's.
        depth: How many blocks the path has so far.
    """
    if depth >= PATH_BLOCKS_MAX or not may_link(cid):
        return None
    try:
        return _drawn(seed, depth, linked(cid, data))
    except MalformedContentError:
        return None


def path_digest(source: BlockSource, root: Cid, seed: bytes) -> Digest:
    """Return what there is to answer, out of our own blocks.

    Raises:
        BlockNotFoundError: A block of the path is not here.
        CidMismatchError: A block is damaged.
    """
    return answer_digest(seed, _blocks(source, root, seed))


def _blocks(source: BlockSource, root: Cid, seed: bytes) -> Iterator[bytes]:
    cid, depth = first_of_path(root, seed), 0
    while cid is not None:
        data = source.get(cid)
        yield data
        depth += 1
        cid = next_of_path(cid, data, seed, depth)


def _drawn(seed: bytes, depth: int, cids: Iterable[Cid]) -> Cid | None:
    found = list(cids)
    return found[link_at(seed, depth, len(found))] if found else None

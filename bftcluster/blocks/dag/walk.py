"""Walks over DAGs, each block once, parents before children, without recursion."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.formats.dag_pb import DagLink
from bftcluster.blocks.formats.links import links_of, may_link, stored
from bftcluster.blocks.port import BlockSource
from bftcluster.cid import Cid, text
from bftcluster.errors import BlockNotFoundError, MalformedContentError
from bftcluster.shell_limits import DAG_BLOCKS_MAX, WALK_PENDING_MAX

_T = TypeVar("_T")

_BATCH_BLOCKS: Final = 512
_BATCH_READ_BYTES: Final = 256 << 10
"""Blocks with links that are read for a batch, the last one apart: so each comes soon."""


def walk(source: BlockSource, root: Cid) -> Iterator[Block]:
    """Yield every block of a DAG once, parents first.

    Raises:
        BlockNotFoundError: A block is not in ``source``.
        MalformedContentError: A block whose links cannot be read, or too many blocks.
    """
    for cid, data in _visit(source, root):
        yield Block(cid, source.get(cid) if data is None else data)


def held_cids(source: BlockSource, root: Cid) -> Iterator[list[Cid]]:
    """Yield the CIDs of a whole DAG in batches, parents first, once it is sure that they are here.

    Only blocks that may have links are read.

    Raises:
        BlockNotFoundError: A block is not in ``source``.
        MalformedContentError: A block whose links cannot be read, or too many blocks.
    """
    for cids in _cid_batches(_visit(source, root)):
        for cid, held in zip(cids, source.has_many(cids), strict=True):
            if not held:
                raise BlockNotFoundError(f"the block {text(cid)} is not here")
        yield cids


def linked(cid: Cid, data: bytes) -> Iterator[Cid]:
    """Yield the stored blocks that a block links to, in order.

    Raises:
        MalformedContentError: Its links cannot be read.
    """
    for link in stored(links_of(cid, data)):
        yield link.cid


def _visit(source: BlockSource, root: Cid) -> Iterator[tuple[Cid, bytes | None]]:
    def look(cid: Cid) -> tuple[bytes | None, Iterable[Cid]]:
        data = source.get(cid) if may_link(cid) else None
        return data, () if data is None else linked(cid, data)

    return in_order(root, look)


def _cid_batches(visited: Iterable[tuple[Cid, bytes | None]]) -> Iterator[list[Cid]]:
    batch: list[Cid] = []
    read_bytes = 0
    for cid, data in visited:
        batch.append(cid)
        read_bytes += len(data or b"")
        if len(batch) == _BATCH_BLOCKS or read_bytes >= _BATCH_READ_BYTES:
            yield batch
            batch, read_bytes = [], 0
    if batch:
        yield batch


def batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield the items in lists of ``size``, the last one shorter."""
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def in_order(
    root: Cid, look: Callable[[Cid], tuple[_T, Iterable[Cid]]]
) -> Iterator[tuple[Cid, _T]]:
    """Yield the blocks of a DAG as every walk comes to them, with what ``look`` says of each.

    A pin's root over its blocks binds this order, in all versions.

    Args:
        root: Where the DAG begins.
        look: Returns anything about a block, and the stored blocks that it links to, in order; the
            links are asked for only after the block was yielded.

    Raises:
        MalformedContentError: As ``walk``.
    """
    stack = [link.cid for link in stored((DagLink(cid=root),))]
    seen = set(stack)
    while stack:
        cid = stack.pop()
        found, links = look(cid)
        yield cid, found
        for link in reversed(tuple(links)):
            if link not in seen:
                seen.add(link)
                stack.append(link)
        if len(stack) > WALK_PENDING_MAX:
            raise MalformedContentError(f"{text(root)} has more links than blocks to follow")
        if len(seen) > DAG_BLOCKS_MAX:
            raise MalformedContentError(f"{text(root)} has more than {DAG_BLOCKS_MAX} blocks")

"""Files, read from their DAG: blocks verified, sizes checked against what the parent claims."""

from collections.abc import Iterator
from dataclasses import dataclass

from bftcluster.blocks.dag.walk_budget import WalkBudget
from bftcluster.blocks.formats.dag_pb import decode_node
from bftcluster.blocks.formats.unixfs import UnixFs, UnixFsKind, decode_message
from bftcluster.blocks.port import BlockSource
from bftcluster.cid import DAG_PB, RAW, Cid, codec_of, text
from bftcluster.errors import MalformedContentError, UsageError
from bftcluster.shell_limits import FILE_DEPTH_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A node of a file's DAG."""

    cid: Cid
    size_bytes: int | None
    """What its parent says about it; None at the root."""
    start: int
    """Where in the file it begins."""
    depth: int


def file_size(source: BlockSource, cid: Cid) -> int:
    """Return how many bytes the file claims to have; reading it finds out whether it has.

    Raises:
        UsageError: Not a file.
        MalformedContentError: Not UnixFS.
        BlockNotFoundError: The root is not in ``source``.
    """
    return size_of(cid, source.get(cid))


def size_of(cid: Cid, block: bytes) -> int:
    """Return how many bytes a file claims to have, by its root block.

    Raises:
        UsageError: Not a file.
        MalformedContentError: Not UnixFS.
    """
    return _open(cid, block)[0]


def read_file(
    source: BlockSource,
    cid: Cid,
    *,
    offset: int = 0,
    size_max_bytes: int | None = None,
    budget: WalkBudget | None = None,
) -> Iterator[bytes]:
    """Yield the content from ``offset`` on, in pieces of a block at most.

    Only the blocks that are needed are read: none of those that are said to hold nothing. Each is
    checked against what its parent claims, so content never comes out longer than ``file_size``
    said.

    Raises:
        UsageError: Not a file.
        MalformedContentError: Not UnixFS, too deep, its sizes contradict one another, or the
            budget is used up.
        BlockNotFoundError: A block is not in ``source``.
    """
    budget = budget or WalkBudget()
    end = None if size_max_bytes is None else offset + size_max_bytes
    stack = [_Piece(cid=cid, size_bytes=None, start=0, depth=0)]
    budget.hold(1)
    while stack:
        piece = stack.pop()
        budget.hold(-1)
        if end is not None and piece.start >= end:
            budget.hold(-len(stack))
            return
        block = source.get(piece.cid)
        budget.spend(block)
        size_bytes, data, children = _open(piece.cid, block)
        if piece.size_bytes is not None and size_bytes != piece.size_bytes:
            raise MalformedContentError(
                f"{text(piece.cid)} has {size_bytes} bytes, not {piece.size_bytes}"
            )
        if piece.depth > FILE_DEPTH_MAX:
            raise MalformedContentError(f"a file of more than {FILE_DEPTH_MAX} levels")
        part = data[max(0, offset - piece.start) : None if end is None else end - piece.start]
        if part:
            budget.earn_bytes(len(part))
            yield part
        start = piece.start + len(data)
        below = []
        for child, child_size in children:
            if child_size and start + child_size > offset:
                depth = piece.depth + 1
                below.append(_Piece(cid=child, size_bytes=child_size, start=start, depth=depth))
            start += child_size
        budget.hold(len(below))
        stack += reversed(below)


def _open(cid: Cid, block: bytes) -> tuple[int, bytes, list[tuple[Cid, int]]]:
    """Return the size of a file node, its own data, and its children with their sizes."""
    if codec_of(cid) == RAW:
        return len(block), block, []
    if codec_of(cid) != DAG_PB:
        raise UsageError(f"{text(cid)} is not a file", hint="its codec is not UnixFS")
    node = decode_node(block)
    message = decode_message(node)
    if message.kind not in (UnixFsKind.FILE, UnixFsKind.RAW):
        raise UsageError(f"{text(cid)} is a {message.kind.name.lower()}, not a file")
    if len(message.block_sizes) != len(node.links):
        raise MalformedContentError(f"{text(cid)} says sizes of some of its links only")
    children = [
        (link.cid, size) for link, size in zip(node.links, message.block_sizes, strict=True)
    ]
    return _size(cid, message), message.data, children


def _size(cid: Cid, message: UnixFs) -> int:
    size = len(message.data) + sum(message.block_sizes)
    if message.file_size is not None and message.file_size != size:
        raise MalformedContentError(
            f"{text(cid)} claims {message.file_size} bytes, its parts {size}"
        )
    return size

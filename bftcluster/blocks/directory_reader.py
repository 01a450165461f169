"""Directories, read from their DAG: listing and looking up, plain or HAMT."""

from collections.abc import Iterator

import mmh3

from bftcluster.blocks.dag_pb import Link, Node, decode_node
from bftcluster.blocks.port import BlockSource
from bftcluster.blocks.unixfs import HAMT_MURMUR3_X64_64, Kind, UnixFs, decode_message
from bftcluster.cid import DAG_PB, Cid, codec_of, text
from bftcluster.errors import MalformedContentError, NotFoundError, UsageError
from bftcluster.limits import SHARD_DEPTH_MAX

_HASH_BITS = 64


class PathNotFoundError(NotFoundError):
    """A path leads nowhere in the DAG it starts from."""


def kind_of(source: BlockSource, cid: Cid) -> Kind:
    """Return what ``cid`` is; a raw leaf is a file.

    Raises:
        MalformedContentError: Not UnixFS.
        BlockNotFoundError: It is not in ``source``.
    """
    if codec_of(cid) != DAG_PB:
        return Kind.FILE
    return decode_message(decode_node(source.get(cid))).kind


def list_directory(source: BlockSource, cid: Cid) -> Iterator[Link]:
    """Yield the entries of a directory with their names; those of a HAMT in its own order.

    Raises:
        UsageError: Not a directory.
        MalformedContentError: A broken HAMT.
        BlockNotFoundError: A block is not in ``source``.
    """
    node, message = _directory(source, cid)
    if message.kind is Kind.DIRECTORY:
        yield from node.links
        return
    stack = [(link, 1, _prefix_size(message)) for link in reversed(node.links)]
    while stack:
        link, depth, prefix_size = stack.pop()
        if len(link.name) > prefix_size:
            yield Link(cid=link.cid, name=link.name[prefix_size:], tsize=link.tsize)
            continue
        node, message = _shard(source, link.cid, depth)
        stack += [(child, depth + 1, _prefix_size(message)) for child in reversed(node.links)]


def resolve(source: BlockSource, root: Cid, path: str) -> Cid:
    """Return what ``path`` below ``root`` is; empty segments are ignored.

    Raises:
        PathNotFoundError: No such entry.
        UsageError: A segment but the last is no directory.
        MalformedContentError: A broken HAMT.
        BlockNotFoundError: A block is not in ``source``.
    """
    cid = root
    for segment in filter(None, path.split("/")):
        found = _look_up(source, cid, segment)
        if found is None:
            raise PathNotFoundError(f"{segment!r} is not in {text(cid)}")
        cid = found
    return cid


def _look_up(source: BlockSource, cid: Cid, name: str) -> Cid | None:
    node, message = _directory(source, cid)
    if message.kind is Kind.DIRECTORY:
        return next((link.cid for link in node.links if link.name == name), None)
    bits = mmh3.hash64(name.encode(), 0, signed=False)[0]
    used = 0
    while used < _HASH_BITS:
        width = message.fanout.bit_length() - 1
        slot = bits >> (_HASH_BITS - used - width) & (message.fanout - 1)
        prefix = f"{slot:0{_prefix_size(message)}X}"
        used += width
        below = None
        for link in node.links:
            if link.name == prefix + name:
                return link.cid
            if link.name == prefix:
                below = link.cid
        if below is None:
            return None
        node, message = _shard(source, below, used // width)
    return None


def _directory(source: BlockSource, cid: Cid) -> tuple[Node, UnixFs]:
    if codec_of(cid) != DAG_PB:
        raise UsageError(f"{text(cid)} is not a directory")
    node = decode_node(source.get(cid))
    message = decode_message(node)
    if message.kind is Kind.HAMT_SHARD:
        _check_shard(cid, message)
    elif message.kind is not Kind.DIRECTORY:
        raise UsageError(f"{text(cid)} is a {message.kind.name.lower()}, not a directory")
    return node, message


def _shard(source: BlockSource, cid: Cid, depth: int) -> tuple[Node, UnixFs]:
    """Return a shard below the root of a HAMT."""
    if depth > SHARD_DEPTH_MAX:
        raise MalformedContentError(f"a HAMT of more than {SHARD_DEPTH_MAX} levels")
    if codec_of(cid) != DAG_PB:
        raise MalformedContentError(f"{text(cid)} is no HAMT shard")
    node = decode_node(source.get(cid))
    message = decode_message(node)
    if message.kind is not Kind.HAMT_SHARD:
        raise MalformedContentError(f"{text(cid)} is no HAMT shard")
    _check_shard(cid, message)
    return node, message


def _check_shard(cid: Cid, message: UnixFs) -> None:
    fanout = message.fanout
    if message.hash_type != HAMT_MURMUR3_X64_64:
        raise MalformedContentError(f"{text(cid)} hashes names with 0x{message.hash_type:x}")
    if not 8 <= fanout <= 1024 or fanout & (fanout - 1):
        raise MalformedContentError(f"{text(cid)} has a fanout of {fanout}")


def _prefix_size(message: UnixFs) -> int:
    return len(f"{message.fanout - 1:X}")

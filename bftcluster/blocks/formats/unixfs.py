"""The UnixFS message inside a dag-pb block: what kind of thing a node is, and its sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import mmh3

from bftcluster.blocks.formats.dag_pb import DagNode
from bftcluster.blocks.formats.protobuf import (
    bytes_field,
    bytes_tag,
    is_number,
    number_field,
    number_tag,
    read_other,
)
from bftcluster.cid import read_varint
from bftcluster.errors import MalformedContentError


class UnixFsKind(IntEnum):
    """``Data.DataType`` of the UnixFS specification."""

    RAW = 0
    DIRECTORY = 1
    FILE = 2
    METADATA = 3
    SYMLINK = 4
    HAMT_SHARD = 5


HAMT_MURMUR3_X64_64 = 0x22
HAMT_FANOUT = 256

_KIND = number_tag(1)
_DATA = bytes_tag(2)
_FILE_SIZE = number_tag(3)
_BLOCK_SIZE = number_tag(4)
_BLOCK_SIZES_PACKED = bytes_tag(4)
_HASH_TYPE = number_tag(5)
_FANOUT = number_tag(6)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixFs:
    """A decoded UnixFS message. Mode and time are not kept: they would change the CID."""

    kind: UnixFsKind
    data: bytes = b""
    """File content, symlink target or HAMT bit field."""
    file_size: int | None = None
    """Content bytes at and below this node; a claim until the file is read."""
    block_sizes: tuple[int, ...] = ()
    """Content bytes below each link."""
    hash_type: int = 0
    fanout: int = 0


DIRECTORY_MESSAGE = number_field(_KIND, UnixFsKind.DIRECTORY)


def file_message(data: bytes, file_size: int, block_sizes: Sequence[int]) -> bytes:
    """Return the message of a file node, in Kubo's field order (no data field if empty)."""
    parts = [number_field(_KIND, UnixFsKind.FILE)]
    if data:
        parts.append(bytes_field(_DATA, data))
    parts.append(number_field(_FILE_SIZE, file_size))
    parts += [number_field(_BLOCK_SIZE, size) for size in block_sizes]
    return b"".join(parts)


def symlink_message(target: bytes) -> bytes:
    """Return the message of a symbolic link to ``target``."""
    return number_field(_KIND, UnixFsKind.SYMLINK) + bytes_field(_DATA, target)


def hamt_hash(name: str) -> int:
    """Return the first half of MurmurHash3 x64-128 (UnixFS specification, HAMT): 64 bits."""
    first: int = mmh3.hash64(name.encode(errors="surrogatepass"), 0, signed=False)[0]
    return first


def hamt_message(bit_field: int) -> bytes:
    """Return the message of a HAMT shard; bit i of ``bit_field`` says that slot i is taken."""
    data = bit_field.to_bytes((bit_field.bit_length() + 7) // 8, "big")
    return b"".join(
        (
            number_field(_KIND, UnixFsKind.HAMT_SHARD),
            bytes_field(_DATA, data),
            number_field(_HASH_TYPE, HAMT_MURMUR3_X64_64),
            number_field(_FANOUT, HAMT_FANOUT),
        )
    )


def decode_message(node: DagNode) -> UnixFs:
    """Return the UnixFS message of a dag-pb node.

    Raises:
        MalformedContentError: No message, truncated, or of no known kind.
    """
    if node.data is None:
        raise MalformedContentError("a dag-pb node without UnixFS data")
    try:
        return _decode(node.data)
    except ValueError as exc:
        raise MalformedContentError(f"not a UnixFS message: {exc}") from None


def _decode(message: bytes) -> UnixFs:
    numbers: dict[int, int | None] = dict.fromkeys((_KIND, _FILE_SIZE, _HASH_TYPE, _FANOUT))
    data = b""
    block_sizes: list[int] = []
    offset = 0
    while offset < len(message):
        tag, offset = read_varint(message, offset)
        if is_number(tag):
            value, offset = read_varint(message, offset)
            if tag == _BLOCK_SIZE:
                block_sizes.append(value)
            elif tag in numbers:
                numbers[tag] = value
        else:
            field, offset = read_other(message, offset, tag)
            if tag == _DATA:
                data = field
            elif tag == _BLOCK_SIZES_PACKED:
                block_sizes += _unpack(field)
    kind = numbers[_KIND]
    if kind is None:
        raise ValueError("no kind")
    return UnixFs(
        kind=UnixFsKind(kind),
        data=data,
        file_size=numbers[_FILE_SIZE],
        block_sizes=tuple(block_sizes),
        hash_type=numbers[_HASH_TYPE] or 0,
        fanout=numbers[_FANOUT] or 0,
    )


def _unpack(field: bytes) -> list[int]:
    values = []
    offset = 0
    while offset < len(field):
        value, offset = read_varint(field, offset)
        values.append(value)
    return values

"""The UnixFS message inside a dag-pb block: what kind of thing a node is, and its sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import mmh3

from bftcluster.blocks.formats.dag_pb import DagNode
from bftcluster.cid import read_varint, write_varint
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

_KIND = 0x08
_DATA = 0x12
_FILE_SIZE = 0x18
_BLOCK_SIZE = 0x20
_BLOCK_SIZES_PACKED = 0x22
_HASH_TYPE = 0x28
_FANOUT = 0x30
_WIRE_VARINT = 0
_WIRE_BYTES = 2


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


DIRECTORY_MESSAGE = bytes((_KIND, UnixFsKind.DIRECTORY))


def file_message(data: bytes, file_size: int, block_sizes: Sequence[int]) -> bytes:
    """Return the message of a file node, in Kubo's field order (no data field if empty)."""
    parts = [bytes((_KIND, UnixFsKind.FILE))]
    if data:
        parts += [bytes((_DATA,)), write_varint(len(data)), data]
    parts += [bytes((_FILE_SIZE,)), write_varint(file_size)]
    parts += [bytes((_BLOCK_SIZE,)) + write_varint(size) for size in block_sizes]
    return b"".join(parts)


def symlink_message(target: bytes) -> bytes:
    """Return the message of a symbolic link to ``target``."""
    return bytes((_KIND, UnixFsKind.SYMLINK, _DATA)) + write_varint(len(target)) + target


def hamt_hash(name: str) -> int:
    """Return the first half of MurmurHash3 x64-128 (UnixFS specification, HAMT): 64 bits."""
    first: int = mmh3.hash64(name.encode(errors="surrogatepass"), 0, signed=False)[0]
    return first


def hamt_message(bit_field: int) -> bytes:
    """Return the message of a HAMT shard; bit i of ``bit_field`` says that slot i is taken."""
    data = bit_field.to_bytes((bit_field.bit_length() + 7) // 8, "big")
    return b"".join(
        (
            bytes((_KIND, UnixFsKind.HAMT_SHARD, _DATA)),
            write_varint(len(data)),
            data,
            bytes((_HASH_TYPE, HAMT_MURMUR3_X64_64, _FANOUT)),
            write_varint(HAMT_FANOUT),
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
    kind: int | None = None
    data = b""
    file_size: int | None = None
    block_sizes: list[int] = []
    hash_type = fanout = offset = 0
    while offset < len(message):
        tag, offset = read_varint(message, offset)
        if tag & 7 == _WIRE_VARINT:
            value, offset = read_varint(message, offset)
            match tag:
                case 0x08:
                    kind = value
                case 0x18:
                    file_size = value
                case 0x20:
                    block_sizes.append(value)
                case 0x28:
                    hash_type = value
                case 0x30:
                    fanout = value
                case _:
                    pass
        else:
            field, offset = _skip(message, offset, tag & 7)
            if tag == _DATA:
                data = field
            elif tag == _BLOCK_SIZES_PACKED:
                block_sizes += _unpack(field)
    if kind is None:
        raise ValueError("no kind")
    return UnixFs(
        kind=UnixFsKind(kind),
        data=data,
        file_size=file_size,
        block_sizes=tuple(block_sizes),
        hash_type=hash_type,
        fanout=fanout,
    )


def _skip(message: bytes, offset: int, wire_type: int) -> tuple[bytes, int]:
    """Return the bytes of a field that is no varint, known or not, and the offset after it."""
    if wire_type == _WIRE_BYTES:
        size, offset = read_varint(message, offset)
    elif wire_type in (1, 5):
        size = 8 if wire_type == 1 else 4
    else:
        raise ValueError(f"wire type {wire_type}")
    end = offset + size
    if end > len(message):
        raise ValueError("truncated")
    return message[offset:end], end


def _unpack(field: bytes) -> list[int]:
    values = []
    offset = 0
    while offset < len(field):
        value, offset = read_varint(field, offset)
        values.append(value)
    return values

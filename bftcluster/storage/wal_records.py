"""How the write-ahead log looks on disk: one header, then one frame for each append.

A frame is valid only in its own file and at its own place: its checksums are salted with the
file's nonce and its offset, so a frame that a disk wrote elsewhere, or that an earlier file left
behind, is not taken for one of ours, and neither are bytes that a peer put into a record.

    header  magic 8 | version 2 | generation 8 | sealed bytes 8 | nonce 16 | owner 32 | crc 4
    frame   magic 4 | body bytes 4 | number 8 | body crc 4 | chain 16 | head crc 4 | body
    body    (record bytes 4 | record)*
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from bftcluster.errors import CorruptRecordError, SchemaVersionError
from bftcluster.shell_limits import WAL_FRAME_SIZE_MAX_BYTES, WAL_RECORD_SIZE_MAX_BYTES

VERSION: Final = 1
NONCE_SIZE_BYTES: Final = 16
OWNER_SIZE_BYTES: Final = 32

_FILE_MAGIC: Final = b"BFTC-WAL"
_FRAME_MAGIC: Final = b"\xf7WAL"
_HEADER: Final = struct.Struct(">8sHQQ16s32s")
_HEAD: Final = struct.Struct(">4sIQI16s")
_WORD: Final = struct.Struct(">I")
_PLACE: Final = struct.Struct(">16sQ")
HEADER_SIZE_BYTES: Final = _HEADER.size + _WORD.size
HEAD_SIZE_BYTES: Final = _HEAD.size + _WORD.size
_CHAIN_SIZE_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a log file says about itself before its first frame."""

    nonce: bytes
    """Salts every checksum of this file, 16 bytes, random."""
    generation: int
    """How often the log was rewritten before this file."""
    sealed_size_bytes: int
    """Size when the file took its name: all of it was durable, so damage in it is never a tear."""
    owner: bytes
    """Whose log it is: a digest of cluster and peer, 32 bytes."""

    def __post_init__(self) -> None:
        assert len(self.nonce) == NONCE_SIZE_BYTES, "the nonce has 16 bytes"
        assert len(self.owner) == OWNER_SIZE_BYTES, "the owner is a digest"

    def to_bytes(self) -> bytes:
        """Return the header, checksum included."""
        data = _HEADER.pack(
            _FILE_MAGIC, VERSION, self.generation, self.sealed_size_bytes, self.nonce, self.owner
        )
        return data + _WORD.pack(zlib.crc32(data))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the header that ``data`` begins with.

        Raises:
            SchemaVersionError: Another version of this program wrote it.
            CorruptRecordError: Too short, or its checksum is wrong.
        """
        if len(data) < HEADER_SIZE_BYTES:
            raise CorruptRecordError("the log is shorter than its header")
        magic, version, generation, sealed, nonce, owner = _HEADER.unpack_from(data)
        if magic != _FILE_MAGIC:
            raise CorruptRecordError("not a write-ahead log")
        if version != VERSION:
            raise SchemaVersionError(
                f"the write-ahead log has version {version}, this program writes {VERSION}",
                hint="start the version that wrote it, stop it cleanly, then upgrade",
            )
        if zlib.crc32(data[: _HEADER.size]) != _WORD.unpack_from(data, _HEADER.size)[0]:
            raise CorruptRecordError("the header of the log fails its checksum")
        return cls(generation=generation, sealed_size_bytes=sealed, nonce=nonce, owner=owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendPoint:
    """Where the next frame goes, and what it must continue."""

    nonce: bytes
    offset: int
    number: int
    """Frames before it."""
    chain: bytes
    """Hash of everything before it, 16 bytes."""

    @classmethod
    def first(cls, header: Header) -> Self:
        """Return the place of the first frame after ``header``."""
        chain = _hash(b"", header.to_bytes())
        return cls(nonce=header.nonce, offset=HEADER_SIZE_BYTES, number=0, chain=chain)

    def after(self, body: bytes) -> "AppendPoint":
        """Return the place behind a frame with ``body`` at this place."""
        return AppendPoint(
            nonce=self.nonce,
            offset=self.offset + HEAD_SIZE_BYTES + len(body),
            number=self.number + 1,
            chain=_hash(self.chain, body),
        )


def pack(records: Sequence[bytes]) -> bytes:
    """Return the frame body that holds ``records`` in order."""
    assert all(len(record) <= WAL_RECORD_SIZE_MAX_BYTES for record in records), (
        "records are bounded"
    )
    parts: list[bytes] = []
    for record in records:
        parts += (_WORD.pack(len(record)), record)
    body = b"".join(parts)
    assert len(body) <= WAL_FRAME_SIZE_MAX_BYTES, "one append is bounded"
    return body


def unpack(body: bytes) -> Iterator[bytes]:
    """Return the records of a frame body whose checksum held."""
    offset = 0
    while offset < len(body):
        (size,) = _WORD.unpack_from(body, offset)
        offset += _WORD.size
        assert offset + size <= len(body), "we wrote whole records"
        yield body[offset : offset + size]
        offset += size


def frame(place: AppendPoint, body: bytes) -> bytes:
    """Return the frame of ``body`` for ``place``."""
    chain = _hash(place.chain, body)
    head = _HEAD.pack(_FRAME_MAGIC, len(body), place.number, _body_crc(place, body), chain)
    return b"".join((head, _WORD.pack(_head_crc(place.nonce, place.offset, head)), body))


def read_frame(data: bytes, place: AppendPoint) -> bytes | None:
    """Return the body of the frame at ``place``, or None if there is no whole and valid one."""
    head = _read_head(data, place.nonce, place.offset)
    if head is None:
        return None
    size, number, crc, chain = head
    start = place.offset + HEAD_SIZE_BYTES
    body = data[start : start + size]
    if len(body) != size or _body_crc(place, body) != crc:
        return None
    return body if (number, chain) == (place.number, _hash(place.chain, body)) else None


def is_torn_tail(data: bytes, place: AppendPoint) -> bool:
    """Return whether what follows ``place`` can be one append that a crash cut short.

    It cannot if bytes follow a frame's end, or if any later frame is intact: the log never begins
    an append before the one ahead of it is durable.
    """
    if len(data) - place.offset > WAL_FRAME_SIZE_MAX_BYTES + HEAD_SIZE_BYTES:
        return False
    head = _read_head(data, place.nonce, place.offset)
    if head is not None and place.offset + HEAD_SIZE_BYTES + head[0] < len(data):
        return False
    offset = data.find(_FRAME_MAGIC, place.offset + 1)
    while offset >= 0:
        if _read_head(data, place.nonce, offset) is not None:
            return False
        offset = data.find(_FRAME_MAGIC, offset + 1)
    return True


def _read_head(data: bytes, nonce: bytes, offset: int) -> tuple[int, int, int, bytes] | None:
    head = data[offset : offset + _HEAD.size]
    check = data[offset + _HEAD.size : offset + HEAD_SIZE_BYTES]
    if len(check) < _WORD.size or _WORD.unpack(check)[0] != _head_crc(nonce, offset, head):
        return None
    magic, size, number, crc, chain = _HEAD.unpack(head)
    return (size, number, crc, chain) if magic == _FRAME_MAGIC else None


def _head_crc(nonce: bytes, offset: int, head: bytes) -> int:
    return zlib.crc32(head, zlib.crc32(_PLACE.pack(nonce, offset)))


def _body_crc(place: AppendPoint, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(_PLACE.pack(place.nonce, place.offset)))


def _hash(chain: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(chain + body, digest_size=_CHAIN_SIZE_BYTES).digest()

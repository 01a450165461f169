"""CAR version 1: blocks in a file, roots first (IPLD CAR specification)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.formats.dag_cbor import cids_in
from bftcluster.blocks.importer.ingest import Ingest
from bftcluster.blocks.port import BlockSource, BlockStore
from bftcluster.cid import Cid, from_bytes, read_varint, write_varint
from bftcluster.errors import CidMismatchError, InvalidCidError, MalformedContentError
from bftcluster.limits import CID_SIZE_MAX_BYTES
from bftcluster.shell_limits import BLOCK_SIZE_MAX_BYTES, CAR_HEADER_SIZE_MAX_BYTES, CAR_ROOTS_MAX

_VARINT_SIZE_MAX_BYTES = 9
_VERSION_2 = b"\xa1gversion\x02"


def write_car(roots: Sequence[Cid], blocks: Iterable[Block], out: BinaryIO) -> int:
    """Write a CAR and return its size in bytes; ``out`` is the caller's to close."""
    header = _header(roots)
    size = out.write(write_varint(len(header)) + header)
    for block in blocks:
        size += out.write(write_varint(len(block.cid) + len(block.data)) + block.cid)
        size += out.write(block.data)
    return size


def export_car(source: BlockSource, root: Cid, out: BinaryIO) -> int:
    """Write the whole DAG of ``root``, parents first, and return the size in bytes.

    Raises:
        BlockNotFoundError: A block is not in ``source``; the file is cut short.
    """
    return write_car((root,), walk(source, root), out)


class CarReader:
    """A CAR that is being read: its roots at once, its blocks, verified, one by one."""

    def __init__(self, stream: BinaryIO) -> None:
        """Read the header.

        Raises:
            MalformedContentError: Not a CAR of version 1.
        """
        self._stream = stream
        size = self._size(CAR_HEADER_SIZE_MAX_BYTES)
        if size is None:
            raise MalformedContentError("an empty file is no CAR")
        header = self._exactly(size)
        if header == _VERSION_2:
            raise MalformedContentError(
                "a CAR of version 2", hint="`car get-dag` or `ipfs dag export` make version 1"
            )
        self.roots: tuple[Cid, ...] = tuple(cids_in(header))
        if header != _header(self.roots) or len(self.roots) > CAR_ROOTS_MAX:
            raise MalformedContentError("not the header of a CAR of version 1")

    def __iter__(self) -> Iterator[Block]:
        """Yield each block.

        Raises:
            MalformedContentError: Cut short, a block too large, or bytes that their CID does not
                name.
        """
        while (size := self._size(CID_SIZE_MAX_BYTES + BLOCK_SIZE_MAX_BYTES)) is not None:
            section = self._exactly(size)
            try:
                end = _cid_end(section)
                yield Block.check(from_bytes(section[:end]), section[end:])
            except (ValueError, InvalidCidError, CidMismatchError) as exc:
                raise MalformedContentError(f"a damaged block in the CAR: {exc}") from None

    def _size(self, size_max_bytes: int) -> int | None:
        """Return the next section's size; None at the end of the file."""
        prefix = b""
        while byte := self._stream.read(1):
            prefix += byte
            if byte[0] < 0x80 or len(prefix) == _VARINT_SIZE_MAX_BYTES:
                break
        if not prefix:
            return None
        try:
            size, _ = read_varint(prefix, 0)
        except ValueError as exc:
            raise MalformedContentError(f"a damaged CAR: {exc}") from None
        if not 1 <= size <= size_max_bytes:
            raise MalformedContentError(f"a section of {size} bytes in the CAR")
        return size

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise MalformedContentError("the CAR is cut short")
        return data


def import_car(store: BlockStore, stream: BinaryIO) -> tuple[Cid, ...]:
    """Bring a CAR into a store and keep its roots, which are returned; all of it or nothing.

    Raises:
        MalformedContentError: Not a CAR, damaged, or without roots.
        BlockNotFoundError: It lacks a block of a root's DAG, and the store does too.
        StoreFullError: It does not fit.
    """
    reader = CarReader(stream)
    if not reader.roots:
        raise MalformedContentError("the CAR names no roots")
    with Ingest(store) as ingest:
        for block in reader:
            ingest.put(block)
        ingest.pin(*reader.roots)
    return reader.roots


def _header(roots: Sequence[Cid]) -> bytes:
    """Return canonical dag-cbor ``{"roots": [...], "version": 1}``."""
    links = [b"\xd8\x2a" + _head(2, len(cid) + 1) + b"\0" + cid for cid in roots]
    return b"".join((b"\xa2eroots", _head(4, len(roots)), *links, b"gversion\x01"))


def _head(major: int, value: int) -> bytes:
    """Return the head of a CBOR item, below 65,536."""
    if value < 24:
        return bytes((major << 5 | value,))
    if value < 256:
        return bytes((major << 5 | 24, value))
    return bytes((major << 5 | 25,)) + value.to_bytes(2, "big")


def _cid_end(section: bytes) -> int:
    """Return where the CID at the start of a section ends.

    Raises:
        ValueError: There is none.
    """
    if section[:2] == b"\x12\x20":
        return 34
    offset = 0
    for _ in range(3):
        _, offset = read_varint(section, offset)
    size, offset = read_varint(section, offset)
    return offset + size

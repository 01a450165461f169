"""A DAG from a peer that is not trusted: each block is checked, and no other block is taken.

It comes as a CAR, parents first. A block counts only if it has the bytes that its CID names and
the root, or a block before it, links to it; the DAG is whole when no link is left open. So a peer
can refuse content, but not change it, cut it, or fill the disk with something else.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Final, cast

from bftcluster.errors import BlockNotFoundError, ClusterError, MalformedContentError
from bftcluster.shell_limits import DAG_BLOCKS_MAX, WALK_PENDING_MAX

if TYPE_CHECKING:
    from typing import BinaryIO

    from bftcluster.blocks.formats.block import Block
    from bftcluster.cid import Cid

_COPY_SIZE_BYTES: Final = 1 << 20


class BrokenContentError(ClusterError):
    """What a peer sent is not the content that was asked for."""

    hint = "try another peer with --api"


class CarFile:
    """A CAR on disk whose blocks were all verified; readable as a ``BlockSource``."""

    def __init__(self, file: IO[bytes]) -> None:
        """Take an empty file, open for reading and writing. It is read at any offset."""
        self._file = file
        self._places: dict[bytes, tuple[int, int]] = {}
        """Multihash to offset and size."""

    @property
    def size_bytes(self) -> int:
        """The size of the CAR."""
        return os.fstat(self._file.fileno()).st_size

    def receive(
        self, root: "Cid", pieces: Iterator[bytes], on_received: Callable[[int], None]
    ) -> None:
        """Read a CAR of ``root`` to its end, into the file.

        Raises:
            BrokenContentError: It is not the whole DAG of ``root`` and nothing else.
        """
        tape = _Tape(pieces, self._file, on_received)
        expected = _Expected(root)
        try:
            self._take_all(root, tape, expected)
        except MalformedContentError as exc:
            raise BrokenContentError(f"the peer sent what is not the content: {exc}") from None
        if missing := expected.missing:
            raise BrokenContentError(f"the peer left out {missing} blocks of the content")
        self._file.flush()

    def copy_to(self, out: IO[bytes]) -> None:
        """Write the whole CAR to ``out``."""
        self._file.seek(0)
        while piece := self._file.read(_COPY_SIZE_BYTES):
            out.write(piece)

    def has_many(self, cids: "Sequence[Cid]") -> list[bool]:
        """See ``BlockSource``."""
        from bftcluster.blocks.formats.block import key_of
        from bftcluster.blocks.formats.links import inline_data

        return [key_of(cid) in self._places or inline_data(cid) is not None for cid in cids]

    def get(self, cid: "Cid") -> bytes:
        """See ``BlockSource``."""
        from bftcluster.blocks.formats.block import key_of
        from bftcluster.blocks.formats.links import inline_data

        place = self._places.get(key_of(cid))
        if place is not None:
            offset, size = place
            return os.pread(self._file.fileno(), size, offset)
        inline = inline_data(cid)
        if inline is None:
            raise BlockNotFoundError("a block is missing")
        return inline

    def _take_all(self, root: "Cid", tape: "_Tape", expected: "_Expected") -> None:
        from bftcluster.blocks.formats.block import key_of
        from bftcluster.blocks.importer.car import CarReader

        reader = CarReader(cast("BinaryIO", tape))
        if reader.roots != (root,):
            raise BrokenContentError("the peer sent a CAR of something else")
        for block in reader:
            expected.take(block)
            size = len(block.data)
            self._places[key_of(block.cid)] = (tape.offset - size, size)


class _Expected:
    """The blocks that the blocks so far lead to."""

    def __init__(self, root: "Cid") -> None:
        from bftcluster.blocks.formats.dag_pb import DagLink
        from bftcluster.blocks.formats.links import stored

        self._open = {link.cid for link in stored((DagLink(cid=root),))}
        self._seen = set(self._open)

    @property
    def missing(self) -> int:
        """How many have not come."""
        return len(self._open)

    def take(self, block: "Block") -> None:
        """Take one block, and expect what it links to.

        Raises:
            BrokenContentError: It was not expected.
        """
        from bftcluster.blocks.formats.links import links_of, stored

        if block.cid not in self._open:
            raise BrokenContentError("the peer sent a block that does not belong to the content")
        self._open.remove(block.cid)
        for link in stored(links_of(block.cid, block.data)):
            if link.cid not in self._seen:
                self._seen.add(link.cid)
                self._open.add(link.cid)
        if len(self._open) > WALK_PENDING_MAX:
            raise BrokenContentError("the peer sent links without end and not the blocks behind")
        if len(self._seen) > DAG_BLOCKS_MAX:
            raise BrokenContentError(f"the content has more than {DAG_BLOCKS_MAX:,} blocks")


class _Tape:
    """Pieces of any size as a file that is read in turn, and recorded as it is read."""

    def __init__(
        self, pieces: Iterator[bytes], record: IO[bytes], on_received: Callable[[int], None]
    ) -> None:
        self.offset = 0
        self._pieces = pieces
        self._record = record
        self._on_received = on_received
        self._buffer = bytearray()

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end."""
        while len(self._buffer) < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._record.write(piece)
            self._on_received(len(piece))
            self._buffer += piece
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self.offset += len(data)
        return data

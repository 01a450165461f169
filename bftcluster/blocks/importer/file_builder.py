"""Files become balanced DAGs, streamed: one open node per level is all that is kept."""

from collections.abc import Callable, Iterable

from bftcluster.blocks.formats.block import Block, make_node
from bftcluster.blocks.formats.dag_pb import DagLink, encode_node
from bftcluster.blocks.formats.layout import DagEntry, Layout
from bftcluster.blocks.formats.unixfs import file_message, symlink_message

PutBlock = Callable[[Block], None]


class FileBuilder:
    """Cuts what is written into leaves and links them, leaves first.

    The tree is the one of Kubo's balanced importer: all leaves at one depth, every node but the
    last of a level full.
    """

    def __init__(self, put: PutBlock, layout: Layout) -> None:
        self._put = put
        self._layout = layout
        self._buffer = bytearray()
        self._levels: list[list[DagEntry]] = [[]]

    def write(self, data: bytes) -> None:
        """Take the next bytes of the file, any number of them."""
        size = self._layout.chunk_size_bytes
        offset = 0
        if self._buffer:
            offset = min(size - len(self._buffer), len(data))
            self._buffer += data[:offset]
            if len(self._buffer) < size:
                return
            self._add_leaf(bytes(self._buffer))
            self._buffer.clear()
        while len(data) - offset >= size:
            self._add_leaf(data[offset : offset + size])
            offset += size
        self._buffer += data[offset:]

    def finish(self) -> DagEntry:
        """Put what is still open and return the root."""
        if self._buffer or self._levels == [[]]:
            self._add_leaf(bytes(self._buffer))
            self._buffer.clear()
        level = 0
        while level < len(self._levels) - 1:
            self._link_level(level)
            level += 1
        if len(self._levels[level]) > 1:
            self._link_level(level)
            level += 1
        return self._levels[level][0]

    def _add_leaf(self, chunk: bytes) -> None:
        if self._layout.raw_leaves:
            block = Block.make(chunk)
        else:
            message = file_message(chunk, len(chunk), ())
            block = make_node(encode_node((), message), version=self._layout.cid_version)
        self._put(block)
        self._add(0, DagEntry(cid=block.cid, size_bytes=len(chunk), tsize=len(block.data)))

    def _add(self, level: int, entry: DagEntry) -> None:
        if len(self._levels) <= level:
            self._levels.append([])
        if len(self._levels[level]) == self._layout.width:
            self._link_level(level)
        self._levels[level].append(entry)

    def _link_level(self, level: int) -> None:
        """Put one node over the open entries of ``level`` and add it to the level above."""
        entries = self._levels[level]
        self._levels[level] = []
        sizes = [entry.size_bytes for entry in entries]
        links = [DagLink(cid=entry.cid, tsize=entry.tsize) for entry in entries]
        data = encode_node(links, file_message(b"", sum(sizes), sizes))
        block = make_node(data, version=self._layout.cid_version)
        self._put(block)
        tsize = len(data) + sum(entry.tsize for entry in entries)
        self._add(level + 1, DagEntry(cid=block.cid, size_bytes=sum(sizes), tsize=tsize))


def build_file(chunks: Iterable[bytes], put: PutBlock, layout: Layout) -> DagEntry:
    """Put the DAG of a file, given in pieces of any size."""
    builder = FileBuilder(put, layout)
    for chunk in chunks:
        builder.write(chunk)
    return builder.finish()


def build_symlink(target: bytes, put: PutBlock, layout: Layout) -> DagEntry:
    """Put the single block of a symbolic link."""
    block = make_node(encode_node((), symlink_message(target)), version=layout.cid_version)
    put(block)
    return DagEntry(cid=block.cid, size_bytes=0, tsize=len(block.data))

"""Small DAGs that describe walks without end, and what a stranger calls his files."""

from collections.abc import Sequence

from bftcluster.blocks.formats.block import Block, make_node
from bftcluster.blocks.formats.dag_pb import DagLink, encode_node
from bftcluster.blocks.formats.layout import Layout
from bftcluster.blocks.formats.unixfs import DIRECTORY_MESSAGE, file_message
from bftcluster.blocks.importer.file_builder import build_symlink
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid, write_varint

HAMT_MESSAGE = b"\x08\x05\x12\x01\xff\x28\x22\x30" + write_varint(1024)
"""Of a fanout of 1024, so that six levels are 60 of 64 bits."""


class CountingStore(MemoryBlockStore):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def get(self, cid: Cid) -> bytes:
        self.reads += 1
        return super().get(cid)


def node(store: MemoryBlockStore, links: Sequence[DagLink], message: bytes) -> Cid:
    block = make_node(encode_node(links, message), version=1)
    store.put_many([block])
    return block.cid


def leaf(store: MemoryBlockStore, data: bytes = b"x") -> Cid:
    block = Block.make(data)
    store.put_many([block])
    return block.cid


def directory(store: MemoryBlockStore, *entries: tuple[str, Cid]) -> Cid:
    """A directory block, whatever the names are."""
    return node(store, [DagLink(cid=cid, name=name) for name, cid in entries], DIRECTORY_MESSAGE)


def symlink(store: MemoryBlockStore, target: bytes) -> Cid:
    blocks: list[Block] = []
    build_symlink(target, blocks.append, Layout())
    store.put_many(blocks)
    return blocks[0].cid


def empty_shards(store: MemoryBlockStore) -> Cid:
    """10^18 shards and no name."""
    cid = node(store, [], HAMT_MESSAGE)
    for _ in range(6):
        cid = node(
            store, [DagLink(cid=cid, name=f"{slot:03X}") for slot in range(1024)], HAMT_MESSAGE
        )
    return cid


def names_without_end(store: MemoryBlockStore) -> Cid:
    """10^12 names, each in every slot."""
    named = [DagLink(cid=leaf(store), name=f"{slot:03X}n") for slot in range(1024)]
    cid = node(store, named, HAMT_MESSAGE)
    for _ in range(3):
        cid = node(
            store, [DagLink(cid=cid, name=f"{slot:03X}") for slot in range(1024)], HAMT_MESSAGE
        )
    return cid


def empty_parts(store: MemoryBlockStore) -> Cid:
    """A file of 10^60 parts that hold nothing."""
    cid = node(store, [], file_message(b"", 0, []))
    for _ in range(20):
        cid = node(store, [DagLink(cid=cid)] * 1000, file_message(b"", 0, [0] * 1000))
    return cid


def thin_parts(store: MemoryBlockStore) -> Cid:
    """A file of 10^12 bytes, ten behind each block of 2,000 empty parts."""
    cid, size = leaf(store), 1
    empty = [DagLink(cid=node(store, [], file_message(b"", 0, [])))] * 2000
    for _ in range(12):
        links = [*empty, *[DagLink(cid=cid)] * 10]
        sizes = [0] * len(empty) + [size] * 10
        cid, size = node(store, links, file_message(b"", size * 10, sizes)), size * 10
    return cid


def copies(store: MemoryBlockStore) -> Cid:
    """10^18 entries in 6 directories."""
    cid = leaf(store)
    for _ in range(6):
        cid = directory(store, *((f"{number}", cid) for number in range(1000)))
    return cid


def heavy_entries(store: MemoryBlockStore) -> Cid:
    """1000 names for one empty file whose block is 90 kB."""
    parts = [DagLink(cid=node(store, [], file_message(b"", 0, [])))] * 2000
    file = node(store, parts, file_message(b"", 0, [0] * len(parts)))
    return directory(store, *((f"{number}", file) for number in range(1000)))

"""DAGs that were made to harm whoever reads them."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from bftcluster import cid as cids
from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.formats.dag_pb import DagLink, encode_node
from bftcluster.blocks.formats.unixfs import DIRECTORY_MESSAGE, file_message, symlink_message
from bftcluster.blocks.importer.car import write_car
from bftcluster.cid import Cid, write_varint

_V1 = bytes([1])
_SHA2_256 = b"\x12\x20"


@dataclass(slots=True)
class Dag:
    """Blocks, the last of which is the root."""

    blocks: list[Block] = field(default_factory=list)

    @property
    def root(self) -> Cid:
        return self.blocks[-1].cid

    def raw(self, data: bytes) -> Cid:
        """Add a leaf."""
        return self._put(cids.RAW, data)

    def node(self, links: Sequence[tuple[Cid, str, int]], data: bytes) -> Cid:
        """Add a dag-pb node."""
        made = [DagLink(cid=cid, name=name, tsize=tsize) for cid, name, tsize in links]
        return self._put(cids.DAG_PB, encode_node(made, data))

    def directory(self, entries: Sequence[tuple[Cid, str]]) -> Cid:
        """Add a directory, entries as they are given."""
        return self.node([(cid, name, 1) for cid, name in entries], DIRECTORY_MESSAGE)

    def symlink(self, target: bytes) -> Cid:
        """Add a symbolic link."""
        return self.node([], symlink_message(target))

    def car(self) -> bytes:
        """Return all of it as a CAR file."""
        out = io.BytesIO()
        write_car((self.root,), self.blocks, out)
        return out.getvalue()

    def _put(self, codec: int, data: bytes) -> Cid:
        digest = hashlib.sha256(data).digest()
        cid = cids.from_bytes(_V1 + write_varint(codec) + _SHA2_256 + digest)
        self.blocks.append(Block.check(cid, data))
        return cid


def _shard(fanout: int, field_bytes: bytes = b"\xff") -> bytes:
    head = bytes((0x08, 5, 0x12)) + write_varint(len(field_bytes)) + field_bytes
    return head + bytes((0x28, 0x22, 0x30)) + write_varint(fanout)


def nested_shards(levels: int = 6) -> Dag:
    """Return 1,024^levels paths to an empty shard."""
    dag = Dag()
    child = dag.node([], _shard(1024))
    for _ in range(levels):
        child = dag.node([(child, f"{i:03X}", 0) for i in range(1024)], _shard(1024))
    return dag


def many_names(levels: int = 3) -> Dag:
    """Return a directory with 1,024^(levels + 1) entries in shards."""
    dag = Dag()
    leaf = dag.raw(b"x")
    child = dag.node([(leaf, f"{i:03X}n", 1) for i in range(1024)], _shard(1024))
    for _ in range(levels):
        child = dag.node([(child, f"{i:03X}", 0) for i in range(1024)], _shard(1024))
    return dag


def empty_pieces(levels: int = 20) -> Dag:
    """Return a file of one byte and 1,000^levels pieces without any."""
    dag = Dag()
    child = dag.node([], file_message(b"", 0, []))
    for _ in range(levels):
        child = dag.node([(child, "", 0)] * 1000, file_message(b"", 0, [0] * 1000))
    dag.node([(child, "", 0)] * 1000, file_message(b"x", 1, [0] * 1000))
    return dag


def exabytes(levels: int = 5) -> Dag:
    """Return a file of 1,000^(levels + 1) bytes that are all one block."""
    dag = Dag()
    child, size = dag.raw(b"A" * 1000), 1000
    for _ in range(levels):
        child = dag.node([(child, "", 0)] * 1000, file_message(b"", size * 1000, [size] * 1000))
        size *= 1000
    return dag


def tree_of_directories(levels: int = 6) -> Dag:
    """Return 1,000^levels paths to one file."""
    dag = Dag()
    child = dag.raw(b"leaf")
    for _ in range(levels):
        child = dag.directory([(child, f"{i:03}") for i in range(1000)])
    return dag


def chain(depth: int = 5000) -> Dag:
    """Return directories within directories."""
    dag = Dag()
    child = dag.raw(b"leaf")
    for _ in range(depth):
        child = dag.directory([(child, "d")])
    return dag


def named(*entries: tuple[str, bytes | None]) -> Dag:
    """Return a directory of files, or of symbolic links where a target is given."""
    dag = Dag()
    leaf = dag.raw(b"pwned")
    made = [(leaf if target is None else dag.symlink(target), name) for name, target in entries]
    dag.directory(made)
    return dag

"""Directories: one block of sorted links, or a HAMT when that block would grow too large."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bftcluster.blocks.formats.block import Block, make_node
from bftcluster.blocks.formats.dag_pb import DagLink, encode_node
from bftcluster.blocks.formats.entry_names import check_name
from bftcluster.blocks.formats.layout import DagEntry, Layout
from bftcluster.blocks.formats.unixfs import DIRECTORY_MESSAGE, hamt_hash, hamt_message
from bftcluster.blocks.importer.file_builder import PutBlock
from bftcluster.errors import UsageError

_HASH_SIZE_BYTES = 8


def build_directory(entries: Mapping[str, DagEntry], put: PutBlock, layout: Layout) -> DagEntry:
    """Put the blocks of a directory; those of its entries are there already.

    Raises:
        UsageError: A name that is empty, too long, ``.``, ``..`` or holds ``/`` or NUL; or so
            many colliding names that no HAMT can hold them.
    """
    for name in entries:
        check_name(name)
    estimate = sum(len(name.encode()) + len(entry.cid) for name, entry in entries.items())
    size_bytes = sum(entry.size_bytes for entry in entries.values())
    if estimate > layout.shard_threshold_bytes:
        hashed = [
            _Hashed(hamt_hash(name).to_bytes(_HASH_SIZE_BYTES, "big"), name, entries[name])
            for name in entries
        ]
        return _put_shard(hashed, 0, put, layout)
    ordered = sorted(entries.items(), key=lambda item: item[0].encode())
    links = [DagLink(cid=entry.cid, name=name, tsize=entry.tsize) for name, entry in ordered]
    block = make_node(encode_node(links, DIRECTORY_MESSAGE), version=layout.cid_version)
    put(block)
    return _entry(block, links, size_bytes)


@dataclass(frozen=True, slots=True)
class _Hashed:
    slots: bytes
    """Slot at each depth."""
    name: str
    entry: DagEntry


def _put_shard(items: Sequence[_Hashed], depth: int, put: PutBlock, layout: Layout) -> DagEntry:
    if depth == _HASH_SIZE_BYTES:
        raise UsageError(f"{len(items)} names in a directory have one hash: {items[0].name!r}, ...")
    slots: dict[int, list[_Hashed]] = {}
    for item in items:
        slots.setdefault(item.slots[depth], []).append(item)
    links = []
    bit_field = 0
    for slot, held in sorted(slots.items()):
        bit_field |= 1 << slot
        if len(held) == 1:
            name, entry = f"{slot:02X}{held[0].name}", held[0].entry
        else:
            name, entry = f"{slot:02X}", _put_shard(held, depth + 1, put, layout)
        links.append(DagLink(cid=entry.cid, name=name, tsize=entry.tsize))
    block = make_node(encode_node(links, hamt_message(bit_field)), version=layout.cid_version)
    put(block)
    return _entry(block, links, sum(item.entry.size_bytes for item in items))


def _entry(block: Block, links: Sequence[DagLink], size_bytes: int) -> DagEntry:
    tsize = len(block.data) + sum(link.tsize for link in links)
    return DagEntry(cid=block.cid, size_bytes=size_bytes, tsize=tsize)

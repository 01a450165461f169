"""Directories, read from their DAG: listing and looking up, plain or HAMT.

Both go by the same checks, so that what is listed can be looked up, and the other way round. The
root of a HAMT takes the first bits of a name's hash, the shards below it those that follow. A name
must stand where its hash says, and every shard but the root holds one at least: so no shard fits
in two places, and a listing reads each once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bftcluster.blocks.dag.walk_budget import WalkBudget
from bftcluster.blocks.formats.dag_pb import DagLink, DagNode, decode_node
from bftcluster.blocks.formats.entry_names import check_entries
from bftcluster.blocks.formats.unixfs import (
    HAMT_MURMUR3_X64_64,
    UnixFs,
    UnixFsKind,
    decode_message,
    hamt_hash,
)
from bftcluster.blocks.port import BlockSource
from bftcluster.cid import DAG_PB, Cid, codec_of, text
from bftcluster.errors import MalformedContentError, NotFoundError, UsageError
from bftcluster.shell_limits import DIRECTORY_DEPTH_MAX

_HASH_BITS = 64


class PathNotFoundError(NotFoundError):
    """A path leads nowhere in the DAG it starts from."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a shard is in its HAMT: the first bits of the hashes of its names."""

    bits: int = 0
    prefix: int = 0

    def below(self, width: int, slot: int) -> "_Place":
        return _Place(self.bits + width, self.prefix << width | slot)

    def holds(self, name: str) -> bool:
        return hamt_hash(name) >> (_HASH_BITS - self.bits) == self.prefix


@dataclass(frozen=True, slots=True)
class _Slot:
    """A name in a shard, or, if that is empty, another shard."""

    name: str
    link: DagLink
    place: _Place


def list_directory(
    source: BlockSource, cid: Cid, budget: WalkBudget | None = None
) -> Iterator[DagLink]:
    """Yield the entries of a directory with their names; those of a HAMT in its own order.

    Raises:
        UsageError: Not a directory.
        MalformedContentError: A name that may not be, a broken HAMT, or the budget is used up.
        BlockNotFoundError: A block is not in ``source``.
    """
    budget = budget or WalkBudget()
    node, message = _directory(source, cid, budget)
    if message.kind is UnixFsKind.DIRECTORY:
        pending = list(reversed(_plain(cid, node)))
        budget.hold(len(pending))
        while pending:
            budget.hold(-1)
            yield pending.pop()
        return
    stack = _slots(cid, node, message, _Place())[::-1]
    budget.hold(len(stack))
    while stack:
        slot = stack.pop()
        budget.hold(-1)
        if slot.name:
            yield DagLink(cid=slot.link.cid, name=slot.name, tsize=slot.link.tsize)
        else:
            below = _shard(source, slot, budget)
            budget.hold(len(below))
            stack += reversed(below)


def resolve(source: BlockSource, root: Cid, path: str) -> Cid:
    """Return what ``path`` below ``root`` is; empty segments are ignored.

    Raises:
        PathNotFoundError: No such entry.
        UsageError: A segment but the last is no directory, or there are too many.
        MalformedContentError: A directory with a name that may not be, or a broken HAMT.
        BlockNotFoundError: A block is not in ``source``.
    """
    segments = [segment for segment in path.split("/") if segment]
    if len(segments) > DIRECTORY_DEPTH_MAX:
        raise UsageError(f"a path of {len(segments)} names, at most {DIRECTORY_DEPTH_MAX}")
    budget = WalkBudget()
    cid = root
    for segment in segments:
        found = _look_up(source, cid, segment, budget)
        if found is None:
            raise PathNotFoundError(f"{segment!r} is not in {text(cid)}")
        budget.earn_entry()
        cid = found
    return cid


def _look_up(source: BlockSource, cid: Cid, name: str, budget: WalkBudget) -> Cid | None:
    node, message = _directory(source, cid, budget)
    if message.kind is UnixFsKind.DIRECTORY:
        return next((link.cid for link in _plain(cid, node) if link.name == name), None)
    slots: Sequence[_Slot] = _slots(cid, node, message, _Place())
    while slot := next((slot for slot in slots if slot.place.holds(name)), None):
        if slot.name:
            return slot.link.cid if slot.name == name else None
        slots = _shard(source, slot, budget)
    return None


def _directory(source: BlockSource, cid: Cid, budget: WalkBudget) -> tuple[DagNode, UnixFs]:
    if codec_of(cid) != DAG_PB:
        raise UsageError(f"{text(cid)} is not a directory")
    node, message = _decoded(source, cid, budget)
    if message.kind not in (UnixFsKind.DIRECTORY, UnixFsKind.HAMT_SHARD):
        raise UsageError(f"{text(cid)} is a {message.kind.name.lower()}, not a directory")
    return node, message


def _decoded(source: BlockSource, cid: Cid, budget: WalkBudget) -> tuple[DagNode, UnixFs]:
    block = source.get(cid)
    budget.spend(block)
    node = decode_node(block)
    return node, decode_message(node)


def _plain(cid: Cid, node: DagNode) -> Sequence[DagLink]:
    check_entries(cid, (link.name for link in node.links))
    return node.links


def _shard(source: BlockSource, slot: _Slot, budget: WalkBudget) -> list[_Slot]:
    """Return what is in a shard below the root of a HAMT."""
    cid = slot.link.cid
    if codec_of(cid) != DAG_PB:
        raise MalformedContentError(f"{text(cid)} is no HAMT shard")
    node, message = _decoded(source, cid, budget)
    if message.kind is not UnixFsKind.HAMT_SHARD:
        raise MalformedContentError(f"{text(cid)} is no HAMT shard")
    if not node.links:
        raise MalformedContentError(f"the HAMT shard {text(cid)} is empty, and not the only one")
    return _slots(cid, node, message, slot.place)


def _slots(cid: Cid, node: DagNode, message: UnixFs, place: _Place) -> list[_Slot]:
    """Return what is in a shard, each in a slot of its own and where its hash says."""
    fanout = message.fanout
    if message.hash_type != HAMT_MURMUR3_X64_64:
        raise MalformedContentError(f"{text(cid)} hashes names with 0x{message.hash_type:x}")
    if not 8 <= fanout <= 1024 or fanout & (fanout - 1):
        raise MalformedContentError(f"{text(cid)} has a fanout of {fanout}")
    width = fanout.bit_length() - 1
    if place.bits + width > _HASH_BITS:
        raise MalformedContentError(f"a HAMT deeper than its {_HASH_BITS} bits of hash")
    digits = len(f"{fanout - 1:X}")
    slots: dict[int, _Slot] = {}
    for link in node.links:
        number, name = _slot_number(cid, link.name[:digits], digits, fanout), link.name[digits:]
        slot = _Slot(name, link, place.below(width, number))
        if number in slots:
            raise MalformedContentError(f"the slot {number:X} comes twice in {text(cid)}")
        if name and not slot.place.holds(name):
            raise MalformedContentError(f"a name in {text(cid)} is not where its hash says")
        slots[number] = slot
    check_entries(cid, (slot.name for slot in slots.values() if slot.name))
    return list(slots.values())


def _slot_number(cid: Cid, prefix: str, digits: int, fanout: int) -> int:
    """Return which slot a link of a shard says that it is in."""
    try:
        number = int(prefix, 16)
    except ValueError:
        number = fanout
    if number >= fanout or f"{number:0{digits}X}" != prefix:
        raise MalformedContentError(f"a link of the HAMT shard {text(cid)} names no slot")
    return number

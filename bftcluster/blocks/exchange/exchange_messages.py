"""The five messages of block exchange.

A request is a list of CIDs with everything below them; the provider walks the DAG itself, so no
level costs a round trip. ``request`` is the requester's number for it, unique while it lives.

A frame is ``size of the head (4 bytes, big-endian) | head | bodies``: the head is a canonical CBOR
array, the bodies are the blocks it lists, one after another. They stay out of the CBOR because each
is checked against its CID, and encoding megabytes again to compare them would prove nothing.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, assert_never

from bftcluster import codec
from bftcluster.cid import Cid, from_bytes
from bftcluster.errors import InvalidCidError, MalformedMessageError
from bftcluster.ids import PeerId
from bftcluster.limits import FRAME_SIZE_MAX_BYTES, PUBLIC_KEY_SIZE_BYTES
from bftcluster.shell_limits import (
    BLOCK_SIZE_MAX_BYTES,
    END_ABSENT_MAX,
    FRAME_BLOCKS_MAX,
    WANT_CIDS_MAX,
)

_PREFIX_SIZE_BYTES: Final = 4


class _Tag(IntEnum):
    WANT = 1
    BLOCKS = 2
    END = 3
    CREDIT = 4
    CANCEL = 5


class EndStatus(IntEnum):
    """Why a provider stopped."""

    SERVED = 0
    """It sent all it has of what was asked."""
    BUSY = 1
    """It serves too many requests of this peer already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Requester: send these blocks, and what is below them as far as the leaf budget goes."""

    cids: tuple[Cid, ...]
    leaf_budget_bytes: int
    """Blocks without links that are not in ``cids`` are sent while those sent before are less."""
    request: int
    window_bytes: int
    """How much may be under way before credit comes."""
    holder: PeerId | None = None
    """Whose copies are wanted, if not the provider's own: those of a light peer that it relays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Provider: some of the blocks, parents before children."""

    request: int
    blocks: tuple[tuple[Cid, bytes], ...]
    """Unverified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Provider: nothing more will come for this request."""

    request: int
    status: EndStatus
    absent: tuple[Cid, ...]
    """Some of the blocks that it does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """Requester: so much of what you sent is stored; send as much again."""

    request: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelWant:
    """Requester: send nothing more for this request."""

    request: int


Message = Want | Blocks | End | Credit | CancelWant

_BLOCKS_HEAD: Final = codec.encode([int(_Tag.BLOCKS), 0, []])[:2]
"""How a head begins that lists blocks: an array of three, and the tag."""


def to_frame(message: Message) -> bytes:
    """Return the only encoding of a message."""
    bodies: tuple[bytes, ...] = ()
    match message:
        case Want():
            fields: list[Any] = [message.window_bytes, message.leaf_budget_bytes]
            fields = [_Tag.WANT, message.request, *fields, list(message.cids)]
            fields += [] if message.holder is None else [message.holder]
        case Blocks():
            bodies = tuple(data for _, data in message.blocks)
            sizes = [[cid, len(data)] for cid, data in message.blocks]
            fields = [_Tag.BLOCKS, message.request, sizes]
        case End():
            fields = [_Tag.END, message.request, int(message.status), list(message.absent)]
        case Credit():
            fields = [_Tag.CREDIT, message.request, message.size_bytes]
        case CancelWant():
            fields = [_Tag.CANCEL, message.request]
        case _:
            assert_never(message)
    head = codec.encode([int(fields[0]), *fields[1:]])
    return b"".join((len(head).to_bytes(_PREFIX_SIZE_BYTES, "big"), head, *bodies))


def carries_blocks(frame: bytes) -> bool:
    """Return whether a frame of ``to_frame`` has blocks, rather than says something about them."""
    return frame.startswith(_BLOCKS_HEAD, _PREFIX_SIZE_BYTES)


def from_frame(frame: bytes) -> Message:
    """Return the message that a peer sent; blocks are still to be verified.

    Raises:
        MalformedMessageError: Anything else than one of the five, within its bounds.
    """
    if len(frame) > FRAME_SIZE_MAX_BYTES:
        raise MalformedMessageError(f"a frame of {len(frame)} bytes")
    start = _PREFIX_SIZE_BYTES + int.from_bytes(frame[:_PREFIX_SIZE_BYTES], "big")
    head = codec.decode(frame[_PREFIX_SIZE_BYTES:start])
    match head:
        case [_Tag.BLOCKS, int(request), list(rows)]:
            blocks = _blocks(rows, frame, start)
            return Blocks(request=_natural(request), blocks=blocks)
        case _:
            pass
    if len(frame) != start:
        raise MalformedMessageError("a body that is not announced, or a head cut short")
    return _from_head(head)


def _from_head(head: object) -> Message:
    match head:
        case [_Tag.WANT, int(request), int(window), int(budget), list(cids), *holder]:
            if not 1 <= len(cids) <= WANT_CIDS_MAX:
                raise MalformedMessageError(f"a request for {len(cids)} blocks")
            return Want(
                request=_natural(request),
                window_bytes=_natural(window),
                leaf_budget_bytes=_natural(budget),
                cids=tuple(_cid(item) for item in cids),
                holder=_holder(holder),
            )
        case [_Tag.END, int(request), int(status), list(absent)]:
            if len(absent) > END_ABSENT_MAX or status not in tuple(EndStatus):
                raise MalformedMessageError("an end that lists too much, or of no known status")
            return End(
                request=_natural(request),
                status=EndStatus(status),
                absent=tuple(_cid(item) for item in absent),
            )
        case [_Tag.CREDIT, int(request), int(size)]:
            return Credit(request=_natural(request), size_bytes=_natural(size))
        case [_Tag.CANCEL, int(request)]:
            return CancelWant(request=_natural(request))
        case _:
            raise MalformedMessageError("not a message of block exchange")


def _blocks(rows: list[object], frame: bytes, start: int) -> tuple[tuple[Cid, bytes], ...]:
    """Cut the bodies out of a frame."""
    if len(rows) > FRAME_BLOCKS_MAX:
        raise MalformedMessageError(f"a frame of {len(rows)} blocks")
    blocks = []
    for row in rows:
        match row:
            case [bytes(cid), int(size)] if _natural(size) <= BLOCK_SIZE_MAX_BYTES:
                end = start + size
            case _:
                raise MalformedMessageError("not a block")
        if end > len(frame):
            raise MalformedMessageError("a frame cut short")
        blocks.append((_cid(cid), frame[start:end]))
        start = end
    if start != len(frame):
        raise MalformedMessageError("a body that is not announced")
    return tuple(blocks)


def _holder(items: list[object]) -> PeerId | None:
    match items:
        case []:
            return None
        case [bytes(peer)] if len(peer) == PUBLIC_KEY_SIZE_BYTES:
            return PeerId(peer)
        case _:
            raise MalformedMessageError("not a holder")


def _natural(value: int) -> int:
    if isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise MalformedMessageError(f"{value} where a count belongs")
    return value


def _cid(value: object) -> Cid:
    if not isinstance(value, bytes):
        raise MalformedMessageError("not a CID")
    try:
        return from_bytes(value)
    except InvalidCidError as exc:
        raise MalformedMessageError(str(exc)) from None

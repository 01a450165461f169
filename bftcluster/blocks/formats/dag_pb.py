"""dag-pb: the block format of UnixFS, written canonically and read strictly.

``PBNode`` is links then data; ``PBLink`` is hash, name, tsize, in that order (IPLD dag-pb
specification). Everything read here may come from a stranger, so sizes are checked before slices.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bftcluster.blocks.formats.protobuf import (
    bytes_field,
    bytes_tag,
    number_field,
    number_tag,
    read_bytes,
)
from bftcluster.cid import Cid, from_bytes, read_varint
from bftcluster.errors import InvalidCidError, MalformedContentError
from bftcluster.shell_limits import BLOCK_SIZE_MAX_BYTES

_NODE_DATA = bytes_tag(1)
_NODE_LINK = bytes_tag(2)
_LINK_HASH = bytes_tag(1)
_LINK_NAME = bytes_tag(2)
_LINK_TSIZE = number_tag(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class DagLink:
    """One edge of the DAG."""

    cid: Cid
    name: str = ""
    tsize: int = 0
    """Bytes of all blocks below, shared ones counted each time. A claim: nobody checks it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DagNode:
    """A decoded block."""

    links: tuple[DagLink, ...]
    data: bytes | None
    """The UnixFS message; None if the field is absent."""


def encode_node(links: Iterable[DagLink], data: bytes | None) -> bytes:
    """Return the canonical block; the caller has put the links in their order."""
    parts = [bytes_field(_NODE_LINK, _encode_link(link)) for link in links]
    if data is not None:
        parts.append(bytes_field(_NODE_DATA, data))
    return b"".join(parts)


def decode_node(block: bytes) -> DagNode:
    """Return what a dag-pb block holds.

    Raises:
        MalformedContentError: Larger than a block may be, truncated, an unknown, repeated or
            misplaced field, a link without a CID, or a name that is not UTF-8.
    """
    if len(block) > BLOCK_SIZE_MAX_BYTES:
        raise MalformedContentError(f"a dag-pb block of {len(block)} bytes")
    try:
        return _decode_node(block)
    except (ValueError, InvalidCidError) as exc:
        raise MalformedContentError(f"not a dag-pb block: {exc}") from None


def _encode_link(link: DagLink) -> bytes:
    return b"".join(
        (
            bytes_field(_LINK_HASH, link.cid),
            bytes_field(_LINK_NAME, link.name.encode()),
            number_field(_LINK_TSIZE, link.tsize),
        )
    )


def _decode_node(block: bytes) -> DagNode:
    links: list[DagLink] = []
    data: bytes | None = None
    offset = 0
    while offset < len(block):
        tag = block[offset]
        value, offset = read_bytes(block, offset + 1)
        if tag == _NODE_LINK:
            links.append(_decode_link(value))
        elif tag == _NODE_DATA and data is None:
            data = value
        else:
            raise ValueError(f"field 0x{tag:02x} is unknown or repeated")
    return DagNode(links=tuple(links), data=data)


def _decode_link(data: bytes) -> DagLink:
    cid: Cid | None = None
    name = ""
    tsize = 0
    offset = last_tag = 0
    while offset < len(data):
        tag = data[offset]
        if tag <= last_tag:
            raise ValueError("fields of a link are repeated or out of order")
        last_tag = tag
        if tag == _LINK_TSIZE:
            tsize, offset = read_varint(data, offset + 1)
        elif tag == _LINK_HASH:
            value, offset = read_bytes(data, offset + 1)
            cid = from_bytes(value)
        elif tag == _LINK_NAME:
            value, offset = read_bytes(data, offset + 1)
            name = value.decode()
        else:
            raise ValueError(f"unknown field 0x{tag:02x} in a link")
    if cid is None:
        raise ValueError("a link without a CID")
    return DagLink(cid=cid, name=name, tsize=tsize)

"""The links of a block, whatever its codec."""

from collections.abc import Iterable, Iterator

from bftcluster.blocks.formats.dag_cbor import cids_in
from bftcluster.blocks.formats.dag_pb import DagLink, decode_node
from bftcluster.cid import DAG_CBOR, DAG_PB, RAW, Cid, codec_of, multihash, text
from bftcluster.errors import MalformedContentError

_IDENTITY = 0x00


def links_of(cid: Cid, data: bytes) -> tuple[DagLink, ...]:
    """Return the links of the block ``data`` that ``cid`` names, in their order.

    Raises:
        MalformedContentError: Not what the codec says, or a codec whose links we cannot read.
    """
    match codec_of(cid):
        case int(code) if code == RAW:
            return ()
        case int(code) if code == DAG_PB:
            return decode_node(data).links
        case int(code) if code == DAG_CBOR:
            return tuple(DagLink(cid=child) for child in cids_in(data))
        case code:
            raise MalformedContentError(f"{text(cid)} has the codec 0x{code:x}: links unknown")


def stored(links: Iterable[DagLink]) -> Iterator[DagLink]:
    """Yield the links to blocks that are stored, those behind blocks in their own CIDs among them.

    What a CID carries needs no place in the memory of a walk: it is behind its link at once.

    Raises:
        MalformedContentError: As ``links_of``.
    """
    for link in links:
        inline = inline_data(link.cid)
        if inline is None:
            yield link
        elif may_link(link.cid):
            yield from stored(links_of(link.cid, inline))


def may_link(cid: Cid) -> bool:
    """Return whether the block of ``cid`` can have links at all: raw leaves need no reading."""
    return codec_of(cid) != RAW


def inline_data(cid: Cid) -> bytes | None:
    """Return the block that an identity CID carries in itself; None for every other CID."""
    code, digest = multihash(cid)
    return digest if code == _IDENTITY else None

"""The links in a dag-cbor block: tag 42 around ``0x00 | CID`` (IPLD dag-cbor specification).

We pin such DAGs, we do not build them; so this finds links and checks the framing, nothing more.
"""

from bftcluster.cid import Cid, from_bytes
from bftcluster.errors import InvalidCidError, MalformedContentError
from bftcluster.shell_limits import DAG_CBOR_DEPTH_MAX

_BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = 2, 3, 4, 5, 6, 7
_LINK_TAG = 42


def cids_in(data: bytes) -> list[Cid]:
    """Return every CID that a dag-cbor block links to, in order.

    Raises:
        MalformedContentError: Truncated, trailing bytes, too deep, an indefinite length, or a
            tag that is no link.
    """
    try:
        return _parse(data)
    except (ValueError, IndexError, InvalidCidError) as exc:
        raise MalformedContentError(f"not a dag-cbor block: {exc}") from None


def _parse(data: bytes) -> list[Cid]:
    found: list[Cid] = []
    offset = 0
    pending = [1]
    while pending:
        if pending[-1] == 0:
            pending.pop()
            continue
        if len(pending) > DAG_CBOR_DEPTH_MAX:
            raise ValueError(f"nested deeper than {DAG_CBOR_DEPTH_MAX}")
        pending[-1] -= 1
        offset = _item(data, offset, pending, found)
    if offset != len(data):
        raise ValueError("trailing bytes")
    return found


def _item(data: bytes, offset: int, pending: list[int], found: list[Cid]) -> int:
    """Read one item's head and what it carries; push how many items it contains."""
    major, info = data[offset] >> 5, data[offset] & 31
    value, offset = _argument(data, offset + 1, info)
    if major in (_BYTES, _TEXT):
        offset += value
    elif major == _ARRAY:
        pending.append(value)
    elif major == _MAP:
        pending.append(2 * value)
    elif major == _TAG:
        if value != _LINK_TAG or data[offset] >> 5 != _BYTES:
            raise ValueError(f"tag {value} is no link")
        size, offset = _argument(data, offset + 1, data[offset] & 31)
        link, offset = data[offset : offset + size], offset + size
        if link[:1] != b"\0":
            raise ValueError("a link without its multibase prefix")
        found.append(from_bytes(link[1:]))
    elif major == _SIMPLE and info not in (20, 21, 22, 25, 26, 27):
        raise ValueError(f"simple value {info}")
    if offset > len(data):
        raise ValueError("truncated")
    return offset


def _argument(data: bytes, offset: int, info: int) -> tuple[int, int]:
    if info < 24:
        return info, offset
    if info > 27:
        raise ValueError("indefinite or reserved length")
    end = offset + (1 << (info - 24))
    if end > len(data):
        raise ValueError("truncated")
    return int.from_bytes(data[offset:end], "big"), end

"""A block that is known to be what its CID names."""

from dataclasses import dataclass
from typing import Self

from bftcluster.cid import (
    DAG_PB,
    RAW,
    Cid,
    from_bytes,
    of_block,
    read_varint,
    verify_block,
    version_of,
)
from bftcluster.errors import MalformedContentError
from bftcluster.shell_limits import BLOCK_SIZE_MAX_BYTES


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes and their CID. Made by ``make`` and ``check`` only, so it is never hashed twice."""

    cid: Cid
    data: bytes

    @classmethod
    def make(cls, data: bytes, *, codec: int = RAW, version: int = 1) -> Self:
        """Return our own bytes with the CID computed from them."""
        assert len(data) <= BLOCK_SIZE_MAX_BYTES, "we build no block that peers would refuse"
        return cls(of_block(data, codec=codec, version=version), data)

    @classmethod
    def check(cls, cid: Cid, data: bytes) -> Self:
        """Return somebody else's bytes if they are what ``cid`` names.

        Raises:
            MalformedContentError: Larger than a block may be.
            CidMismatchError: Other bytes.
        """
        if len(data) > BLOCK_SIZE_MAX_BYTES:
            raise MalformedContentError(f"a block of {len(data)} bytes")
        verify_block(cid, data)
        return cls(cid, data)


def make_node(data: bytes, *, version: int) -> Block:
    """Return a dag-pb block."""
    return Block.make(data, codec=DAG_PB, version=version)


def raw_cid(key: bytes) -> Cid:
    """Return the CID of a block by its multihash, as if it had no links, whatever it is.

    Raises:
        InvalidCidError: It is no multihash.
    """
    return from_bytes(bytes((1, RAW)) + key)


def key_of(cid: Cid) -> bytes:
    """Return the multihash: CIDs that name one block's bytes share its file, as in Kubo."""
    return bytes(cid) if version_of(cid) == 0 else cid[read_varint(cid, 1)[1] :]

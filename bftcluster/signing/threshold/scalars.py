"""Integers modulo the order of the groups: encoded, and made of bytes."""

import hashlib

from bftcluster.errors import MalformedMessageError
from bftcluster.limits import SCALAR_SIZE_BYTES
from bftcluster.signing.threshold.curve import ORDER


def encode_scalar(scalar: int) -> bytes:
    """Return 32 bytes, the most significant first."""
    assert 0 <= scalar < ORDER, "scalars are reduced"
    return scalar.to_bytes(SCALAR_SIZE_BYTES, "big")


def decode_scalar(data: bytes) -> int:
    """Return the scalar that ``data`` encodes.

    Raises:
        MalformedMessageError: Another length, or not reduced: it would have a second encoding.
    """
    scalar = int.from_bytes(data, "big")
    if len(data) != SCALAR_SIZE_BYTES or scalar >= ORDER:
        raise MalformedMessageError("not a scalar")
    return scalar


def hash_to_scalar(tag: bytes, *parts: bytes) -> int:
    """Return a scalar other than 0 that only ``tag`` and ``parts``, in their order, give.

    512 bits are reduced, so that no scalar is more likely than another by more than 2**-256.
    """
    state = hashlib.sha512(bounded(tag, *parts)).digest()
    return int.from_bytes(state, "big") % (ORDER - 1) + 1


def bounded(*parts: bytes) -> bytes:
    """Return the parts, each behind its length in four bytes: no two lists give the same."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)

"""Content identifiers: parsed from text, checked from bytes, made from and verified against blocks.

A ``Cid`` is its binary form. Version 0 is a bare SHA-256 multihash (34 bytes); version 1 is
``varint 1 | varint codec | multihash`` (CID specification, multiformats).
"""

import base64
import hashlib
from collections.abc import Callable
from typing import Final, NewType

import base58

from bftcluster.errors import CidMismatchError, InvalidCidError
from bftcluster.limits import CID_SIZE_MAX_BYTES, CID_TEXT_SIZE_MAX_CHARS

Cid = NewType("Cid", bytes)
"""A checked binary CID. Made by ``parse``, ``from_bytes`` and ``of_block`` only."""

RAW: Final = 0x55
DAG_PB: Final = 0x70
DAG_CBOR: Final = 0x71

_SHA256_PREFIX: Final = b"\x12\x20"
_HASHES: Final[dict[int, tuple[int, Callable[[bytes], bytes]]]] = {
    0x00: (-1, bytes),
    0x12: (32, lambda data: hashlib.sha256(data).digest()),
    0x13: (64, lambda data: hashlib.sha512(data).digest()),
    0xB220: (32, lambda data: hashlib.blake2b(data, digest_size=32).digest()),
}
_COMMON_PREFIXES: Final = frozenset(
    bytes((1, codec)) + _SHA256_PREFIX for codec in (RAW, DAG_PB, DAG_CBOR)
)
"""What nearly every CID begins with: looked up before anything is parsed."""
_IDENTITY: Final = 0x00
_IDENTITY_SIZE_MAX_BYTES: Final = 64


def parse(text: str) -> Cid:
    """Return the CID that ``text`` names, in any of the multibases of ``MULTIBASES``.

    Raises:
        InvalidCidError: Not a CID, not the one way its multibase writes it, or hashed with a
            function we cannot verify.
    """
    if len(text) > CID_TEXT_SIZE_MAX_CHARS:
        raise InvalidCidError(f"a CID of {len(text)} characters")
    is_version_0 = len(text) == 46 and text.startswith("Qm")
    data = _decode_multibase("z" + text if is_version_0 else text)
    if data[:1] != (b"\x12" if is_version_0 else b"\x01"):
        raise InvalidCidError(f"not a CID: {text!r}")
    return from_bytes(data)


def from_bytes(data: bytes) -> Cid:
    """Return ``data`` as a CID, if it is exactly one.

    Raises:
        InvalidCidError: Anything else, a non-minimal varint and trailing bytes included.
    """
    if len(data) > CID_SIZE_MAX_BYTES:
        raise InvalidCidError(f"a CID of {len(data)} bytes")
    if len(data) == 34 and data[:2] == _SHA256_PREFIX:
        return Cid(data)
    if len(data) == 36 and data[:4] in _COMMON_PREFIXES:
        return Cid(data)
    try:
        version, offset = read_varint(data, 0)
        if version != 1:
            raise InvalidCidError(f"CID version {version}")
        _, offset = read_varint(data, offset)
        code, offset = read_varint(data, offset)
        size, offset = read_varint(data, offset)
    except ValueError as exc:
        raise InvalidCidError(f"not a CID: {exc}") from None
    if code not in _HASHES:
        raise InvalidCidError(f"unknown hash function 0x{code:x}")
    expected = _HASHES[code][0]
    if size != expected and not (code == _IDENTITY and size <= _IDENTITY_SIZE_MAX_BYTES):
        raise InvalidCidError(f"hash 0x{code:x} of {size} bytes")
    if len(data) - offset != size:
        raise InvalidCidError("truncated or trailing bytes")
    return Cid(data)


def of_block(data: bytes, *, codec: int = RAW, version: int = 1) -> Cid:
    """Return the SHA-256 CID of a block. Version 0 is dag-pb by definition."""
    assert version == 1 or codec == DAG_PB, "a CID of version 0 names dag-pb"
    assert codec < 0x80, "a one-byte codec"
    digest = _SHA256_PREFIX + hashlib.sha256(data).digest()
    return Cid(digest if version == 0 else bytes((1, codec)) + digest)


def verify_block(cid: Cid, data: bytes) -> None:
    """Return if ``data`` is the block that ``cid`` names.

    Raises:
        CidMismatchError: It is not.
    """
    code, digest = multihash(cid)
    if _HASHES[code][1](data) != digest:
        raise CidMismatchError(f"{len(data)} bytes are not the block {text(cid)}")


def text(cid: Cid) -> str:
    """Return the customary text form: base58 for version 0, base32 for version 1."""
    if version_of(cid) == 0:
        return base58.b58encode(cid).decode()
    return "b" + _to_base32(cid).lower()


def version_of(cid: Cid) -> int:
    """Return 0 or 1."""
    return 0 if cid[:2] == _SHA256_PREFIX else 1


def codec_of(cid: Cid) -> int:
    """Return the multicodec of the block: ``RAW``, ``DAG_PB``, ..."""
    if cid[:4] in _COMMON_PREFIXES:
        return cid[1]
    return DAG_PB if version_of(cid) == 0 else read_varint(cid, 1)[0]


def multihash(cid: Cid) -> tuple[int, bytes]:
    """Return the hash function's code and the digest: what two CIDs of one block's bytes share."""
    if cid[:4] in _COMMON_PREFIXES:
        return _SHA256_PREFIX[0], bytes(cid[4:])
    offset = 0
    if version_of(cid) == 1:
        _, offset = read_varint(cid, 1)
    code, offset = read_varint(cid, offset)
    _, offset = read_varint(cid, offset)
    return code, bytes(cid[offset:])


def read_varint(data: bytes, offset: int) -> tuple[int, int]:
    """Return the unsigned LEB128 integer at ``offset`` and the offset after it.

    Raises:
        ValueError: Truncated, longer than nine bytes, or not minimal.
    """
    value = shift = 0
    for index in range(offset, min(offset + 9, len(data))):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise ValueError("varint is not minimal")
            return value, index + 1
        shift += 7
    raise ValueError("varint is truncated or too long")


def write_varint(value: int) -> bytes:
    """Return the minimal unsigned LEB128 encoding of ``value``."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _decode_multibase(text: str) -> bytes:
    decode_encode = MULTIBASES.get(text[:1])
    if decode_encode is None:
        raise InvalidCidError(f"not a CID: {text!r}")
    decode, encode = decode_encode
    try:
        data = decode(text[1:])
    except ValueError:
        raise InvalidCidError(f"not a CID: {text!r}") from None
    # The decoders overlook spaces, stray bits, case and letters outside ASCII. Encoders do not.
    if encode(data) != text[1:]:
        raise InvalidCidError(f"not a CID: {text!r}")
    return data


def _from_base32(text: str) -> bytes:
    return base64.b32decode(text.upper() + "=" * (-len(text) % 8))


def _to_base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")


def _from_base36(text: str) -> bytes:
    number = int(text, 36)
    if number < 0:
        raise ValueError("a sign is not a digit")
    zeros = len(text) - len(text.lstrip("0"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _to_base36(data: bytes) -> str:
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return "0" * (len(data) - len(data.lstrip(b"\0"))) + digits


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


MULTIBASES: Final[dict[str, tuple[Callable[[str], bytes], Callable[[bytes], str]]]] = {
    "f": (bytes.fromhex, bytes.hex),
    "F": (bytes.fromhex, lambda data: data.hex().upper()),
    "b": (_from_base32, lambda data: _to_base32(data).lower()),
    "B": (_from_base32, _to_base32),
    "k": (_from_base36, _to_base36),
    "K": (_from_base36, lambda data: _to_base36(data).upper()),
    "z": (base58.b58decode, lambda data: base58.b58encode(data).decode()),
    "u": (_from_base64url, lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")),
}
"""How to read and write each multibase, by its prefix (multiformats multibase table)."""

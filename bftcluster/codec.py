"""Strict canonical CBOR: for every value exactly one encoding, and nothing else decodes.

The profile is RFC 8949 section 4.2.1 on integers, byte and text strings, arrays, booleans, null,
and maps whose keys are all text or all unsigned. Signed messages are positional arrays. A library
decodes, this module encodes, and what it would encode otherwise does not decode.
"""

from collections.abc import Iterable
from typing import Any, Final, NoReturn, TypeAlias

import cbor2

from bftcluster.errors import MalformedMessageError
from bftcluster.limits import CBOR_DEPTH_MAX, CBOR_SIZE_MAX_BYTES

Buffer: TypeAlias = bytes | bytearray | memoryview

INTEGER_MIN: Final = -(1 << 63)
INTEGER_MAX: Final = (1 << 64) - 1
_UNSIGNED: Final = 0x00
_NEGATIVE: Final = 0x20
_BYTES: Final = 0x40
_TEXT: Final = 0x60
_ARRAY: Final = 0x80
_MAP: Final = 0xA0
_FALSE: Final = b"\xf4"
_TRUE: Final = b"\xf5"
_NULL: Final = b"\xf6"
_ONE_BYTE: Final = tuple(bytes((number,)) for number in range(256))
_BUILT_IN_TAGS: Final = (
    *range(6), 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799,
)  # fmt: skip


def encode(value: Any) -> bytes:  # noqa: ANN401 - the codec is where untyped values end
    """Return the only encoding of ``value``.

    Raises:
        MalformedMessageError: ``value`` holds a type, range, key, depth (containers within
            containers, at most ``CBOR_DEPTH_MAX``) or text (a lone surrogate) outside the profile.
    """
    parts: list[bytes] = []
    try:
        _write((value,), 0, parts)
    except UnicodeEncodeError as exc:
        raise MalformedMessageError(f"text that UTF-8 cannot hold: {exc.reason}") from None
    return b"".join(parts)


def decode(data: Buffer, *, size_max_bytes: int = CBOR_SIZE_MAX_BYTES) -> Any:  # noqa: ANN401
    """Return the value whose only encoding is ``data``.

    Args:
        data: Untrusted bytes.
        size_max_bytes: Refuse anything longer, before parsing it.

    Raises:
        MalformedMessageError: Too long, too deep, not CBOR, or not the canonical encoding (a
            longer integer form, unsorted or repeated keys, indefinite lengths, trailing bytes).
    """
    if len(data) > size_max_bytes:
        raise MalformedMessageError(f"{len(data)} bytes, at most {size_max_bytes}")
    try:
        value = cbor2.loads(
            data,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            max_depth=CBOR_DEPTH_MAX,
            semantic_decoders=_REFUSE_TAGS,
            tag_hook=_refuse_tag,
        )
    except (cbor2.CBORError, ValueError, OverflowError, MemoryError) as exc:
        raise MalformedMessageError(f"not canonical CBOR: {exc}") from None
    if encode(value) != data:
        raise MalformedMessageError("not the canonical encoding")
    return value


def first_number(data: bytes) -> int | None:
    """Return the number, below 256, that the short array in ``data`` begins with, else None.

    Only the head is looked at: the rest may be anything.
    """
    if len(data) < 2 or not _ARRAY <= data[0] < _ARRAY + 24:
        return None
    if data[1] < 24:
        return data[1]
    return data[2] if data[1] == 24 and len(data) > 2 else None


def strings_after_number(data: bytes) -> list[bytes]:
    """Return the strings, of bytes or of text, in the short array that ``data`` encodes.

    Empty unless the array is a number below 24 and nothing but such strings, to the last byte and
    with the shortest heads. What they hold is not looked at: long ones cost as little.
    """
    if len(data) < 2 or not _ARRAY < data[0] < _ARRAY + 24 or data[1] >= 24:
        return []
    found: list[bytes] = []
    at = 2
    for _ in range(data[0] - _ARRAY - 1):
        begin, size = _string_at(data, at)
        at = begin + size
        if not begin or at > len(data):
            return []
        found.append(data[begin:at])
    return found if at == len(data) else []


def _string_at(data: bytes, at: int) -> tuple[int, int]:
    """Return where the string begins whose head is at ``at``, or 0, and how long it is to be."""
    head = data[at] if at < len(data) else 0
    major, size = head & 0xE0, head & 0x1F
    if major not in (_BYTES, _TEXT) or size > 27:
        return 0, 0
    begin = at + 1
    if size >= 24:
        begin += 1 << (size - 24)
        size = int.from_bytes(data[at + 1 : begin], "big")
    return (begin, size) if data[at:begin] == _head(major, size) else (0, 0)


def _write(items: Iterable[Any], containers: int, parts: list[bytes]) -> None:
    """Append the encodings of ``items``, which lie inside so many ``containers``.

    A loop over items that recurses for containers only: it runs for every message, twice.
    """
    if containers > CBOR_DEPTH_MAX:
        raise MalformedMessageError(f"nested deeper than {CBOR_DEPTH_MAX}")
    for item in items:
        kind = type(item)
        if kind is bytes:
            parts.append(_head(_BYTES, len(item)))
            parts.append(item)
        elif kind is int:
            if not INTEGER_MIN <= item <= INTEGER_MAX:
                raise MalformedMessageError("integer outside 64 bits")
            parts.append(_head(_UNSIGNED, item) if item >= 0 else _head(_NEGATIVE, -1 - item))
        elif kind is str:
            text = item.encode()
            parts.append(_head(_TEXT, len(text)))
            parts.append(text)
        elif kind is list or kind is tuple:
            parts.append(_head(_ARRAY, len(item)))
            _write(item, containers + 1, parts)
        elif kind is dict:
            _check_keys(item)
            parts.append(_head(_MAP, len(item)))
            encoded = {encode(key): value for key, value in item.items()}
            for key in sorted(encoded):
                parts.append(key)
                _write((encoded[key],), containers + 1, parts)
        elif item is None:
            parts.append(_NULL)
        elif kind is bool:
            parts.append(_TRUE if item else _FALSE)
        else:
            raise MalformedMessageError(f"{kind.__name__} has no canonical encoding")


def _head(major: int, number: int) -> bytes:
    """Return the shortest head of an item: its major type, shifted, and its number or length."""
    if number < 24:
        return _ONE_BYTE[major + number]
    if number < 1 << 8:
        return ((major + 24 << 8) + number).to_bytes(2, "big")
    if number < 1 << 16:
        return ((major + 25 << 16) + number).to_bytes(3, "big")
    if number < 1 << 32:
        return ((major + 26 << 32) + number).to_bytes(5, "big")
    return ((major + 27 << 64) + number).to_bytes(9, "big")


def _check_keys(keys: Iterable[Any]) -> None:
    kinds = {type(key) for key in keys}
    if len(kinds) > 1 or not kinds <= {str, int}:
        raise MalformedMessageError("map keys must be all text or all unsigned")
    if kinds == {int} and not all(0 <= key <= INTEGER_MAX for key in keys):
        raise MalformedMessageError("map key outside 64 bits")


def _refuse_tag(*_: object) -> NoReturn:
    raise cbor2.CBORDecodeError("tags are not allowed")


_REFUSE_TAGS: Final = dict.fromkeys(_BUILT_IN_TAGS, _refuse_tag)

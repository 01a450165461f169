"""Protobuf as far as dag-pb and UnixFS need it: fields that are a number or bytes.

A field begins with its tag: its number in the specification, and how its value is written.
"""

from bftcluster.cid import read_varint, write_varint

_VARINT = 0
_BYTES = 2
_FIXED_SIZES_BYTES = {1: 8, 5: 4}


def number_tag(field: int) -> int:
    """Return the tag of a field, by its number, that is a varint."""
    return field << 3 | _VARINT


def bytes_tag(field: int) -> int:
    """Return the tag of a field, by its number, that is bytes behind their length."""
    return field << 3 | _BYTES


def is_number(tag: int) -> bool:
    """Return whether a varint follows."""
    return tag & 7 == _VARINT


def number_field(tag: int, value: int) -> bytes:
    """Return an encoded field; its number is at most 15."""
    return bytes((tag,)) + write_varint(value)


def bytes_field(tag: int, value: bytes) -> bytes:
    """Return an encoded field; its number is at most 15."""
    return bytes((tag,)) + write_varint(len(value)) + value


def read_bytes(data: bytes, offset: int) -> tuple[bytes, int]:
    """Return the bytes whose length stands at ``offset``, and the offset behind them.

    Raises:
        ValueError: Truncated, or no length.
    """
    size, offset = read_varint(data, offset)
    return _taken(data, offset, size)


def read_other(data: bytes, offset: int, tag: int) -> tuple[bytes, int]:
    """Return the value of a field that is no varint, known or not, and the offset behind it.

    Raises:
        ValueError: Truncated, or written in a way that we do not know.
    """
    kind = tag & 7
    if kind == _BYTES:
        return read_bytes(data, offset)
    if kind not in _FIXED_SIZES_BYTES:
        raise ValueError(f"wire type {kind}")
    return _taken(data, offset, _FIXED_SIZES_BYTES[kind])


def _taken(data: bytes, offset: int, size: int) -> tuple[bytes, int]:
    end = offset + size
    if end > len(data):
        raise ValueError("truncated")
    return data[offset:end], end

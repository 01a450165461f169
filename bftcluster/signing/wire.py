"""Reads signed structures: canonical arrays of known shape."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from bftcluster import codec
from bftcluster.errors import MalformedMessageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WireFormat:
    """How one kind of structure is encoded: an array that begins with the format's version."""

    what: str
    """Named in errors."""
    version: int
    kinds: list[type]
    """The exact type of each item behind the version."""
    size_max_bytes: int

    def read(self, data: bytes) -> list[Any]:
        """Return the items behind the version in ``data``, which is not trusted.

        Raises:
            MalformedMessageError: Too long, not canonical, or of another shape or version.
        """
        shape = [int, *self.kinds]
        found, *items = read_array(data, shape, self.what, size_max_bytes=self.size_max_bytes)
        if found != self.version:
            raise MalformedMessageError(f"{self.what} of version {found}")
        return items

    def encoded(self, *items: object) -> bytes:
        """Return the canonical encoding of ``items``, which come behind the version."""
        return codec.encode([self.version, *items])


def read_array(data: bytes, kinds: list[type], what: str, *, size_max_bytes: int) -> list[Any]:
    """Return the items of the canonical array ``data``.

    Args:
        data: Untrusted bytes.
        kinds: The exact type of each item. Ranges are the caller's business.
        what: Named in the error.
        size_max_bytes: Refuse anything longer.

    Raises:
        MalformedMessageError: Not canonical, or of another shape.
    """
    return check_array(codec.decode(data, size_max_bytes=size_max_bytes), kinds, what)


def read_kind(
    data: bytes, parsers: Mapping[int, Callable[[list[Any]], T]], what: str, *, size_max_bytes: int
) -> T:
    """Return what the canonical array ``data``, which begins with the number of its kind, says.

    Args:
        data: Untrusted bytes.
        parsers: By kind; each takes the whole array, and judges its shape.
        what: Named in the error.
        size_max_bytes: Refuse anything longer.

    Raises:
        MalformedMessageError: Not canonical, of no kind that has a parser, or of another shape.
    """
    items = codec.decode(data, size_max_bytes=size_max_bytes)
    if type(items) is not list or not items:
        raise MalformedMessageError(f"{what} is no array")
    parse = parsers.get(items[0]) if type(items[0]) is int else None
    if parse is None:
        raise MalformedMessageError(f"{what} of an unknown kind")
    return parse(items)


def check_array(value: object, kinds: list[type], what: str) -> list[Any]:
    """Return ``value`` if it is a decoded array of exactly these kinds.

    Raises:
        MalformedMessageError: It is not.
    """
    if type(value) is not list or list(map(type, value)) != kinds:
        raise MalformedMessageError(f"{what} has another shape")
    return value


def check_items(items: list[Any], kind: type[T], what: str) -> tuple[T, ...]:
    """Return the items of an array within an array, if each is exactly of this kind.

    Raises:
        MalformedMessageError: One is not.
    """
    if not all(type(item) is kind for item in items):
        raise MalformedMessageError(f"{what} of another type")
    return tuple(items)


def check_size(data: bytes, size: int, what: str) -> None:
    """Return if ``data`` has ``size`` bytes.

    Raises:
        MalformedMessageError: It has not.
    """
    if len(data) != size:
        raise MalformedMessageError(f"{what} of {len(data)} bytes, not {size}")

"""Strict canonical CBOR: for every value exactly one encoding, and nothing else decodes.

The profile is RFC 8949 section 4.2.1 on integers, byte and text strings, arrays, booleans, null,
and maps whose keys are all text or all unsigned. Signed messages are positional arrays.
"""

from collections.abc import Iterable
from typing import Any, Final, NoReturn, TypeAlias

import cbor2

from bftcluster.errors import MalformedMessageError
from bftcluster.limits import CBOR_DEPTH_MAX, CBOR_SIZE_MAX_BYTES

Buffer: TypeAlias = bytes | bytearray | memoryview

INTEGER_MIN: Final = -(1 << 63)
INTEGER_MAX: Final = (1 << 64) - 1
_BUILT_IN_TAGS: Final = (
    *range(6), 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799,
)  # fmt: skip


def encode(value: Any) -> bytes:  # noqa: ANN401 - the codec is where untyped values end
    """Return the only encoding of ``value``.

    Raises:
        MalformedMessageError: ``value`` holds a type, range, key, depth (containers within
            containers, at most ``CBOR_DEPTH_MAX``) or text (a lone surrogate) outside the profile.
    """
    _check((value,), 0)
    try:
        return cbor2.dumps(value, canonical=True)
    except UnicodeEncodeError as exc:
        raise MalformedMessageError(f"text that UTF-8 cannot hold: {exc.reason}") from None


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


def _check(items: Iterable[Any], containers: int) -> None:
    """Refuse what has no canonical encoding among ``items``, which lie inside ``containers``.

    A loop over items that recurses for containers only: it runs for every message, twice.
    """
    if containers > CBOR_DEPTH_MAX:
        raise MalformedMessageError(f"nested deeper than {CBOR_DEPTH_MAX}")
    for item in items:
        kind = type(item)
        if kind is bytes or kind is str:
            continue
        if kind is int:
            if not INTEGER_MIN <= item <= INTEGER_MAX:
                raise MalformedMessageError("integer outside 64 bits")
        elif kind is list or kind is tuple:
            _check(item, containers + 1)
        elif kind is dict:
            _check_keys(item)
            _check(item.values(), containers + 1)
        elif item is not None and kind is not bool:
            raise MalformedMessageError(f"{kind.__name__} has no canonical encoding")


def _check_keys(keys: Iterable[Any]) -> None:
    kinds = {type(key) for key in keys}
    if len(kinds) > 1 or not kinds <= {str, int}:
        raise MalformedMessageError("map keys must be all text or all unsigned")
    if kinds == {int} and not all(0 <= key <= INTEGER_MAX for key in keys):
        raise MalformedMessageError("map key outside 64 bits")


def _refuse_tag(*_: object) -> NoReturn:
    raise cbor2.CBORDecodeError("tags are not allowed")


_REFUSE_TAGS: Final = dict.fromkeys(_BUILT_IN_TAGS, _refuse_tag)

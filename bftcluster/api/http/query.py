"""Query parameters as Go's standard library reads them: booleans, integers, durations, times.

Go's client always sends its empty options (``name=&shard-size=0``): empty is absent.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from bftcluster.api.http.json_text import NEVER
from bftcluster.errors import UsageError
from bftcluster.ids import Digest
from bftcluster.limits import DIGEST_SIZE_BYTES

_BOOLEANS: Final = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)")
_UNITS_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TEXT_SIZE_MAX_CHARS: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Query = Mapping[str, str]


def boolean(query: Query, name: str, *, default: bool = False) -> bool:
    """Return a flag.

    Raises:
        UsageError: None of Go's words for true and false.
    """
    text = query.get(name, "")
    if not text:
        return default
    if text not in _BOOLEANS:
        raise UsageError(f"parameter {name} is neither true nor false: {text[:64]!r}")
    return _BOOLEANS[text]


def integer(query: Query, name: str, *, default: int, lowest: int, highest: int) -> int:
    """Return a decimal number.

    Raises:
        UsageError: Not a number, or outside ``lowest`` … ``highest``.
    """
    text = query.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise UsageError(f"parameter {name} is not a number: {text[:64]!r}")
    value = int(text)
    if not lowest <= value <= highest:
        raise UsageError(f"parameter {name} is {value}, outside {lowest} … {highest}")
    return value


def seconds(query: Query, name: str, *, default_ms: int, highest_ms: int) -> int:
    """Return milliseconds from a number of seconds, such as ``2.5``.

    Raises:
        UsageError: Not a number of seconds, or too many.
    """
    text = query.get(name, "")
    if not text:
        return default_ms
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise UsageError(f"parameter {name} is not a number of seconds: {text[:64]!r}")
    value_ms = round(float(text) * 1000)
    if value_ms > highest_ms:
        raise UsageError(f"parameter {name} is over {highest_ms // 1000} seconds")
    return value_ms


def parse_duration_ms(text: str) -> int:
    """Return the milliseconds of a Go duration such as ``1h30m`` or ``1.5s``.

    Raises:
        UsageError: Not a duration.
    """
    body = text[1:] if text[:1] in {"+", "-"} else text
    total_ns = 0
    offset = 0
    while offset < len(body) <= _TEXT_SIZE_MAX_CHARS:
        match = _DURATION.match(body, offset)
        if match is None:
            break
        number = match[0].rstrip("nuµμmsh")
        total_ns += round(float(number) * _UNITS_NS[match[0][len(number) :]])
        offset = match.end()
    if offset != len(body) or not body:
        raise UsageError(
            f"not a duration: {text[:64]!r}", hint="a duration looks like 72h or 1h30m"
        )
    total_ms = total_ns // 1_000_000
    return -total_ms if text[0] == "-" else total_ms


def parse_time_ms(text: str) -> int:
    """Return the Unix milliseconds of an RFC 3339 time; 0 for Go's zero time.

    Raises:
        UsageError: Not a time with a time zone.
    """
    if text == NEVER:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - refused below, as it has no zone
    if moment.tzinfo is None or "T" not in text.upper():
        raise UsageError(
            f"not an RFC 3339 time: {text[:64]!r}", hint="a time looks like 2030-01-31T00:00:00Z"
        )
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def parse_digest(text: str) -> Digest:
    """Return a digest from its hexadecimal form.

    Raises:
        UsageError: Not 64 hexadecimal digits.
    """
    if not re.fullmatch(rf"[0-9a-fA-F]{{{2 * DIGEST_SIZE_BYTES}}}", text):
        raise UsageError(
            f"not a digest: {text[:80]!r}", hint="a digest is 64 hexadecimal digits; see /proposals"
        )
    return Digest(bytes.fromhex(text))

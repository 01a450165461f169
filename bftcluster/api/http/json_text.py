"""JSON as ipfs-cluster writes it: compact, UTF-8, keys in the order given."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response

from bftcluster.limits import TIME_MAX_MS

NEVER: Final = "0001-01-01T00:00:00Z"
"""Go's zero time: ipfs-cluster's way to say "not set"."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def json_bytes(shape: object) -> bytes:
    """Return one value."""
    return _encode(shape).encode("utf-8", "replace")


def ndjson_bytes(shapes: Iterable[object]) -> bytes:
    """Return one line for each value."""
    return "".join([_encode(shape) + "\n" for shape in shapes]).encode("utf-8", "replace")


def json_response(
    shape: object, status: int = 200, *, headers: dict[str, str] | None = None
) -> Response:
    """Return one value as a response."""
    return Response(json_bytes(shape), status, headers=headers, media_type="application/json")


def time_text(ms: int) -> str:
    """Return Unix milliseconds as RFC 3339 in UTC; 0 is Go's zero time."""
    if ms == 0:
        return NEVER
    seconds, rest = divmod(min(ms, TIME_MAX_MS), 1000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:03d}Z" if rest else f"{text}Z"

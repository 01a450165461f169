"""The query of ``/add``: how to build the DAG, and every pin option besides."""

import re
from collections.abc import Callable
from typing import Final

from bftcluster.api.http.query import Query, boolean, integer
from bftcluster.api.pin_options import parse_pin_options
from bftcluster.api.views import CHUNK_SIZE_DEFAULT_BYTES, UploadFormat, UploadOptions
from bftcluster.errors import UsageError
from bftcluster.shell_limits import BLOCK_SIZE_MAX_BYTES

_CHUNK_SIZE_MAX_BYTES: Final = BLOCK_SIZE_MAX_BYTES - 256
"""Leaves room for a dag-pb leaf's own bytes, as Kubo does."""


def parse_add_options(query: Query, *, wall_ms: Callable[[], int]) -> UploadOptions:
    """Return the options.

    Raises:
        UsageError: An option is wrong, or asks for what this peer does not build.
    """
    _refuse_unsupported(query)
    cid_version = integer(query, "cid-version", default=0, lowest=0, highest=1)
    wrap = boolean(query, "wrap-with-directory")
    added = UploadOptions(
        pin=parse_pin_options(query, wall_ms=wall_ms),
        format=_format(query.get("format", "")),
        chunk_size_bytes=_chunk_size_bytes(query.get("chunker", "")),
        raw_leaves=boolean(query, "raw-leaves", default=cid_version > 0),
        cid_version=cid_version,
        wrap_with_directory=wrap,
        progress=boolean(query, "progress"),
        local=boolean(query, "local"),
        no_pin=boolean(query, "no-pin"),
    )
    if added.format is UploadFormat.CAR and wrap:
        raise UsageError("a CAR cannot be wrapped with a directory")
    return added


def _refuse_unsupported(query: Query) -> None:
    for name in ("shard", "nocopy", "only-hash"):
        if boolean(query, name):
            raise UsageError(f"parameter {name} is not supported")
    for name, known in (("layout", "balanced"), ("hash", "sha2-256")):
        if query.get(name, "") not in ("", known):
            raise UsageError(f"{name} {query[name][:64]!r} is not supported, only {known}")


def _format(text: str) -> UploadFormat:
    try:
        return UploadFormat(text or "unixfs")
    except ValueError:
        raise UsageError(f"format is unixfs or car, not {text[:64]!r}") from None


def _chunk_size_bytes(text: str) -> int:
    if text in ("", "default"):
        return CHUNK_SIZE_DEFAULT_BYTES
    match = re.fullmatch(r"size-([0-9]{1,9})", text)
    if match is None:
        raise UsageError(
            f"chunker {text[:64]!r} is not supported", hint="chunks of one size, as size-262144"
        )
    size = int(match[1])
    if not 1 <= size <= _CHUNK_SIZE_MAX_BYTES:
        raise UsageError(f"chunks of {size} bytes, outside 1 … {_CHUNK_SIZE_MAX_BYTES}")
    return size

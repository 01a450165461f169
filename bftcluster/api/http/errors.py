"""Turns an error into a status and ipfs-cluster's error object, with our hint."""

from typing import Final

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bftcluster.api.http.asgi import BrokenOffError, SlowClientError
from bftcluster.api.http.json_text import json_bytes
from bftcluster.errors import (
    BlockNotFoundError,
    BlockStoreError,
    CidMismatchError,
    ClusterError,
    ConfigError,
    HaltedError,
    LocalProtocolError,
    MalformedContentError,
    MalformedMessageError,
    MessageTooLargeError,
    NotFoundError,
    NotReachedError,
    ProtocolError,
    RefusedError,
    RequestTimeoutError,
    SigningError,
    StorageError,
    StoreFullError,
    TransportError,
    UsageError,
)

PIN_NOT_FOUND: Final = "pin is not part of the pinset"
"""Exactly ipfs-cluster's words: its clients compare them."""

RETRY_AFTER_S: Final = 5

_STATUSES: Final[tuple[tuple[type[ClusterError], int], ...]] = (
    (RefusedError, 403),
    (SlowClientError, 408),
    (UsageError, 400),
    (NotFoundError, 404),
    (BlockNotFoundError, 404),
    (RequestTimeoutError, 504),
    (NotReachedError, 503),
    (MessageTooLargeError, 413),
    (TransportError, 503),
    (StoreFullError, 507),
    (CidMismatchError, 400),
    (MalformedMessageError, 400),
    (LocalProtocolError, 400),
    (ProtocolError, 502),
    (SigningError, 403),
    (MalformedContentError, 400),
    (HaltedError, 503),
    (BlockStoreError, 500),
    (StorageError, 500),
    (ConfigError, 500),
)
"""The first that matches."""

_log = structlog.get_logger(__name__)


class BusyError(NotReachedError):
    """Too many clients want the same kind of work at once."""

    hint = "try again in a few seconds"


class PinNotFoundError(NotFoundError):
    """The CID is not part of the pinset."""

    def __init__(self) -> None:
        super().__init__(PIN_NOT_FOUND)


def status_of(error: ClusterError) -> int:
    """Return the HTTP status that says what kind of error it is."""
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    raise AssertionError(f"a {type(error).__name__} has no status")


def error_object(error: Exception) -> dict[str, object]:
    """Return the JSON of an error. Nothing of an unexpected one is told but that it happened."""
    if not isinstance(error, ClusterError):
        return {"code": 500, "message": "internal error", "hint": "the peer's log has the details"}
    shape: dict[str, object] = {"code": status_of(error), "message": str(error)}
    if error.hint:
        shape["hint"] = error.hint
    return shape


def error_response(status: int, message: str, *, hint: str = "") -> Response:
    """Return an error object as a response."""
    shape: dict[str, object] = {"code": status, "message": message}
    if hint:
        shape["hint"] = hint
    return Response(json_bytes(shape), status, media_type="application/json")


async def answer_cluster_error(_: Request, error: Exception) -> Response:
    """Answer an expected failure."""
    assert isinstance(error, ClusterError), "registered for these only"
    headers = {"retry-after": str(RETRY_AFTER_S)} if isinstance(error, BusyError) else None
    return Response(
        json_bytes(error_object(error)), status_of(error), headers, media_type="application/json"
    )


async def answer_http_error(_: Request, error: Exception) -> Response:
    """Answer what the router refuses: 404 with an object, 405 with nothing, as ipfs-cluster."""
    assert isinstance(error, HTTPException), "registered for these only"
    if error.status_code == 405:
        return Response(status_code=405, headers=error.headers)
    message = "not found" if error.status_code == 404 else error.detail
    return error_response(error.status_code, message)


async def answer_bug(request: Request, error: Exception) -> Response:
    """Answer an unexpected failure; the stack goes to the log only."""
    if not isinstance(error, BrokenOffError):
        _log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
    return Response(json_bytes(error_object(error)), 500, media_type="application/json")

"""The ordered unit: some requests, the time they are judged by, and who proposed them."""

from dataclasses import dataclass, field
from typing import Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import View
from bftcluster.limits import (
    BATCH_REQUESTS_MAX,
    BATCH_SIZE_MAX_BYTES,
    COUNTER_MAX,
    FRAME_SIZE_MAX_BYTES,
    REQUEST_SIZE_MAX_BYTES,
    TIMESTAMP_MAX_MS,
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests in the order they will be executed."""

    timestamp_ms: int
    """Unix time the primary proposed; greater than that of any batch before. 0 in a null batch,
    which has no requests and no time of its own."""
    requests: tuple[bytes, ...]
    view: View = field(default=View(0))
    """In which it was proposed first. Part of the content, like the time: a later view that
    proposes the batch again leaves it as it is. 0 in what fills a gap."""

    @property
    def is_null(self) -> bool:
        """Whether it only takes a place in the order."""
        return self.timestamp_ms == 0

    @property
    def is_tick(self) -> bool:
        """Whether it only says what time it is, for the state to do what is due."""
        return not self.requests and not self.is_null

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, whose SHA-256 is the batch's digest."""
        return codec.encode([self.timestamp_ms, self.view, list(self.requests)])

    @classmethod
    def from_bytes(cls, data: bytes) -> "Batch":
        """Return the batch that ``data`` encodes.

        Raises:
            MalformedMessageError: Not canonical, too many or too large requests, the same request
                twice, or requests without a time.
        """
        value = codec.decode(data, size_max_bytes=FRAME_SIZE_MAX_BYTES)
        if type(value) is not list or len(value) != 3:
            raise MalformedMessageError("a batch is [timestamp, view, requests]")
        timestamp_ms, view, requests = value
        if type(timestamp_ms) is not int or not 0 <= timestamp_ms <= TIMESTAMP_MAX_MS:
            raise MalformedMessageError("a batch's timestamp is unix milliseconds")
        if type(view) is not int or not 0 <= view <= COUNTER_MAX:
            raise MalformedMessageError("a batch's view is a counter")
        if type(requests) is not list or len(requests) > BATCH_REQUESTS_MAX:
            raise MalformedMessageError(f"a batch has at most {BATCH_REQUESTS_MAX} requests")
        if any(type(request) is not bytes for request in requests):
            raise MalformedMessageError("a request is bytes")
        _check_sizes(requests)
        if timestamp_ms == 0 and requests:
            raise MalformedMessageError("requests have a time")
        return cls(timestamp_ms, tuple(requests), View(view))


def _check_sizes(requests: list[bytes]) -> None:
    sizes = [len(request) for request in requests]
    if sizes and max(sizes) > REQUEST_SIZE_MAX_BYTES:
        raise MalformedMessageError(f"a request has at most {REQUEST_SIZE_MAX_BYTES} bytes")
    if sizes and min(sizes) == 0:
        raise MalformedMessageError("a request is not empty")
    if sum(sizes) > BATCH_SIZE_MAX_BYTES:
        raise MalformedMessageError(f"a batch has at most {BATCH_SIZE_MAX_BYTES} bytes")
    if len(set(requests)) != len(requests):
        raise MalformedMessageError("a batch holds no request twice")


NULL_BATCH: Final = Batch(0, ()).to_bytes()
"""Fills a sequence number for which a new view knows no proposal. Proposed afresh, in whatever
view, a null batch is good only where the executed state asks for batches."""

"""Lists as ipfs-cluster streams them, and what a client sees when one breaks off.

One JSON object and a newline for each item, sent as it becomes available, under
``Content-Type: application/json``. No items at all is 204. An error before the first item is an
ordinary error. A later one is the HTTP trailer ``X-Stream-Error``, which is empty if all went well.

Most HTTP libraries hide trailers, and a list cut short must not pass for a whole one. So a client
that sends ``Accept: application/x-ndjson`` gets the error as a last line instead: an object whose
only key is ``error``. Where the server cannot send trailers the connection is broken off.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Final, Generic, TypeVar

import structlog
import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bftcluster.api.http.asgi import BrokenOffError, RequestBody, while_connected
from bftcluster.api.http.errors import error_object
from bftcluster.api.http.json_text import ndjson_bytes
from bftcluster.api.views import Pages
from bftcluster.errors import ClusterError
from bftcluster.shell_limits import LINES_PENDING_MAX

T = TypeVar("T")

NDJSON: Final = "application/x-ndjson"
TRAILERS_EXTENSION: Final = "http.response.trailers"

_LINES_PER_WRITE: Final = 1_024

_log = structlog.get_logger(__name__)


class LineStream:
    """One streamed answer: a head, lines, and an end in which an error fits."""

    def __init__(
        self, scope: Scope, send: Send, *, headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        self.is_started = False
        self._send = send
        self._is_ndjson = any(
            name == b"accept" and NDJSON.encode() in value for name, value in scope["headers"]
        )
        self._has_trailers = not self._is_ndjson and TRAILERS_EXTENSION in scope.get(
            "extensions", ()
        )
        media_type = NDJSON if self._is_ndjson else "application/json"
        self._headers = [(b"content-type", media_type.encode()), *headers]
        if self._has_trailers:
            self._headers.append((b"trailer", b"X-Stream-Error"))

    async def write(self, lines: bytes) -> None:
        """Send whole lines now; the first ones with the head before them."""
        if not self.is_started:
            await self._start()
        await self._send({"type": "http.response.body", "body": lines, "more_body": True})

    async def finish(self, error: Exception | None = None) -> None:
        """End the answer, telling of ``error``.

        Raises:
            BrokenOffError: There is no way to tell.
        """
        if not self.is_started:
            await self._start()
        last = b""
        if error is not None:
            log_break(error)
            if self._is_ndjson:
                last = ndjson_bytes([{"error": error_object(error)}])
            elif not self._has_trailers:
                raise BrokenOffError
        await self._send({"type": "http.response.body", "body": last, "more_body": False})
        if self._has_trailers:
            text = "" if error is None else str(error_object(error)["message"])
            value = " ".join(text.split()).encode("ascii", "replace")
            await self._send({"type": TRAILERS_EXTENSION, "headers": [(b"x-stream-error", value)]})

    async def _start(self) -> None:
        self.is_started = True
        await self._send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": self._headers,
                "trailers": self._has_trailers,
            }
        )


class LineQueue:
    """Lines that wait while the client still sends.

    A client that reads nothing until it has sent everything must not block itself: its answer
    waits here, and only when the queue is full does ``put`` wait, and the reading stop.
    """

    def __init__(self, lines: LineStream) -> None:
        self._lines = lines
        self._writer, self._reader = trio.open_memory_channel[bytes](LINES_PENDING_MAX)

    async def put(self, line: bytes) -> None:
        """Have a whole line sent soon."""
        try:
            self._writer.send_nowait(line)
        except trio.WouldBlock:
            await self._writer.send(line)

    def close(self) -> None:
        """Let ``run`` return once all is sent."""
        self._writer.close()

    async def run(self) -> None:
        """Send what waits, as few writes as possible."""
        async for line in self._reader:
            waiting = [line]
            while self._reader.statistics().current_buffer_used and len(waiting) < _LINES_PER_WRITE:
                waiting.append(self._reader.receive_nowait())
            await self._lines.write(b"".join(waiting))


def log_break(error: Exception) -> None:
    """Log why an answer ends early; a stack only if it was a bug."""
    if isinstance(error, ClusterError):
        _log.warning("answer broken off", error=str(error))
    else:
        _log.error("answer broken off", exc_info=error)


async def answer_while_reading(
    lines: LineStream, work: Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]]
) -> None:
    """Run ``work`` with a function that sends a line, then end the answer.

    Raises:
        Exception: What ``work`` raised, if no line was sent before.
    """
    error: Exception | None = None
    queue = LineQueue(lines)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.run)
        try:
            await work(queue.put)
        except Exception as exc:  # noqa: BLE001 - told to the client below
            error = exc
        queue.close()
    if error is not None and not lines.is_started:
        raise error
    await lines.finish(error)


class JsonLines(Response, Generic[T]):
    """Streams pages of views, one line for each item."""

    def __init__(self, pages: Pages[T], shape: Callable[[T], object | None]) -> None:
        """Take the pages, and the JSON of an item; None leaves the item out."""
        super().__init__()
        self._pages = pages
        self._shape = shape

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the pages end, or the client has gone."""
        body = RequestBody(receive)
        async for _ in body:
            pass
        await while_connected(body, lambda: self._stream(LineStream(scope, send), send))

    async def _stream(self, lines: LineStream, send: Send) -> None:
        error: Exception | None = None
        async with aclosing(self._pages) as pages:
            try:
                async for page in pages:
                    shapes = [shape for item in page if (shape := self._shape(item)) is not None]
                    if shapes:
                        await lines.write(ndjson_bytes(shapes))
            except Exception as exc:
                if not lines.is_started:
                    raise
                error = exc
        if lines.is_started:
            await lines.finish(error)
        else:
            await Response(status_code=204)({"type": "http"}, _no_receive, send)


async def _no_receive() -> dict[str, object]:
    raise AssertionError("an empty response reads nothing")

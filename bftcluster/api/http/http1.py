"""HTTP/1.1 on hypercorn's connection handling, with what ipfs-cluster's protocol needs besides.

Hypercorn 0.18 speaks trailers on HTTP/2 and 3 only, reads 64 KiB at a time, and shields its writes
from cancellation, so that one client which does not read holds a shutdown up for ever. The
classes below change that. HTTP/2, its upgrade, and WebSockets are left out: nothing here
serves them. A response's head and the start of its body leave in one packet.
"""

import select
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import EndBody, Request, StreamClosed, Trailers
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import EventWrapper, TrioSingleTask, WorkerContext
from hypercorn.typing import (
    AppWrapper,
    ASGIReceiveEvent,
    ASGISendEvent,
    ConnectionState,
    H11SendableEvent,
    LifespanState,
    Scope,
)
from hypercorn.utils import parse_socket_addr

from bftcluster.api.http.list_stream import TRAILERS_EXTENSION
from bftcluster.shell_limits import (
    ANSWER_PACE_BYTES,
    ANSWER_PACE_TIME_MAX_S,
    BODY_PACE_BYTES,
    HEAD_TIME_MAX_S,
    HEADERS_SIZE_MAX_BYTES,
    SENT_AHEAD_SIZE_MAX_BYTES,
)

_RECEIVE_SIZE_BYTES: Final = 256 << 10
_CLOSED_BY_CLIENT: Final = getattr(select, "POLLRDHUP", select.POLLHUP)
"""Linux tells a connection whose other side was closed from one that has data."""


class HttpStream(HTTPStream):
    """One request and its response."""

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Take one ASGI message; trailers end a response that announced them."""
        if message is None or message["type"] != TRAILERS_EXTENSION:
            await super().app_send(message)
        elif self.state is ASGIHTTPState.TRAILERS:
            await self.send(Trailers(stream_id=self.stream_id, headers=list(message["headers"])))
            await self._send_closed()

    async def handle(self, event: StreamEvent) -> None:
        """Take an event of the connection; after a complete response there is nobody to tell.

        Hypercorn says "disconnected" then too, from inside the application's own last send: an
        application that stops when its client goes would cancel that send half-way.
        """
        if isinstance(event, StreamClosed) and self.state is ASGIHTTPState.CLOSED:
            self.closed = True
        else:
            await super().handle(event)


class HttpProtocol(H11Protocol):
    """The requests of one connection, one after another."""

    _trailers: list[tuple[bytes, bytes]]
    _head: bytes = b""
    """Waits for the first bytes of the body, to leave in one packet with them."""

    @property
    def is_between_requests(self) -> bool:
        """Whether the next thing to come is the head of a request."""
        return self.connection.their_state is h11.IDLE

    @property
    def owes_us_more(self) -> bool:
        """Whether the client has yet to send something that belongs to a request."""
        return self.connection.their_state in (h11.IDLE, h11.SEND_BODY)

    async def handle(self, event: Event) -> None:
        """Take bytes; of a head no more at a time than a head may have, so that h11 counts them."""
        if not isinstance(event, RawData):
            await super().handle(event)
            return
        data = event.data
        while self.is_between_requests:
            buffered, _ = self.connection.trailing_data
            room = HEADERS_SIZE_MAX_BYTES - len(buffered)
            if not 0 < room < len(data):
                break
            await super().handle(RawData(data[:room]))
            data = data[room:]
        await super().handle(RawData(data))

    async def stream_send(self, event: StreamEvent) -> None:
        """Send an event; trailers go out with the end of the body."""
        if isinstance(event, Trailers):
            self._trailers = event.headers
        elif isinstance(event, EndBody):
            await self._send_h11_event(h11.EndOfMessage(headers=self._trailers))
        else:
            await super().stream_send(event)

    async def _create_stream(self, request: h11.Request) -> None:
        self._trailers = []
        refusal = self._refusal_of(request)
        if refusal:
            await self._send_error_response(refusal)
            await self.send(Closed())
            return
        self.stream = HttpStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1

    def _refusal_of(self, request: h11.Request) -> int:
        """Return the status that refuses a request whatever it asks; 0 if none does."""
        names = {name.lower() for name, _ in request.headers}
        if {b"content-length", b"transfer-encoding"} <= names:
            return 400  # RFC 9112, section 6.1: a proxy may have read another body than we do
        size_bytes = sum(len(name) + len(value) + 4 for name, value in request.headers)
        if size_bytes + len(request.target) > HEADERS_SIZE_MAX_BYTES:
            return 431  # it came together with the request before it
        return 0

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response):
            self._head = data or b""
        elif self._head or data:
            data, self._head = self._head + (data or b""), b""
            await self.send(RawData(data=data))

    async def _check_protocol(self, event: h11.Request) -> None:
        """Stay with HTTP/1.1."""


class AppTasks(TaskGroup):
    """The tasks of one connection, its application among them."""

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start the application; return a function that gives it an event.

        What the application has not read when it ends is dropped. Hypercorn lets such an event
        wait for ever, and the connection with it.
        """
        writer, reader = trio.open_memory_channel[ASGIReceiveEvent](config.max_app_queue_size)

        async def run() -> None:
            try:
                async with reader:
                    await app(scope, reader.receive, send, _no_thread, _no_thread)
            except Exception:  # noqa: BLE001 - logged; the response is broken off
                await config.log.exception("response broken off")
            await send(None)

        async def put(event: ASGIReceiveEvent) -> None:
            with suppress(trio.BrokenResourceError):
                await writer.send(event)

        assert self._nursery is not None, "the connection is running"
        self._nursery.start_soon(run)
        return put


class _Pause(EventWrapper):
    """Lets the reader of a connection wait for the end of an answer while something is done."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    async def wait(self) -> None:
        """Wait until the next request may be looked at."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._meanwhile)
            await super().wait()
            nursery.cancel_scope.cancel()


def _no_thread(*_: object) -> Any:  # noqa: ANN401 - hypercorn's types
    raise AssertionError("an ASGI application needs no thread of the server's")


class HttpConnection:
    """One connection, until either side closes it or the task is cancelled."""

    def __init__(
        self, app: AppWrapper, config: Config, context: WorkerContext, stream: trio.SocketStream
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._stream = stream
        self._idle = TrioSingleTask()
        self._send_lock = trio.Lock()
        self._tasks = AppTasks()
        self._protocol: HttpProtocol
        self._scope = trio.CancelScope()
        self._since_s = trio.current_time()
        """Since when the client has sent nothing to speak of; the time before a head is all one."""
        self._arrived_bytes = 0
        self._is_reading = False
        self._writing_since_s: float | None = None
        self._has_head_begun = True
        self._ahead = b""
        """What was read while a request was answered."""

    @property
    def waiting_since_s(self) -> float | None:
        """Since when we have waited for the client; None while it waits for us."""
        if self._writing_since_s is not None:
            return self._writing_since_s
        return self._since_s if self._is_reading and self._protocol.owes_us_more else None

    def turn_away(self) -> None:
        """Close soon, whatever is under way."""
        self._scope.cancel()

    async def run(self) -> None:
        """Serve the connection."""
        try:
            with self._scope:
                await self._run()
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _run(self) -> None:
        if self._has_client_gone():
            return
        try:
            client, server = self._addresses()
        except OSError:
            return  # gone in this moment
        self._protocol = HttpProtocol(
            self._app,
            self._config,
            self._context,
            self._tasks,
            ConnectionState(LifespanState()),
            False,
            client,
            server,
            self._send,
        )
        self._protocol.can_read = _Pause(self._read_ahead)
        async with self._tasks:
            await self._close_after(HEAD_TIME_MAX_S)
            await self._read()

    def _addresses(self) -> list[tuple[str, int] | None]:
        """Return the client's and ours."""
        socket = self._stream.socket
        names = (socket.getpeername(), socket.getsockname())
        return [parse_socket_addr(socket.family, name) for name in names]

    async def _read(self) -> None:
        while True:
            self._is_reading = True
            data = self._take_ahead() or await self._receive()
            self._is_reading = False
            if self._protocol.is_between_requests and self._has_client_gone():
                break
            await self._note_arrival(len(data))
            await self._protocol.handle(RawData(data))
            if not data:
                break
        await self._idle.stop()
        await self._protocol.handle(Closed())

    async def _read_ahead(self) -> None:
        """Read while a request is answered, within limits: so a client that goes is noticed."""
        while len(self._ahead) <= SENT_AHEAD_SIZE_MAX_BYTES and (data := await self._receive()):
            self._ahead += data
        self.turn_away()

    def _take_ahead(self) -> bytes:
        data, self._ahead = self._ahead, b""
        return data

    def _has_client_gone(self) -> bool:
        """Whether nobody waits for an answer any more: what it costs is better spent on others."""
        poll = select.poll()
        poll.register(self._stream.socket, _CLOSED_BY_CLIENT)
        return bool(poll.poll(0))

    async def _receive(self) -> bytes:
        """Return what has come; nothing once the client has gone."""
        try:
            return bytes(await self._stream.receive_some(_RECEIVE_SIZE_BYTES))
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            return b""

    async def _note_arrival(self, size_bytes: int) -> None:
        """Keep the time of what was sent since; from the first byte of a head it has little."""
        if self._protocol.is_between_requests:
            if size_bytes and not self._has_head_begun:
                self._has_head_begun = True
                await self._close_after(HEAD_TIME_MAX_S)
            return
        self._arrived_bytes += size_bytes
        if self._arrived_bytes >= BODY_PACE_BYTES:
            self._arrived_bytes, self._since_s = 0, trio.current_time()

    async def _send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Closed):
            await self._close()
        elif isinstance(event, Updated) and event.idle:
            self._has_head_begun, self._since_s = False, trio.current_time()
            await self._close_after(self._config.keep_alive_timeout)
        else:
            self._arrived_bytes, self._since_s = 0, trio.current_time()
            await self._idle.stop()

    async def _write(self, data: bytes) -> None:
        """Write; a cancelled write leaves the connection useless, and ``run`` closes it."""
        async with self._send_lock:
            try:
                for start in range(0, len(data), ANSWER_PACE_BYTES):
                    self._writing_since_s = trio.current_time()
                    with trio.fail_after(ANSWER_PACE_TIME_MAX_S):
                        await self._stream.send_all(data[start : start + ANSWER_PACE_BYTES])
            except (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError):
                self.turn_away()  # to tell the application could wait for ever: it may not listen
            finally:
                self._writing_since_s = None

    async def _close_after(self, patience_s: float) -> None:
        """Close in a while, or when all stops, unless a request comes before."""

        async def close() -> None:
            with trio.move_on_after(patience_s):
                await self._context.terminated.wait()
            await self._close()

        await self._idle.restart(self._tasks, close)

    async def _close(self) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
            await self._stream.send_eof()
        await self._stream.aclose()
        await self._protocol.handle(Closed())

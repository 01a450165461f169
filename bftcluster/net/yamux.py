"""A yamux connection in py-libp2p's multiplexer slot. On the wire: ``/yamux/1.0.0``.

What differs from py-libp2p's own: the receive window is enforced, sending is a queue with one
writer so that reading never waits for it (two-way bulk cannot deadlock) and a cancelled write
leaves no half frame, a silent remote is noticed, and bulk never delays the rest by more than one
batch. It runs over ``noise.NoiseSession`` or whatever else has its four methods.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import trio
from libp2p.abc import IMuxedConn
from libp2p.connection_types import ConnectionType
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import MuxedConnUnavailable, MuxedStreamError, MuxedStreamReset
from multiaddr import Multiaddr

from bftcluster.errors import RemoteProtocolError
from bftcluster.limits import (
    YAMUX_CONTROL_SIZE_MAX_BYTES,
    YAMUX_INBOUND_STREAMS_MAX,
    YAMUX_LANE_SIZE_MAX_BYTES,
    YAMUX_WINDOW_MAX_BYTES,
)
from bftcluster.net.yamux_frames import (
    ACK,
    DATA,
    FIN,
    GO_AWAY,
    PING,
    RST,
    SYN,
    WINDOW_UPDATE,
    Frame,
    FrameDecoder,
    encode,
)
from bftcluster.net.yamux_sender import Sealer, Sender
from bftcluster.net.yamux_stream import YamuxStream

log = logging.getLogger(__name__)

GRACE_S: Final = 0.25
"""Time to read what has arrived while this process was paused, or worked without yielding."""
_CLOSE_TIMEOUT_S: Final = 0.5


class SealedLink(Sealer, Protocol):
    """The encrypted connection underneath."""

    is_initiator: bool

    async def read_some(self) -> bytes:
        """Return what has arrived; empty at the end."""

    async def close(self) -> None:
        """Close the connection."""

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return the remote's address and port."""

    def get_transport_addresses(self) -> list[Multiaddr]:
        """Return the remote's address as libp2p wants it."""

    def get_connection_type(self) -> ConnectionType:
        """Return whether the connection is direct."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepAlive:
    """When an idle connection counts as dead."""

    interval_s: float = 2.5
    timeout_s: float = 5.0


class YamuxConnection(IMuxedConn):
    """A connection, as py-libp2p wants it; also the ``Carrier`` of its streams."""

    def __init__(
        self,
        conn: SealedLink,
        peer_id: ID,
        keep_alive: KeepAlive | None = None,
        on_close: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.secured_conn = conn
        self.peer_id = peer_id
        self.on_close = on_close
        self.event_started = trio.Event()
        self.event_shutting_down = trio.Event()
        """Set as soon as the connection is known to be of no more use."""
        self.event_closed = trio.Event()
        """Set when its socket is closed as well."""
        self._keep_alive = keep_alive or KeepAlive()
        self._streams: dict[int, YamuxStream] = {}
        self._next_stream_id = 1 if conn.is_initiator else 2
        self._inbound_send, self._inbound_receive = trio.open_memory_channel[YamuxStream](
            YAMUX_INBOUND_STREAMS_MAX
        )
        self._sender = Sender(conn)
        self._scope: trio.CancelScope | None = None
        self._closing = False
        self._rtt_s = 0.0
        self._ping = 0
        self._ping_sent_at = 0.0
        self._pong = trio.Event()

    @property
    def is_initiator(self) -> bool:
        """Whether we dialled."""
        return self.secured_conn.is_initiator

    @property
    def is_established(self) -> bool:
        """Whether streams can be opened."""
        return self.event_started.is_set() and not self.event_shutting_down.is_set()

    @property
    def is_closed(self) -> bool:
        """Whether the socket is closed."""
        return self.event_closed.is_set()

    def rtt(self) -> float:
        """Return the last round trip in seconds, as the keep-alive saw it; 0 before the first."""
        return self._rtt_s

    async def start(self) -> None:
        """Run until the connection is over. Nothing is raised: it would stop the whole swarm."""
        try:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                for loop in (self._read_loop, self._sender.run, self._keep_alive_loop):
                    nursery.start_soon(self._guard, loop, nursery.cancel_scope)
                self.event_started.set()
        finally:
            self._shut_down()
            with trio.move_on_after(_CLOSE_TIMEOUT_S) as scope:
                scope.shield = True
                await self._close_link()

    async def close(self, error_code: int = 0) -> None:
        """Say good-bye if the socket takes it, and close."""
        if not self.event_shutting_down.is_set():
            self.reply(encode(GO_AWAY, 0, 0, error_code))
        self._shut_down()
        await self._close_link()

    async def open_stream(self) -> YamuxStream:
        """Open a stream; the remote need not answer before we write.

        Raises:
            MuxedStreamReset: The connection is over.
        """
        stream_id = self._next_stream_id
        self.put(encode(WINDOW_UPDATE, SYN, stream_id, 0), bulk=False)
        self._next_stream_id += 2
        stream = YamuxStream(stream_id, self, self)
        self._streams[stream_id] = stream
        return stream

    async def accept_stream(self) -> YamuxStream:
        """Return the next stream that the remote opens.

        Raises:
            MuxedConnUnavailable: The connection is over.
        """
        try:
            return await self._inbound_receive.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise MuxedConnUnavailable("the connection is closed") from None

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return the remote's address and port."""
        return self.secured_conn.get_remote_address()

    def get_transport_addresses(self) -> list[Multiaddr]:
        """Return the remote's address as libp2p wants it."""
        return self.secured_conn.get_transport_addresses()

    def get_connection_type(self) -> ConnectionType:
        """Return whether the connection is direct."""
        return self.secured_conn.get_connection_type()

    def put(self, frame: bytes, *, bulk: bool) -> None:
        """Send or queue one whole frame, at once.

        Raises:
            MuxedStreamReset: The connection is over.
        """
        try:
            self._sender.put(frame, bulk=bulk)
        except ConnectionClosedError as exc:
            self._shut_down()
            raise MuxedStreamReset(str(exc)) from exc

    def reply(self, frame: bytes) -> None:
        """Queue a frame that the remote provoked, and cut off one that does not read them."""
        if self._sender.urgent_size > YAMUX_LANE_SIZE_MAX_BYTES + YAMUX_CONTROL_SIZE_MAX_BYTES:
            log.warning("%s does not read our replies: closing", self.peer_id)
            self._shut_down()
            return
        try:
            self.put(frame, bulk=False)
        except MuxedStreamError:
            return

    def has_room(self, *, bulk: bool) -> bool:
        """Return whether a lane takes more without waiting."""
        return self._sender.has_room(bulk=bulk)

    async def wait_for_room(self, *, bulk: bool) -> None:
        """Wait until a lane takes more, or the connection is over."""
        await self._sender.wait_for_room(bulk=bulk)

    def forget(self, stream_id: int) -> None:
        """Drop a stream that is closed both ways."""
        self._streams.pop(stream_id, None)

    async def _guard(self, loop: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
        """Run one loop; when it ends, for whatever reason, the connection ends."""
        try:
            await loop()
        except RemoteProtocolError as exc:
            log.warning("%s broke the protocol: %s", self.peer_id, exc)
        except (ConnectionClosedError, MuxedStreamError, OSError) as exc:
            log.debug("connection to %s lost: %s", self.peer_id, exc)
        except Exception:
            log.exception("connection to %s failed", self.peer_id)
        finally:
            scope.cancel()

    async def _read_loop(self) -> None:
        decoder = FrameDecoder(body_size_max=YAMUX_WINDOW_MAX_BYTES)
        while True:
            data = await self.secured_conn.read_some()
            if not data:
                return
            for frame in decoder.feed(data):
                if frame.kind == GO_AWAY:
                    return
                if frame.kind == PING:
                    self._on_ping(frame)
                else:
                    self._on_stream_frame(frame)

    def _on_stream_frame(self, frame: Frame) -> None:
        stream = self._streams.get(frame.stream_id)
        if stream is None and frame.flags & SYN:
            stream = self._accept(frame.stream_id)
        if stream is None:
            return  # reset by us a moment ago, or refused
        if frame.kind == DATA:
            stream.on_data(frame.body)
        elif frame.value:
            stream.on_credit(frame.value)
        if frame.flags & FIN:
            stream.on_end()
        if frame.flags & RST:
            stream.on_reset()

    def _accept(self, stream_id: int) -> YamuxStream | None:
        """Make the stream that the remote opens, or refuse it if there are too many."""
        theirs = 0 if self.is_initiator else 1
        if stream_id == 0 or stream_id % 2 != theirs:
            raise RemoteProtocolError(f"the remote opened stream {stream_id}, which is ours")
        opened = sum(1 for known in self._streams if known % 2 == theirs)
        stream = YamuxStream(stream_id, self, self)
        try:
            if opened >= YAMUX_INBOUND_STREAMS_MAX:
                raise trio.WouldBlock  # noqa: TRY301 - refused like one that nobody accepts
            self._inbound_send.send_nowait(stream)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self.reply(encode(WINDOW_UPDATE, RST, stream_id, 0))
            return None
        self._streams[stream_id] = stream
        self.reply(encode(WINDOW_UPDATE, ACK, stream_id, 0))
        return stream

    def _on_ping(self, frame: Frame) -> None:
        if frame.flags & SYN:
            self.reply(encode(PING, ACK, 0, frame.value))
        elif frame.flags & ACK and frame.value == self._ping:
            self._rtt_s = trio.current_time() - self._ping_sent_at
            self._pong.set()

    async def _keep_alive_loop(self) -> None:
        """Ping; a remote that does not answer is gone, whatever TCP believes.

        After the timeout there is a grace, because it may be this process that was paused: the
        answer then waits in the socket and is read now.
        """
        while True:
            self._ping = (self._ping + 1) & 0xFFFFFFFF
            self._pong = trio.Event()
            self._ping_sent_at = trio.current_time()
            self.reply(encode(PING, SYN, 0, self._ping))
            for patience_s in (self._keep_alive.timeout_s, GRACE_S):
                with trio.move_on_after(patience_s):
                    await self._pong.wait()
            if not self._pong.is_set():
                log.info("%s is silent: closing", self.peer_id)
                return
            await trio.sleep(self._keep_alive.interval_s)

    def _shut_down(self) -> None:
        """Stop using the connection, at once and from any task."""
        if self.event_shutting_down.is_set():
            return
        self.event_shutting_down.set()
        self._inbound_send.close()
        self._sender.stop()
        for stream in list(self._streams.values()):
            stream.on_reset()
        if self._scope is not None:
            self._scope.cancel()

    async def _close_link(self) -> None:
        """Close the socket and tell libp2p; once, and whatever happens."""
        if self._closing:
            return
        self._closing = True
        try:
            await self.secured_conn.close()
        except Exception as exc:  # noqa: BLE001 - it would stop the whole swarm
            log.debug("closing the connection to %s: %r", self.peer_id, exc)
        finally:
            self.event_closed.set()
        if self.on_close is not None:
            try:
                await self.on_close()
            except Exception:
                log.exception("closing the connection to %s failed", self.peer_id)

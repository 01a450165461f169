"""One link per peer: keep a connection, keep its streams open, and notice when the peer is gone."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, NoReturn

import trio
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.stream.net_stream import NetStream
from libp2p.stream_muxer.exceptions import MuxedStreamError

from bftcluster.errors import PeerUnreachableError
from bftcluster.ids import PeerId
from bftcluster.net.frames import HEARTBEAT
from bftcluster.net.host import ClusterHost, reset_quietly
from bftcluster.net.identity import libp2p_id
from bftcluster.net.outbox import StreamOutbox
from bftcluster.net.settings import NetworkSettings
from bftcluster.net.streams import POLICIES, StreamClass, WhenFull
from bftcluster.net.yamux import GRACE_S, YamuxConnection
from bftcluster.net.yamux_stream import YamuxStream
from bftcluster.signing.keys import peer_id_text

log = logging.getLogger(__name__)

_RESET_TIMEOUT_S: Final = 0.5


class LostError(Exception):
    """Why a session with a peer ended; inside this module only."""


class SilentError(LostError):
    """The peer's connection may stand, but nothing comes from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """A link, for status pages."""

    connected: bool
    rtt_ms: float | None
    """Round trip of the last keep-alive; None before the first."""
    since_ms: int
    """How long it has been connected, or not connected."""
    last_seen_ms: int | None
    """How long ago something arrived from the peer; None if nothing ever has."""
    queued: Mapping[StreamClass, int]
    """Frames that wait."""
    dropped: Mapping[StreamClass, int]
    """Frames that were never sent, since the start."""
    sent_bytes: int
    """Since the start, frames with their lengths; likewise what was received."""
    received_bytes: int
    received_frames: int
    faults: int
    """Frames that our handlers refused as malformed, since the start."""
    attempts: int
    """Failures in a row; 0 while it is connected."""
    error: str
    """Why it is not connected, in one line; empty if it is."""


class PeerLink:
    """Our side of the connection to one peer."""

    def __init__(
        self,
        *,
        me: PeerId,
        peer: PeerId,
        addresses: Sequence[str],
        settings: NetworkSettings,
        random: Random,
        on_change: Callable[[PeerId], None],
    ) -> None:
        self.peer = peer
        self.addresses = tuple(addresses)
        self.outboxes = {each: StreamOutbox(POLICIES[each]) for each in StreamClass}
        self._is_first_to_dial = me < peer
        self._settings = settings
        self._random = random
        self._on_change = on_change
        self._nudge = trio.Event()
        self._scope: trio.CancelScope | None = None
        self._session: trio.CancelScope | None = None
        self._connection: SwarmConn | None = None
        self._streams: dict[StreamClass, YamuxStream] = {}
        """Those of the session."""
        self._connected = False
        self._changed_at = trio.current_time()
        self._last_seen: float | None = None
        self._attempts = 0
        self._error = "not dialled yet"
        self._received_bytes = 0
        self._received_frames = 0
        self.faults = 0

    @property
    def connected(self) -> bool:
        """Whether frames reach the peer, as far as we know."""
        return self._connected

    def heard(self, size: int, frames: int) -> None:
        """Note that ``size`` bytes arrived from the peer, which completed ``frames`` frames."""
        self._last_seen = trio.current_time()
        self._received_bytes += size
        self._received_frames += frames

    def nudge(self) -> None:
        """The peer has connected to us: do not wait out a pause."""
        self._nudge.set()

    def send_nowait(self, stream_class: StreamClass, frame: bytes) -> bool:
        """Queue an encoded frame; False if something was dropped for lack of room or of a link."""
        outbox = self.outboxes[stream_class]
        if not self._connected and POLICIES[stream_class].when_full is WhenFull.WAIT:
            outbox.dropped += 1
            return False
        return outbox.put_nowait(frame)

    def queue(self, stream_class: StreamClass, frame: bytes) -> None:
        """Queue an encoded frame of a class that drops the oldest; ``flush`` must follow."""
        self.outboxes[stream_class].put_nowait(frame, wake=False)

    def flush(self) -> None:
        """Send what is queued: at once if nothing has to wait, else by the writers."""
        try:
            for each, outbox in self.outboxes.items():
                stream = self._streams.get(each)
                while len(outbox):
                    if stream is None or not stream.is_ready_for(outbox.size):
                        outbox.wake()
                        break
                    stream.write_nowait(outbox.take_nowait())
        except MuxedStreamError:
            return  # the session ends, and whoever runs it hears why

    async def send(self, stream_class: StreamClass, frame: bytes) -> None:
        """Queue an encoded frame, waiting for room in classes that wait.

        Raises:
            PeerUnreachableError: Not connected, in a class that waits.
        """
        if not self._connected and POLICIES[stream_class].when_full is WhenFull.WAIT:
            raise PeerUnreachableError(f"no connection to {peer_id_text(self.peer)}: {self._error}")
        await self.outboxes[stream_class].put(frame)

    def state(self) -> LinkState:
        """Return what a status page shows."""
        now = trio.current_time()
        muxed = self._connection.muxed_conn if self._connection is not None else None
        rtt_s = muxed.rtt() if isinstance(muxed, YamuxConnection) else 0.0
        return LinkState(
            connected=self._connected,
            rtt_ms=round(rtt_s * 1000, 3) if rtt_s else None,
            since_ms=int((now - self._changed_at) * 1000),
            last_seen_ms=None if self._last_seen is None else int((now - self._last_seen) * 1000),
            queued={each: len(outbox) for each, outbox in self.outboxes.items()},
            dropped={each: outbox.dropped for each, outbox in self.outboxes.items()},
            sent_bytes=sum(outbox.sent_bytes for outbox in self.outboxes.values()),
            received_bytes=self._received_bytes,
            received_frames=self._received_frames,
            faults=self.faults,
            attempts=0 if self._connected else self._attempts,
            error="" if self._connected else self._error,
        )

    def stop(self) -> None:
        """End the link for good."""
        for outbox in self.outboxes.values():
            outbox.clear()
        if self._scope is not None:
            self._scope.cancel()

    async def run(self, host: ClusterHost) -> None:
        """Stay connected until stopped."""
        with trio.CancelScope() as self._scope:
            await self._stay_connected(host)

    async def _stay_connected(self, host: ClusterHost) -> NoReturn:
        if not self._is_first_to_dial:
            await self._pause(self._settings.dial_head_start_s)
        while True:
            try:
                await self._connect_and_serve(host)
            except Exception as exc:  # noqa: BLE001 - libp2p raises five families of exceptions
                self._error = _reason(exc)
            self._attempts += 1
            self._on_change(self.peer)
            log.debug("link to %s: %s", peer_id_text(self.peer), self._error)
            await self._pause(self._backoff_s())

    def _backoff_s(self) -> float:
        doublings = min(max(self._attempts - 1, 0), 16)
        pause_s = min(self._settings.backoff_max_s, self._settings.backoff_min_s * (1 << doublings))
        return pause_s * self._random.uniform(0.5, 1.5)

    async def _pause(self, seconds: float) -> None:
        """Wait, or less if the peer connects to us; at once if it has since the last pause."""
        with trio.move_on_after(seconds):
            await self._nudge.wait()
        self._nudge = trio.Event()

    async def _connect_and_serve(self, host: ClusterHost) -> None:
        """One session: a connection, a stream per class, and what keeps them busy.

        Raises:
            LostError: Why it ended; other exceptions of libp2p mean the same.
        """
        connection = await self._connect(host)
        streams: dict[StreamClass, NetStream] = {}
        try:
            with trio.move_on_after(self._settings.dial_timeout_s) as patience:
                async with trio.open_nursery() as nursery:
                    for each in StreamClass:
                        nursery.start_soon(self._open, host, connection, each, streams)
            if patience.cancelled_caught:
                await connection.close()
                raise LostError("the connection stood, and no stream opened on it")
            await self._serve(host, connection, streams)
        finally:
            with trio.move_on_after(_RESET_TIMEOUT_S) as scope:
                scope.shield = True
                for stream in streams.values():
                    await reset_quietly(stream)

    async def _connect(self, host: ClusterHost) -> SwarmConn:
        identity = libp2p_id(self.peer)
        connection = host.live_connection(identity)
        if connection is not None:
            return connection
        if not self.addresses:
            raise LostError("no address is known; waiting for the peer to connect")
        failure: Exception = LostError("not dialled")
        for address in self.addresses:
            try:
                with trio.fail_after(self._settings.dial_timeout_s):
                    return await host.dial(identity, address)
            except PeerUnreachableError as exc:
                failure = exc
            except trio.TooSlowError:
                failure = LostError(f"{address} does not answer")
        raise failure

    async def _open(
        self,
        host: ClusterHost,
        connection: SwarmConn,
        stream_class: StreamClass,
        streams: dict[StreamClass, NetStream],
    ) -> None:
        stream = await host.open_stream(connection, stream_class.protocol)
        streams[stream_class] = stream
        if POLICIES[stream_class].is_bulk:
            _yamux(stream).make_bulk()

    async def _serve(
        self, host: ClusterHost, connection: SwarmConn, streams: Mapping[StreamClass, NetStream]
    ) -> None:
        muxed = connection.muxed_conn
        assert isinstance(muxed, YamuxConnection), "the host makes no other"
        self._mark_up(connection, streams)
        causes: list[Exception] = []
        try:
            async with trio.open_nursery() as nursery:

                async def until_lost(task: Callable[[], object], *args: object) -> None:
                    try:
                        await task(*args)  # type: ignore[misc]
                    except Exception as exc:  # noqa: BLE001 - three families on loss alone
                        causes.append(exc)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(until_lost, muxed.event_shutting_down.wait)
                nursery.start_soon(until_lost, self._watch_silence)
                nursery.start_soon(until_lost, self._beat)
                for each, stream in self._streams.items():
                    nursery.start_soon(until_lost, self._write, self.outboxes[each], stream)
        finally:
            self._mark_down()
        cause = causes[0] if causes else LostError("the connection was closed")
        if isinstance(cause, SilentError):
            await host.swarm.close_peer(libp2p_id(self.peer))
        raise cause

    def _mark_up(self, connection: SwarmConn, streams: Mapping[StreamClass, NetStream]) -> None:
        self._connection = connection
        self._streams = {each: _yamux(stream) for each, stream in streams.items()}
        self._connected = True
        self._changed_at = trio.current_time()
        log.info("connected to %s", peer_id_text(self.peer))
        self._on_change(self.peer)

    def _mark_down(self) -> None:
        """Note the loss. A session that was short is one more failure; a long one starts anew."""
        self._connection = None
        self._streams = {}
        self._connected = False
        if trio.current_time() - self._changed_at > self._settings.backoff_max_s:
            self._attempts = 0
        self._changed_at = trio.current_time()
        for each, outbox in self.outboxes.items():
            if POLICIES[each].when_full is WhenFull.WAIT:
                outbox.clear()
        log.info("disconnected from %s", peer_id_text(self.peer))
        self._on_change(self.peer)

    async def _write(self, outbox: StreamOutbox, stream: YamuxStream) -> NoReturn:
        """Write what ``flush`` does not; past libp2p's wrapper, which locks twice per write."""
        while True:
            await stream.write(await outbox.take())

    async def _beat(self) -> NoReturn:
        """Say that we live."""
        outbox = self.outboxes[StreamClass.CONSENSUS]
        while True:
            if not len(outbox):
                outbox.put_nowait(HEARTBEAT)
            await trio.sleep(self._settings.heartbeat_interval_s)

    async def _watch_silence(self) -> NoReturn:
        """Give up when nothing has come from the peer for too long.

        In the end there is a grace, because it may be this process that was paused: the peer's
        frames then wait in the socket and are read now.

        Raises:
            SilentError: Nothing has.
        """
        limit_s = self._settings.silence_max_s
        started_at = trio.current_time()
        while True:
            heard_at = max(self._last_seen or 0.0, started_at)
            await trio.sleep_until(heard_at + limit_s)
            if heard_at == max(self._last_seen or 0.0, started_at):
                await trio.sleep(GRACE_S)
            if heard_at == max(self._last_seen or 0.0, started_at):
                raise SilentError(f"silent for {limit_s:g} s")


def _yamux(stream: NetStream) -> YamuxStream:
    muxed = stream.muxed_stream
    assert isinstance(muxed, YamuxStream), "the host makes no other"
    return muxed


def _reason(exc: BaseException) -> str:
    """Return a failure in one line; its innermost cause, if it is not one of ours."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    while exc.__cause__ is not None and not isinstance(exc, LostError | PeerUnreachableError):
        exc = exc.__cause__
    return str(exc) or type(exc).__name__

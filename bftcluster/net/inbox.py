"""Reads inbound streams: one reader per peer and class hands frames to the class's handler."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import trio
from libp2p.abc import INetStream

from bftcluster.errors import ClusterError, ProtocolError, RemoteProtocolError
from bftcluster.ids import PeerId
from bftcluster.log_pace import LogPace, also
from bftcluster.net.frames import FrameReader
from bftcluster.net.identity import peer_id
from bftcluster.net.streams import POLICIES, StreamClass
from bftcluster.net.yamux_stream import YamuxStream
from bftcluster.signing.keys import peer_id_text

log = logging.getLogger(__name__)

ROUND_LONG_S: Final = 0.01
"""One round of the event loop in which there is little to do takes less."""
GIVEN_WAY_MAX_S: Final = 0.2

FrameHandler = Callable[[PeerId, bytes], Awaitable[None]]
"""Takes a frame from an authenticated peer. While it waits, the peer's stream waits."""


class InboundStreams:
    """Reads every inbound stream.

    A peer has one stream per class: a second one replaces the first, which is what a peer that
    has lost its connection opens before we know of it.
    """

    def __init__(
        self,
        *,
        handlers: Mapping[StreamClass, FrameHandler],
        heard: Callable[[PeerId, int, int], None],
        fault: Callable[[PeerId], None],
    ) -> None:
        self._handlers = handlers
        self._heard = heard
        self._fault = fault
        self._readers: dict[tuple[PeerId, StreamClass], trio.CancelScope] = {}
        self._pace = LogPace()

    async def read(self, stream: INetStream, stream_class: StreamClass) -> None:
        """Read one stream to its end.

        Raises:
            MuxedStreamError: The stream ended or was reset.
            RemoteProtocolError: A frame over the limit, or another stream has taken its place.
        """
        peer = peer_id(stream.muxed_conn.peer_id)
        assert peer is not None, "the allow-list knows only Ed25519 peers"
        key = (peer, stream_class)
        with trio.CancelScope() as scope:
            if key in self._readers:
                self._readers[key].cancel()
            self._readers[key] = scope
            try:
                await self._read(peer, stream, stream_class)
            except RemoteProtocolError as exc:
                self._on_fault(peer, exc)
                raise
            finally:
                if self._readers.get(key) is scope:
                    del self._readers[key]
        raise RemoteProtocolError(f"a newer {stream_class.value} stream has taken its place")

    async def _read(self, peer: PeerId, stream: INetStream, stream_class: StreamClass) -> None:
        muxed = stream.muxed_stream  # type: ignore[attr-defined]
        assert isinstance(muxed, YamuxStream), "the host makes no other"
        muxed.grow_window(POLICIES[stream_class].window_bytes)
        handler = self._handlers.get(stream_class)
        reader = FrameReader()
        while True:
            data = await muxed.read()
            frames = reader.feed(data)
            self._heard(peer, len(data), len(frames))
            for frame in frames:
                if handler is not None:
                    await self._handle(handler, peer, frame)
                if stream_class is not StreamClass.CONSENSUS:
                    await give_way()

    async def _handle(self, handler: FrameHandler, peer: PeerId, frame: bytes) -> None:
        """Give a frame to its handler. A bad frame costs the peer a fault, never its stream."""
        try:
            await handler(peer, frame)
        except ProtocolError as exc:
            self._on_fault(peer, exc)
        except ClusterError as exc:
            self._tell(peer, exc, "a frame from %s was not handled: %s%s")
        except Exception as exc:  # noqa: BLE001 - a bug that a peer has found costs no stream
            self._tell(peer, exc, "the handler of a frame from %s failed: %r%s", has_trace=True)

    def _on_fault(self, peer: PeerId, exc: ProtocolError) -> None:
        self._fault(peer)
        self._tell(peer, exc, "%s sent what it must not: %s%s")

    def _tell(self, peer: PeerId, exc: Exception, line: str, *, has_trace: bool = False) -> None:
        """Log what a peer has brought about, the same kind of thing once in a while."""
        left_out = self._pace.left_out((peer, line), trio.current_time())
        if left_out is not None:
            level = logging.ERROR if has_trace else logging.WARNING
            trace = exc if has_trace else None
            log.log(level, line, peer_id_text(peer), exc, also(left_out), exc_info=trace)


async def give_way() -> None:
    """Let all that is ready run before the next frame; leave it as long again, if it takes long.

    So consensus and clients wait for one frame of each peer, not for all that a peer can send.
    """
    begun_s = trio.current_time()
    await trio.lowlevel.checkpoint()
    took_s = trio.current_time() - begun_s
    if took_s > ROUND_LONG_S:
        await trio.sleep(min(took_s, GIVEN_WAY_MAX_S))

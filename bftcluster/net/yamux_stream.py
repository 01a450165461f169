"""One stream of a yamux connection: two windows, a receive buffer, and nothing that can block.

A stream never puts part of a frame anywhere: a write that is cancelled has sent some whole frames
and not the others, and the connection under it does not notice.
"""

from types import TracebackType
from typing import Protocol

import trio
from libp2p.abc import IMuxedConn, IMuxedStream
from libp2p.stream_muxer.exceptions import (
    MuxedStreamClosed,
    MuxedStreamEOF,
    MuxedStreamError,
    MuxedStreamReset,
)

from bftcluster.errors import RemoteProtocolError
from bftcluster.limits import (
    NOISE_PLAINTEXT_SIZE_MAX_BYTES,
    YAMUX_WINDOW_INITIAL_BYTES,
    YAMUX_WINDOW_MAX_BYTES,
)
from bftcluster.net.yamux_frames import (
    DATA,
    FIN,
    HEADER_SIZE_BYTES,
    RST,
    WINDOW_UPDATE,
    encode,
)

_BODY_SIZE_MAX_BYTES = NOISE_PLAINTEXT_SIZE_MAX_BYTES - HEADER_SIZE_BYTES
"""A frame fills at most one Noise message."""
_WINDOW_LIMIT = 1 << 32


class Carrier(Protocol):
    """What a stream needs of its connection."""

    def put(self, frame: bytes, *, bulk: bool) -> None:
        """Queue or send one whole frame, at once; raise ``MuxedStreamReset`` if it is over."""

    def reply(self, frame: bytes) -> None:
        """Queue a frame that the remote provoked; cut off a remote that does not read them."""

    def has_room(self, *, bulk: bool) -> bool:
        """Return whether the lane takes more without waiting."""

    async def wait_for_room(self, *, bulk: bool) -> None:
        """Wait until the lane takes more, or the connection is over."""

    def forget(self, stream_id: int) -> None:
        """Drop a stream that is closed both ways."""


class YamuxStream(IMuxedStream):
    """A stream, as py-libp2p wants it."""

    def __init__(self, stream_id: int, connection: IMuxedConn, carrier: Carrier) -> None:
        self.stream_id = stream_id
        self.muxed_conn = connection
        self._carrier = carrier
        self._bulk = False
        self._received = bytearray()
        self._readable = trio.Event()
        self._writable = trio.Event()
        self._write_lock = trio.Lock()
        self._window = YAMUX_WINDOW_INITIAL_BYTES
        """What we hold unread at most."""
        self._receive_credit = YAMUX_WINDOW_INITIAL_BYTES
        """What the remote may still send."""
        self._send_credit = YAMUX_WINDOW_INITIAL_BYTES
        self._ended_by_remote = False
        self._ended_by_us = False
        self._was_reset = False

    @property
    def closed(self) -> bool:
        """Whether neither side will send any more."""
        return self._was_reset or (self._ended_by_remote and self._ended_by_us)

    def make_bulk(self) -> None:
        """Let every frame of streams that are not bulk go before those of this one."""
        self._bulk = True

    def grow_window(self, size: int) -> None:
        """Let the remote send up to ``size`` bytes ahead of our reading.

        Worth it for streams we serve; others keep the 256 KiB that every stream starts with, so
        that a peer cannot make us hold much by opening many.
        """
        assert self._window <= size <= YAMUX_WINDOW_MAX_BYTES, "a window only grows, to its limit"
        self._window = size
        self._grant()

    async def read(self, n: int | None = None) -> bytes:
        """Return what has arrived, at least a byte and at most ``n``.

        Raises:
            MuxedStreamEOF: The remote has ended the stream and everything was read.
            MuxedStreamReset: The stream was reset, or its connection is gone.
        """
        while not self._received:
            if self._was_reset:
                raise MuxedStreamReset("stream reset")
            if self._ended_by_remote:
                raise MuxedStreamEOF("stream ended")
            self._readable = trio.Event()
            await self._readable.wait()
        if n is None or n < 0 or n >= len(self._received):
            data = bytes(self._received)
            self._received = bytearray()
        else:
            data = bytes(self._received[:n])
            del self._received[:n]
        if not self._ended_by_remote:
            self._grant()
        return data

    async def write(self, data: bytes) -> None:
        """Send ``data``, waiting for the remote's window and for room on the connection.

        Two writes of one stream do not mix. Cancelled, it has sent a prefix of ``data`` and the
        stream should be reset; the connection stays sound.

        Raises:
            MuxedStreamClosed: We have ended the stream.
            MuxedStreamReset: The stream was reset, or its connection is gone.
        """
        try:
            self._write_lock.acquire_nowait()
        except trio.WouldBlock:
            await self._write_lock.acquire()
        try:
            await self._write(data)
        finally:
            self._write_lock.release()

    def is_ready_for(self, size: int) -> bool:
        """Return whether ``write_nowait`` takes ``size`` bytes now."""
        is_over = self._was_reset or self._ended_by_us
        if is_over or size > self._send_credit or self._write_lock.locked():
            return False
        return self._carrier.has_room(bulk=self._bulk)

    def write_nowait(self, data: bytes) -> None:
        """Send ``data`` at once; only if ``is_ready_for`` says so.

        Raises:
            MuxedStreamReset: The connection is gone.
        """
        assert self.is_ready_for(len(data)), "asked before"
        for at in range(0, len(data), _BODY_SIZE_MAX_BYTES):
            self._put_data(data[at : at + _BODY_SIZE_MAX_BYTES])

    async def close(self) -> None:
        """Send no more; reading goes on."""
        if self._ended_by_us or self._was_reset:
            return
        self._ended_by_us = True
        self._put_quietly(encode(WINDOW_UPDATE, FIN, self.stream_id, 0))
        if self.closed:
            self._carrier.forget(self.stream_id)

    async def reset(self) -> None:
        """End both directions at once; what was not read is dropped."""
        if not self.closed:
            self._put_quietly(encode(WINDOW_UPDATE, RST, self.stream_id, 0))
        self._received = bytearray()
        self.on_reset()

    def set_deadline(self, ttl: int) -> None:
        """Deadlines are trio's cancel scopes here.

        Raises:
            NotImplementedError: Always. The interface demands the method and py-libp2p never calls
                it; to return as if a deadline were set would be a lie.
        """
        raise NotImplementedError(f"use trio.fail_after({ttl})")

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return the remote's address and port."""
        remote: tuple[str, int] | None = self.muxed_conn.get_remote_address()  # type: ignore[attr-defined]
        return remote

    async def __aenter__(self) -> "YamuxStream":
        """Return the stream."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close our side."""
        await self.close()

    def on_data(self, body: bytes) -> None:
        """Take a received body.

        Raises:
            RemoteProtocolError: The remote sent more than its window, or after its end.
        """
        if len(body) > self._receive_credit:
            raise RemoteProtocolError(f"{len(body)} bytes in a window of {self._receive_credit}")
        if self._ended_by_remote and body:
            raise RemoteProtocolError("data after the end of a stream")
        self._receive_credit -= len(body)
        self._received += body
        self._readable.set()

    def on_credit(self, credit: int) -> None:
        """Take a window update.

        Raises:
            RemoteProtocolError: The window would exceed 32 bits.
        """
        self._send_credit += credit
        if self._send_credit >= _WINDOW_LIMIT:
            raise RemoteProtocolError("a send window over 32 bits")
        self._writable.set()

    def on_end(self) -> None:
        """Take the remote's end of the stream."""
        self._ended_by_remote = True
        self._readable.set()
        if self.closed:
            self._carrier.forget(self.stream_id)

    def on_reset(self) -> None:
        """Take a reset, by the remote or because the connection is over.

        What had arrived before can still be read.
        """
        self._was_reset = True
        self._readable.set()
        self._writable.set()
        self._carrier.forget(self.stream_id)

    async def _write(self, data: bytes) -> None:
        view = memoryview(data)
        at = 0
        while at < len(data):
            if not self._carrier.has_room(bulk=self._bulk):
                await self._carrier.wait_for_room(bulk=self._bulk)
            while self._send_credit == 0 and not self._was_reset:
                self._writable = trio.Event()
                await self._writable.wait()
            if self._was_reset:
                raise MuxedStreamReset("stream reset")
            if self._ended_by_us:
                raise MuxedStreamClosed("stream closed for writing")
            size = min(self._send_credit, _BODY_SIZE_MAX_BYTES, len(data) - at)
            self._put_data(bytes(view[at : at + size]))
            at += size

    def _put_data(self, body: bytes) -> None:
        self._send_credit -= len(body)
        self._carrier.put(encode(DATA, 0, self.stream_id, len(body), body), bulk=self._bulk)

    def _grant(self) -> None:
        """Give back the window once half of it was used and read: one update for many reads."""
        grant = self._window - self._receive_credit - len(self._received)
        if self._was_reset or grant * 2 < self._window:
            return
        self._receive_credit += grant
        self._carrier.reply(encode(WINDOW_UPDATE, 0, self.stream_id, grant))

    def _put_quietly(self, frame: bytes) -> None:
        """Put a last frame in the stream's own order, unless the connection is gone."""
        try:
            self._carrier.put(frame, bulk=self._bulk)
        except MuxedStreamError:
            self._was_reset = True

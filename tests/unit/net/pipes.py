"""Yamux connections over memory, without encryption: what the tests see is what was sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from libp2p.connection_types import ConnectionType
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.peer.id import ID
from multiaddr import Multiaddr
from trio.testing import lockstep_stream_pair, memory_stream_pair

from bftcluster.net.yamux import KeepAlive, YamuxConnection
from bftcluster.net.yamux_frames import Frame, FrameDecoder

REMOTE = ID(b"remote")


class PipeLink:
    """Half of a memory pipe, as yamux wants its encrypted connection."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, *, is_initiator: bool) -> None:
        self.stream = stream
        self.is_initiator = is_initiator
        self.sent = 0

    def seal(self, plaintext: bytes) -> bytes:
        return bytes(plaintext)

    def try_send(self, sealed: bytes) -> int:
        return 0

    async def send_sealed(self, sealed: bytes | memoryview) -> None:
        try:
            await self.stream.send_all(bytes(sealed))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise ConnectionClosedError(str(exc)) from exc
        self.sent += len(sealed)

    async def read_some(self) -> bytes:
        try:
            return bytes(await self.stream.receive_some(65536))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise ConnectionClosedError(str(exc)) from exc

    async def close(self) -> None:
        await self.stream.aclose()

    def get_remote_address(self) -> tuple[str, int] | None:
        return ("127.0.0.1", 9)

    def get_transport_addresses(self) -> list[Multiaddr]:
        return []

    def get_connection_type(self) -> ConnectionType:
        return ConnectionType.DIRECT


class RawPeer:
    """A remote that sends whatever frames a test wants, and remembers those it gets."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.stream = stream
        self.frames: list[Frame] = []
        self._decoder = FrameDecoder(body_size_max=1 << 30)

    async def send(self, *frames: bytes) -> None:
        await self.stream.send_all(b"".join(frames))

    async def receive(self, kind: int) -> Frame:
        """Return the next frame of ``kind``, remembering those before it."""
        while True:
            for index, frame in enumerate(self.frames):
                if frame.kind == kind:
                    del self.frames[: index + 1]
                    return frame
            data = await self.stream.receive_some(65536)
            assert data, "the connection has ended"
            self.frames += self._decoder.feed(bytes(data))

    async def wait_for_end(self) -> None:
        while await self.stream.receive_some(65536):
            pass


@asynccontextmanager
async def connection_to_raw_peer(
    keep_alive: KeepAlive | None = None, *, lockstep: bool = False
) -> AsyncIterator[tuple[YamuxConnection, RawPeer]]:
    """Run a connection that has accepted a dial of a remote under the test's control."""
    ours, theirs = lockstep_stream_pair() if lockstep else memory_stream_pair()
    connection = YamuxConnection(PipeLink(ours, is_initiator=False), REMOTE, keep_alive)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.start)
        await connection.event_started.wait()
        yield connection, RawPeer(theirs)
        await connection.close()


@asynccontextmanager
async def connection_pair(
    *, lockstep: bool = False
) -> AsyncIterator[tuple[YamuxConnection, YamuxConnection]]:
    """Run two connections that talk to each other."""
    ours, theirs = lockstep_stream_pair() if lockstep else memory_stream_pair()
    a = YamuxConnection(PipeLink(ours, is_initiator=True), REMOTE)
    b = YamuxConnection(PipeLink(theirs, is_initiator=False), REMOTE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.start)
        nursery.start_soon(b.start)
        await a.event_started.wait()
        await b.event_started.wait()
        yield a, b
        await a.close()
        await b.close()

"""The sending half of a yamux connection: two lanes of whole frames and one writer.

Nothing here waits for the remote while holding what a reader needs, so reading never waits for
sending: two sides that both send all they can do not deadlock.
"""

from collections import deque
from typing import Final, NoReturn, Protocol

import trio
from libp2p.stream_muxer.exceptions import MuxedStreamReset

from bftcluster.limits import YAMUX_LANE_SIZE_MAX_BYTES

_BATCH_SIZE_BYTES: Final = 256 << 10
_BULK_BATCH_SIZE_BYTES: Final = 128 << 10
"""What bulk may put in front of a vote: 0.1 s at 10 Mbit/s."""


class Sealer(Protocol):
    """The encrypted connection underneath, as the sender uses it."""

    def seal(self, plaintext: bytes) -> bytes:
        """Return the sealed form; to be sent in the order sealed."""

    def try_send(self, sealed: bytes) -> int:
        """Return how many bytes went out at once."""

    async def send_sealed(self, sealed: bytes | memoryview) -> None:
        """Send to the last byte."""


class SendQueue:
    """Frames that wait for the writer, in order."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes that wait."""
        self._frames: deque[bytes] = deque()
        self._room = trio.Event()

    def __bool__(self) -> bool:
        """Return whether anything waits."""
        return bool(self._frames)

    def append(self, frame: bytes) -> None:
        """Let one whole frame wait."""
        self._frames.append(frame)
        self.size += len(frame)

    def take(self, size_max: int) -> bytes:
        """Return whole frames, joined: at least one, and more up to ``size_max`` bytes."""
        batch = [self._frames.popleft()]
        size = len(batch[0])
        while self._frames and size + len(self._frames[0]) <= size_max:
            batch.append(self._frames.popleft())
            size += len(batch[-1])
        self.size -= size
        if self.size <= YAMUX_LANE_SIZE_MAX_BYTES // 2:
            self.wake()
        return batch[0] if len(batch) == 1 else b"".join(batch)

    def has_room(self) -> bool:
        """Return whether it takes more without waiting."""
        return self.size <= YAMUX_LANE_SIZE_MAX_BYTES

    async def wait(self) -> None:
        """Wait for ``wake``."""
        if self._room.is_set():
            self._room = trio.Event()
        await self._room.wait()

    def wake(self) -> None:
        """Let those who wait look again."""
        self._room.set()


class Sender:
    """Sends whole frames in order, those of the urgent lane before those of the bulk lane."""

    def __init__(self, link: Sealer) -> None:
        self._link = link
        self._urgent = SendQueue()
        self._bulk = SendQueue()
        self._is_sending = False
        """Whether sealed bytes are on their way, which nothing may overtake."""
        self._unsent: memoryview | None = None
        self._work = trio.Event()
        self._is_over = False

    @property
    def urgent_size(self) -> int:
        """Bytes waiting in the urgent lane."""
        return self._urgent.size

    def put(self, frame: bytes, *, bulk: bool) -> None:
        """Send one whole frame, or leave it to the writer. Never waits.

        With nothing queued it goes straight to the socket, in the task that wrote it.

        Raises:
            MuxedStreamReset: The connection is over.
            ConnectionClosedError: The connection breaks under it.
        """
        if self._is_over:
            raise MuxedStreamReset("the connection is closed")
        if self._is_sending or self._urgent or self._bulk:
            (self._bulk if bulk else self._urgent).append(frame)
            self._work.set()
            return
        sealed = self._link.seal(frame)
        sent = self._link.try_send(sealed)
        if sent < len(sealed):
            self._is_sending = True
            self._unsent = memoryview(sealed)[sent:]
            self._work.set()

    def has_room(self, *, bulk: bool) -> bool:
        """Return whether the lane takes more without waiting."""
        return (self._bulk if bulk else self._urgent).has_room()

    async def wait_for_room(self, *, bulk: bool) -> None:
        """Wait until the lane takes more, or the connection is over."""
        lane = self._bulk if bulk else self._urgent
        while not lane.has_room() and not self._is_over:
            await lane.wait()

    async def run(self) -> NoReturn:
        """Send what waits.

        Raises:
            ConnectionClosedError: The connection is gone.
        """
        link = self._link
        while True:
            if self._unsent is not None:
                unsent, self._unsent = self._unsent, None
                await link.send_sealed(unsent)
            elif self._urgent:
                self._is_sending = True
                await link.send_sealed(link.seal(self._urgent.take(_BATCH_SIZE_BYTES)))
            elif self._bulk:
                self._is_sending = True
                await link.send_sealed(link.seal(self._bulk.take(_BULK_BATCH_SIZE_BYTES)))
            else:
                self._is_sending = False
                self._work = trio.Event()
                await self._work.wait()

    def stop(self) -> None:
        """Take nothing more, and let go of those who wait for room."""
        self._is_over = True
        self._urgent.wake()
        self._bulk.wake()

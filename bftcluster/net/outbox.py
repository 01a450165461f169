"""Frames that wait for one stream to one peer."""

from collections import deque

import trio

from bftcluster.errors import PeerUnreachableError
from bftcluster.limits import WRITE_BATCH_SIZE_MAX_BYTES
from bftcluster.net.streams import QueuePolicy, WhenFull


class StreamOutbox:
    """A bounded queue of encoded frames with one reader, the writer of the stream.

    Whoever queues either wakes the writer, which comes when that task yields, or takes its
    place at the end (``PeerLink.flush``). What a task sends in one go leaves in one write.
    """

    def __init__(self, policy: QueuePolicy) -> None:
        self._policy = policy
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._work = trio.Event()
        self._room = trio.Event()
        self._cleared = 0
        self.dropped = 0
        """Frames that were queued or offered and never sent."""
        self.sent_bytes = 0
        """Bytes that the writer has taken."""

    def __len__(self) -> int:
        """Return how many frames wait."""
        return len(self._frames)

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._size

    def put_nowait(self, frame: bytes, *, wake: bool = True) -> bool:
        """Queue an encoded frame; False if it, or an older one in its stead, was dropped.

        Args:
            frame: With its length.
            wake: Whether to wake the writer; otherwise ``wake`` or ``take_nowait`` must follow.
        """
        kept_all = True
        if self._policy.when_full is WhenFull.WAIT:
            if not self._has_room(frame):
                self.dropped += 1
                return False
        else:
            while self._frames and not self._has_room(frame):
                self._pop()
                self.dropped += 1
                kept_all = False
        self._frames.append(frame)
        self._size += len(frame)
        if wake:
            self._work.set()
        return kept_all

    def wake(self) -> None:
        """Have the writer take what waits."""
        self._work.set()

    async def put(self, frame: bytes) -> None:
        """Queue an encoded frame, waiting for room if the policy is to wait.

        Raises:
            PeerUnreachableError: The queue was cleared meanwhile.
        """
        cleared = self._cleared
        while self._policy.when_full is WhenFull.WAIT and not self._has_room(frame):
            if self._room.is_set():
                self._room = trio.Event()
            await self._room.wait()
            if self._cleared != cleared:
                raise PeerUnreachableError("the connection was lost")
        self.put_nowait(frame)

    async def take(self) -> bytes:
        """Return what waits, joined up to ``WRITE_BATCH_SIZE_MAX_BYTES``; wait if nothing does."""
        while not self._frames:
            self._work = trio.Event()
            await self._work.wait()
        return self.take_nowait()

    def take_nowait(self) -> bytes:
        """Return what waits, joined up to ``WRITE_BATCH_SIZE_MAX_BYTES``; something must."""
        batch = [self._pop()]
        size = len(batch[0])
        while self._frames and size + len(self._frames[0]) <= WRITE_BATCH_SIZE_MAX_BYTES:
            batch.append(self._pop())
            size += len(batch[-1])
        self.sent_bytes += size
        self._room.set()
        return batch[0] if len(batch) == 1 else b"".join(batch)

    def clear(self) -> None:
        """Drop everything, and fail whoever waits for room."""
        self.dropped += len(self._frames)
        self._cleared += 1
        self._frames.clear()
        self._size = 0
        self._room.set()

    def _has_room(self, frame: bytes) -> bool:
        """Whether ``frame`` fits; one always fits an empty queue."""
        if not self._frames:
            return True
        return (
            len(self._frames) < self._policy.frames_max
            and self._size + len(frame) <= self._policy.size_max_bytes
        )

    def _pop(self) -> bytes:
        frame = self._frames.popleft()
        self._size -= len(frame)
        return frame

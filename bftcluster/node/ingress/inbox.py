"""The replica loop reads this queue: bounded for others, unbounded for this peer itself.

What peers and clients send waits for room, so that a flood becomes back-pressure at its source.
Whoever sends has a share of the bytes besides, so that nobody's frames wait behind all that another
can send.

What our own loops send (a batch was executed, log entries were read) is bounded by the protocol's
window already and must never wait: two loops that wait for each other stop for good.
"""

from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, TypeAlias, TypeVar

import trio

T = TypeVar("T")

EVENTS_PER_TURN_MAX: Final = 256
SHARE_MAX_BYTES: Final = 256 << 10
"""What waits here of one sender, or one frame that is longer: some tens of milliseconds of work."""

Sender: TypeAlias = Hashable


class OrderInbox(Generic[T]):
    """The queue of events for the replica loop, its only consumer."""

    def __init__(self, *, external_max: int) -> None:
        self._events: deque[T] = deque()
        self._room = trio.Semaphore(external_max)
        self._external: deque[tuple[Sender, int] | None] = deque()
        """Whose each is and how many bytes it has; None for our own."""
        self._sizes_bytes: dict[Sender, int] = {}
        self._eased: dict[Sender, trio.Event] = {}
        self._arrived = trio.Event()

    async def put(self, event: T, *, sender: Sender = None, size_bytes: int = 0) -> None:
        """Queue an event of the outside world; wait only while too many of them are queued.

        Events that come together reach the replica in one turn, so one batch has many requests.

        Args:
            event: What happened.
            sender: Whose share it counts in; each has one task that puts.
            size_bytes: How much it counts.
        """
        while (queued := self._sizes_bytes.get(sender)) and queued + size_bytes > SHARE_MAX_BYTES:
            self._eased[sender] = trio.Event()
            await self._eased[sender].wait()
        try:
            self._room.acquire_nowait()
        except trio.WouldBlock:
            await self._room.acquire()
        if size_bytes:
            self._sizes_bytes[sender] = self._sizes_bytes.get(sender, 0) + size_bytes
        self._append(event, (sender, size_bytes))

    def put_nowait(self, event: T) -> None:
        """Queue an event of our own."""
        self._append(event, None)

    async def take(self, *, timeout_s: float) -> list[T]:
        """Return what is queued, oldest first; wait for the first event, at most ``timeout_s``.

        An empty list means that nothing came in time.
        """
        if not self._events:
            self._arrived = trio.Event()
            with trio.move_on_after(timeout_s):
                await self._arrived.wait()
        else:
            await trio.lowlevel.checkpoint()
        events: list[T] = []
        while self._events and len(events) < EVENTS_PER_TURN_MAX:
            events.append(self._events.popleft())
            external = self._external.popleft()
            if external is not None:
                self._room.release()
                self._ease(*external)
        return events

    def __len__(self) -> int:
        """Return how many events wait."""
        return len(self._events)

    def _ease(self, sender: Sender, size_bytes: int) -> None:
        left_bytes = self._sizes_bytes.pop(sender, 0) - size_bytes
        if left_bytes > 0:
            self._sizes_bytes[sender] = left_bytes
        if sender in self._eased:
            self._eased.pop(sender).set()

    def _append(self, event: T, external: tuple[Sender, int] | None) -> None:
        self._events.append(event)
        self._external.append(external)
        self._arrived.set()

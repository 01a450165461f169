"""The one way into the replica loop: bounded for the world, unbounded for ourselves.

What peers and clients send waits for room, so that a flood becomes back-pressure at its source.
What our own loops send (a batch was executed, log entries were read) is bounded by the protocol's
window already and must never wait: two loops that wait for each other stop for good.
"""

from collections import deque
from typing import Final, Generic, TypeVar

import trio

T = TypeVar("T")

EVENTS_PER_TURN_MAX: Final = 256


class Inbox(Generic[T]):
    """A queue with one consumer."""

    def __init__(self, *, external_max: int) -> None:
        self._events: deque[T] = deque()
        self._room = trio.Semaphore(external_max)
        self._external: deque[bool] = deque()
        self._arrived = trio.Event()

    async def put(self, event: T) -> None:
        """Queue an event of the outside world; wait only while too many of them are queued.

        Events that come together reach the replica in one turn, so one batch has many requests.
        """
        try:
            self._room.acquire_nowait()
        except trio.WouldBlock:
            await self._room.acquire()
        self._append(event, external=True)

    def put_nowait(self, event: T) -> None:
        """Queue an event of our own."""
        self._append(event, external=False)

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
            if self._external.popleft():
                self._room.release()
        return events

    def __len__(self) -> int:
        """Return how many events wait."""
        return len(self._events)

    def _append(self, event: T, *, external: bool) -> None:
        self._events.append(event)
        self._external.append(external)
        self._arrived.set()

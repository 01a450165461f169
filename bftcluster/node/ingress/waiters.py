"""Clients that wait for requests to be executed are told their outcomes here."""

from collections.abc import Mapping
from typing import Generic, TypeVar

import trio

from bftcluster.ids import Digest

T = TypeVar("T")


class Waiters(Generic[T]):
    """Hands each request's outcome to everybody who asked for it; forgets those who gave up."""

    def __init__(self) -> None:
        self._waiting: dict[Digest, list[Waiter[T]]] = {}

    def expect(self, digest: Digest) -> "Waiter[T]":
        """Register before the request is sent, so that no outcome is missed."""
        waiter = Waiter[T](self, digest)
        self._waiting.setdefault(digest, []).append(waiter)
        return waiter

    def resolve(self, outcomes: Mapping[Digest, T]) -> None:
        """Wake those who wait for any of these."""
        for digest, outcome in outcomes.items():
            for waiter in self._waiting.pop(digest, ()):
                waiter.finish(outcome)

    def forget(self, waiter: "Waiter[T]") -> None:
        """Drop a waiter that gave up."""
        remaining = [w for w in self._waiting.get(waiter.digest, ()) if w is not waiter]
        if remaining:
            self._waiting[waiter.digest] = remaining
        else:
            self._waiting.pop(waiter.digest, None)

    def __len__(self) -> int:
        """Return how many requests somebody waits for."""
        return len(self._waiting)


class Waiter(Generic[T]):
    """One who waits for a request's outcome."""

    def __init__(self, waiters: Waiters[T], digest: Digest) -> None:
        self.digest = digest
        self.outcome: T | None = None
        self._waiters = waiters
        self._done = trio.Event()

    def finish(self, outcome: T) -> None:
        """Hand over the outcome."""
        self.outcome = outcome
        self._done.set()

    async def wait(self) -> None:
        """Return when the outcome is there; on cancellation, stop waiting for good."""
        try:
            await self._done.wait()
        finally:
            if self.outcome is None:
                self._waiters.forget(self)

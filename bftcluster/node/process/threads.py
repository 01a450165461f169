"""Gives out the threads for blocking work: a few for each kind, so that no kind waits for another.

The only module that hands work to a thread. A thread computes, or waits for the disk; what waits
for the network waits on the event loop, and holds none. But a reader that meets a damaged block
waits in its thread until another peer sends it, for some seconds (`node/loops/healer`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Workers:
    """The threads of one kind of work; whoever finds them all busy waits in line."""

    def __init__(self, threads_max: int) -> None:
        self._limiter = trio.CapacityLimiter(threads_max)

    @property
    def threads_max(self) -> int:
        """How many work at the same time."""
        return int(self._limiter.total_tokens)

    @property
    def working(self) -> int:
        """How many work now."""
        return self._limiter.borrowed_tokens

    async def run(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Return ``work(*args)``. Cancelled while in line, it never begins.

        Once begun it goes on when its task is cancelled. Work that a stranger can make long asks
        ``trio.from_thread.check_cancelled`` now and then.
        """
        return await trio.to_thread.run_sync(work, *args, limiter=self._limiter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threads:
    """All of a peer's. What has more processors than these threads gains nothing from more."""

    consensus: Workers = field(default_factory=lambda: Workers(3))
    """Executing, the log of votes, compacting: one of each at a time, so nobody ever waits."""
    upkeep: Workers = field(default_factory=lambda: Workers(4))
    """This peer's own duties, and the ledger as other peers read it."""
    blocks: Workers = field(default_factory=lambda: Workers(6))
    """Fetching blocks, and keeping what is pinned."""
    serving: Workers = field(default_factory=lambda: Workers(2))
    """Giving blocks to other peers."""
    uploads: Workers = field(default_factory=lambda: Workers(4))
    """What clients add."""
    reading: Workers = field(default_factory=lambda: Workers(2))
    """Walking DAGs for clients."""
    lists: Workers = field(default_factory=lambda: Workers(2))
    """Long answers of the ledger, a page at a time."""
    judging: Workers = field(default_factory=lambda: Workers(2))
    """Looking for what is wrong with requests of clients, before they are ordered."""
    rest: Workers = field(default_factory=lambda: Workers(4))
    """Short questions."""

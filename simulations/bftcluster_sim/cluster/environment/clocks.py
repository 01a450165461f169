"""Time: one heap and one seeded generator, so that a seed is a history; and wrong clocks."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from random import Random


class VirtualClock:
    """Calls what was planned, in order of time and then of planning."""

    def __init__(self, ties: Random | None = None) -> None:
        """Begin at 0; ``ties`` draws the order of what is due at the same time instead."""
        self.now_ms = 0
        self._planned: list[tuple[int, float, Callable[[], None]]] = []
        self._count = 0
        self._ties = ties

    @property
    def next_ms(self) -> int | None:
        """When the next thing happens; None if nothing is planned."""
        return self._planned[0][0] if self._planned else None

    @property
    def events(self) -> int:
        """How much has happened so far."""
        return self._count - len(self._planned)

    def call_at(self, time_ms: int, action: Callable[[], None]) -> None:
        """Plan ``action``; what is planned for the past happens now."""
        self._count += 1
        rank = self._count if self._ties is None else self._ties.random()
        heapq.heappush(self._planned, (max(time_ms, self.now_ms), rank, action))

    def run_until(self, end_ms: int) -> None:
        """Let everything happen that is planned up to and including ``end_ms``."""
        while self._planned and self._planned[0][0] <= end_ms:
            self.step()
        self.now_ms = max(self.now_ms, end_ms)

    def step(self) -> bool:
        """Let the next thing happen; return False if nothing is planned."""
        if not self._planned:
            return False
        time_ms, _, action = heapq.heappop(self._planned)
        self.now_ms = time_ms
        action()
        return True


@dataclass(slots=True)
class PeerClock:
    """A monotonic clock that runs at its own pace, and a wall clock that is wrong and jumps."""

    rate_permille: int = 1000
    """Milliseconds of this clock per true second."""
    offset_ms: int = 0
    """Of the monotonic clock: an arbitrary origin."""
    skew_ms: int = 0
    """Of the wall clock; changes when it jumps."""

    def now_ms(self, true_ms: int) -> int:
        """Return monotonic time."""
        return self.offset_ms + true_ms * self.rate_permille // 1000

    def wall_ms(self, true_ms: int, epoch_ms: int) -> int:
        """Return Unix time, as far as this peer knows."""
        return epoch_ms + self.now_ms(true_ms) - self.offset_ms + self.skew_ms

    def true_ms(self, now_ms: int) -> int:
        """Return the first true instant at which ``now_ms`` has come."""
        return -(-(now_ms - self.offset_ms) * 1000 // self.rate_permille)

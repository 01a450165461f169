"""Time and delivery: one heap, one seeded generator, so that a seed is a history."""

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


@dataclass(slots=True, kw_only=True)
class NetworkFaults:
    """How messages fare; may be changed while the simulation runs."""

    latency_ms_min: int = 1
    latency_ms_max: int = 1
    loss_percent: int = 0
    duplicate_percent: int = 0


class SimulatedNetwork:
    """Decides the fate of each message between numbered peers."""

    def __init__(self, *, clock: VirtualClock, random: Random, faults: NetworkFaults) -> None:
        self.clock = clock
        self.faults = faults
        self.cut: Callable[[int, int, bytes], bool] = lambda _source, _target, _frame: False
        """Whether a frame from one peer to another is lost for sure: partitions, targeted loss."""
        self.sent: list[tuple[int, int, int, bytes]] = []
        """Every frame handed over: time, source, target, frame. Emptied by whoever counts."""
        self._random = random

    def send(self, source: int, target: int, frame: bytes, deliver: Callable[[], None]) -> None:
        """Plan the deliveries of ``frame``: none, one or two."""
        self.sent.append((self.clock.now_ms, source, target, frame))
        if self.cut(source, target, frame):
            return
        if self._random.randrange(100) < self.faults.loss_percent:
            return
        copies = 2 if self._random.randrange(100) < self.faults.duplicate_percent else 1
        for _ in range(copies):
            delay_ms = self._random.randint(self.faults.latency_ms_min, self.faults.latency_ms_max)
            self.clock.call_at(self.clock.now_ms + delay_ms, deliver)

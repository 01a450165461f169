"""Bounds what the exchange of blocks sends and receives: in a day, in a month, each way.

A bucket holds half of what a day may have and is refilled with the other half in a day, so that no
day, whenever it begins, has more than all of it. What is owed survives restarts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import trio

from bftcluster.blocks.exchange.exchange_messages import carries_blocks
from bftcluster.errors import RefusedError
from bftcluster.node.ports import Clock

DAY_MS: Final = 86_400_000
MONTH_MS: Final = 30 * DAY_MS
PATIENCE_S: Final = 5.0
"""Who would wait longer for blocks is told that we are busy, and asks another."""
_WAIT_MAX_S: Final = 60.0
"""For so long what a peer sends is left unread at a time."""


@dataclass(slots=True, kw_only=True)
class TrafficBucket:
    """What was used of one bound, as of a time."""

    limit_bytes: int
    period_ms: int
    owed_bytes: float = 0.0
    """What was used and not refilled since."""
    at_ms: int = 0
    """Unix milliseconds: a clock that is set back refills nothing."""

    @property
    def _room_bytes(self) -> float:
        return self.limit_bytes / 2

    def spend(self, size_bytes: int, now_ms: int) -> None:
        """Count what was sent or received."""
        self._refill(now_ms)
        self.owed_bytes += size_bytes

    def wait_s(self, size_bytes: int, now_ms: int) -> float:
        """Return after how many seconds there is room for so much, or for all that there can be."""
        self._refill(now_ms)
        over = self.owed_bytes + min(size_bytes, self._room_bytes) - self._room_bytes
        return max(0.0, over * self.period_ms / self._room_bytes / 1000)

    def _refill(self, now_ms: int) -> None:
        passed_ms = max(0, now_ms - self.at_ms) if self.at_ms else 0
        self.owed_bytes = max(0.0, self.owed_bytes - passed_ms * self._room_bytes / self.period_ms)
        self.at_ms = max(self.at_ms, now_ms)


@dataclass(slots=True)
class Traffic:
    """The bounds of one peer; where none is set, nothing waits."""

    clock: Clock
    buckets: dict[str, TrafficBucket] = field(default_factory=dict)
    """By what they bound: ``day_up``, ``day_down``, ``month_up``, ``month_down``."""

    def set_limits(self, limits: Mapping[str, int]) -> None:
        """Bound what ``limits`` names; 0 is no bound. What was used stays used."""
        for name, limit_bytes in limits.items():
            if not limit_bytes:
                self.buckets.pop(name, None)
            elif name in self.buckets:
                self.buckets[name].limit_bytes = limit_bytes
            else:
                period_ms = DAY_MS if name.startswith("day") else MONTH_MS
                self.buckets[name] = TrafficBucket(limit_bytes=limit_bytes, period_ms=period_ms)

    async def send_frame(self, frame: bytes) -> None:
        """Return when a frame of the exchange may be sent; count it.

        One without blocks never waits, however long it is: who may give none asks all the same.

        Raises:
            RefusedError: It has blocks, and would have to wait for long.
        """
        if carries_blocks(frame):
            await self.send(len(frame))
        else:
            self._spend("up", len(frame))

    async def send(self, size_bytes: int) -> None:
        """Return when so many bytes of blocks may be sent; count them.

        Raises:
            RefusedError: They would have to wait for long.
        """
        wait_s = self.wait_s("up", size_bytes)
        if wait_s > PATIENCE_S:
            raise RefusedError("what may be sent is used up for now")
        if wait_s:
            await trio.sleep(wait_s)
        self._spend("up", size_bytes)

    async def receive(self, size_bytes: int) -> None:
        """Count what was received; return when more may be read."""
        self._spend("down", size_bytes)
        wait_s = self.wait_s("down", 0)
        if wait_s:
            await trio.sleep(min(wait_s, _WAIT_MAX_S))

    def wait_s(self, way: str, size_bytes: int) -> float:
        """Return after how many seconds so much may go ``up`` or ``down``."""
        now_ms = self.clock.wall_ms()
        return max((each.wait_s(size_bytes, now_ms) for each in self._of(way)), default=0.0)

    def to_bytes(self) -> bytes:
        """Return what a file keeps of it."""
        owed = {name: [each.owed_bytes, each.at_ms] for name, each in self.buckets.items()}
        return json.dumps(owed).encode() + b"\n"

    def remember(self, data: bytes) -> None:
        """Take back what ``to_bytes`` returned; a file that is damaged is as good as none."""
        try:
            for name, (owed_bytes, at_ms) in json.loads(data).items():
                if name in self.buckets:
                    self.buckets[name].owed_bytes = max(0.0, float(owed_bytes))
                    self.buckets[name].at_ms = int(at_ms)
        except (ValueError, TypeError, AttributeError):
            return

    def _spend(self, way: str, size_bytes: int) -> None:
        for bucket in self._of(way):
            bucket.spend(size_bytes, self.clock.wall_ms())

    def _of(self, way: str) -> list[TrafficBucket]:
        return [bucket for name, bucket in self.buckets.items() if name.endswith(way)]

"""Watches how much of its budget the log has used, and foretells when it will be used up.

At the budget the peer takes no more requests from its own clients; it goes on voting, following
and serving, because the cluster's work must not depend on one operator's disk. What was promised
to be kept is never deleted to make room: only the operator can decide that.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn, Self

import trio

from bftcluster.node.parts import Parts
from bftcluster.node.ports import Clock
from bftcluster.node.process.logs import log_for

LOOK_INTERVAL_S: Final = 60.0
WINDOW_MS: Final = 24 * 3_600_000
"""Growth is what was added in the last day, or since the start."""
WINDOW_MIN_MS: Final = 60_000
"""In less time than this, nothing can be told of how fast the log grows."""
SOON_MS: Final = 14 * 86_400_000
"""An operator is told so long before."""
_SAMPLES_MAX: Final = 1440
_REMINDER_MS: Final = 86_400_000

_log = log_for("ledger")


@dataclass(frozen=True, slots=True)
class LogUse:
    """How much of the disk the log takes."""

    size_bytes: int
    budget_bytes: int
    full_in_ms: int | None
    """At the pace of late; None if it does not grow, or nothing can be told yet."""

    @property
    def is_full(self) -> bool:
        """Whether the budget is used up."""
        return self.size_bytes >= self.budget_bytes

    @property
    def is_full_soon(self) -> bool:
        """Whether it is time for the operator to do something."""
        return self.full_in_ms is not None and self.full_in_ms < SOON_MS


class LogBudget:
    """Watches the log grow."""

    def __init__(
        self,
        *,
        budget_bytes: int,
        size_bytes: Callable[[], int],
        clock: Clock,
    ) -> None:
        """Prepare.

        Args:
            budget_bytes: What the log may take.
            size_bytes: Returns what it takes now, from memory.
            clock: Monotonic.
        """
        self._budget_bytes = budget_bytes
        self._size_bytes = size_bytes
        self._clock = clock
        self._samples: deque[tuple[int, int]] = deque(maxlen=_SAMPLES_MAX)
        self._warned_ms: int | None = None
        self.look()

    @classmethod
    def of(cls, parts: Parts, clock: Clock) -> Self:
        """Return the budget of a peer's own log."""
        return cls(
            budget_bytes=parts.config.log_budget_bytes,
            size_bytes=lambda: parts.store.log_size_bytes,
            clock=clock,
        )

    async def run(self) -> NoReturn:
        """Look now and then, until cancelled."""
        while True:
            await trio.sleep(LOOK_INTERVAL_S)
            self.look()

    def use(self) -> LogUse:
        """Return how much is used, and how long the rest lasts."""
        now_ms, size_bytes = self._clock.now_ms(), self._size_bytes()
        since_ms, was_bytes = self._samples[0]
        grown, passed_ms = size_bytes - was_bytes, now_ms - since_ms
        left_bytes = max(0, self._budget_bytes - size_bytes)
        full_in_ms = 0 if not left_bytes else None
        if left_bytes and grown > 0 and passed_ms >= WINDOW_MIN_MS:
            full_in_ms = left_bytes * passed_ms // grown
        return LogUse(size_bytes, self._budget_bytes, full_in_ms)

    def problem(self) -> str:
        """Return why no more requests of clients are taken; empty if they are."""
        if self._size_bytes() < self._budget_bytes:
            return ""
        return (
            "this peer's log has used up its budget, `storage.log_budget`: ask another peer, or "
            "have its operator give the log more room or let it keep less"
        )

    def look(self) -> None:
        """Take down how large the log is, and warn if it is about to be too large."""
        now_ms = self._clock.now_ms()
        while self._samples and self._samples[0][0] < now_ms - WINDOW_MS:
            self._samples.popleft()
        self._samples.append((now_ms, self._size_bytes()))
        use = self.use()
        if not (use.is_full or use.is_full_soon):
            self._warned_ms = None
        elif self._warned_ms is None or now_ms >= self._warned_ms + _REMINDER_MS:
            self._warned_ms = now_ms
            _log.warning(
                "the log's budget is used up"
                if use.is_full
                else "the log's budget will be used up",
                used_bytes=use.size_bytes,
                budget_bytes=use.budget_bytes,
                hours=(use.full_in_ms or 0) // 3_600_000,
                hint="raise storage.log_budget, or set storage.keep_log to keep less",
            )

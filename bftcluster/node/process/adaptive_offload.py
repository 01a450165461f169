"""Does blocking work in place while it is quick, and in a thread while it is not.

Handing work to a thread and back costs both more processor time and more waiting than a sync of a
fast disk does, or than the execution of a few requests. A disk that is slow, or a large batch,
would hold up everything else instead. Which of them it is, is measured as it happens.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

import trio

from bftcluster.node.process.threads import Workers

T = TypeVar("T")

QUICK_S: Final = 0.002
"""How long the event loop may stand still for one piece of work."""
_FADE: Final = 0.9
"""What is left of a memory of slowness with each piece of work: after 22, a tenth."""


class AdaptiveOffload:
    """Runs one kind of blocking work, one piece at a time."""

    def __init__(self, workers: Workers, now_s: Callable[[], float] = time.perf_counter) -> None:
        self._workers = workers
        self._now_s = now_s
        self._slowest_s = QUICK_S
        """How long a piece of work took at worst, as far as remembered. The first one is tried
        in a thread: nothing is known yet."""

    async def run(self, work: Callable[..., T], *args: object) -> T:
        """Return ``work(*args)``; not cancelled once it has begun."""
        if self._slowest_s < QUICK_S:
            return self._timed(work, *args)
        with trio.CancelScope(shield=True):
            return await self._workers.run(self._timed, work, *args)

    def _timed(self, work: Callable[..., T], *args: object) -> T:
        start_s = self._now_s()
        try:
            return work(*args)
        finally:
            took_s = self._now_s() - start_s
            self._slowest_s = max(took_s, self._slowest_s * _FADE)

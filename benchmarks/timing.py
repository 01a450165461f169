"""Clocks for single-threaded loops: the best of several batches, in the process's own CPU time.

Other work on the machine makes a batch slower, never faster, so the best one is nearest the truth.
"""

import time
from collections.abc import Callable

BATCHES = 7
BATCH_S = 0.1


def seconds_per_call(function: Callable[[], object], *, batches: int = BATCHES) -> float:
    """Return the CPU seconds that one call of ``function`` takes."""
    calls = 1
    while (taken := _time(function, calls)) < BATCH_S / 4:
        calls *= 2
    calls = max(1, round(calls * BATCH_S / taken))
    return min(_time(function, calls) for _ in range(batches)) / calls


def calls_per_second(function: Callable[[], object]) -> float:
    """Return how often one core can call ``function`` in a second."""
    return 1 / seconds_per_call(function)


def _time(function: Callable[[], object], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        function()
    return time.process_time() - start

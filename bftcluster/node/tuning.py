"""What a process that runs a peer asks of the interpreter and of the system, for speed alone."""

import contextlib
import gc
import os
import sys
from typing import Final

COLLECT_AFTER_OBJECTS: Final = 20_000


def tune_process() -> None:
    """Tune the collector and the scheduler, once all parts are loaded."""
    tune_collector()
    _tune_scheduler()


def tune_collector() -> None:
    """Leave what was made at start out of every collection, and collect less often.

    Messages are freed by counting references; cycles are rare, and looking for them among a
    hundred thousand objects of the libraries was a few per cent of all work (measured).
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 20)


def _tune_scheduler() -> None:
    """Let no thread that wakes up push out the one that woke it, which holds the interpreter lock.

    It could only wait for that lock, so each hand-over to a thread cost two switches for nothing:
    5 to 9 % of all CPU time (measured).
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may forbid it: slower, and nothing else
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

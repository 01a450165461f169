"""Sets up interpreter and system for a process that runs a peer: memory, open files, threads."""

import contextlib
import ctypes
import gc
import os
import resource
import sys
from typing import Final

COLLECT_AFTER_OBJECTS: Final = 20_000
FILES_MAX: Final = 8_192
"""Files and sockets that we may open, where the system allows: many give 1,024 unasked."""
LONG_BYTES: Final = 32 << 10
"""What is as long is allocated by itself."""
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Numbers of malloc.h."""
SWITCH_INTERVAL_S: Final = 0.0005
"""How long a thread keeps the interpreter when another wants it. The event loop wants it back after
each call to the system, and waits so long for every thread that walks a DAG meanwhile."""


def tune_process() -> None:
    """Tune the collector and the scheduler, once all parts are loaded; ask for enough files."""
    _allow_files()
    _return_memory()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    tune_collector()
    _tune_scheduler()


def tune_collector() -> None:
    """Leave what was made at start out of every collection, and collect less often.

    Messages are freed by counting references; cycles are rare, and looking for them among a
    hundred thousand objects of the libraries was a few per cent of all work (measured).
    """
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 20)


def _allow_files() -> None:
    """Clients have half of what we may open; what is left must do for peers, blocks and ledger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _return_memory() -> None:
    """Have what is long given back to the system when it is freed, if the C library lets us choose.

    By itself, glibc keeps more and more of it for later, in pieces: a flood of long requests left
    a peer half as large again as what it still held (measured).
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_MMAP_THRESHOLD, LONG_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, 4 * LONG_BYTES)


def _tune_scheduler() -> None:
    """Let no thread that wakes up push out the one that woke it, which holds the interpreter lock.

    It could only wait for that lock, so each hand-over to a thread cost two switches for nothing:
    5 to 9 % of all CPU time (measured).
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may forbid it: slower, and nothing else
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

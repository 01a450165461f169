"""How much work one part of a simulation does, by the clock of its thread."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class WorkMeter:
    """Counts the CPU time that one part spends: in its core, its database and its answers."""

    is_on: bool = False
    """Each look at the clock is a call of the kernel: whoever wants to know switches it on."""
    spent_ns: int = 0
    """So far; it says how long this machine took, and decides nothing."""
    sent_bytes: int = 0
    """Of frames to other full peers, so far."""

    def run(self, action: Callable[[], None]) -> None:
        """Do something, and count how long it takes."""
        if not self.is_on:
            action()
            return
        begun_ns = time.thread_time_ns()
        try:
            action()
        finally:
            self.spent_ns += time.thread_time_ns() - begun_ns

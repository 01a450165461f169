"""The system's clocks."""

import time


class SystemClock:
    """Monotonic time for timers, Unix time for data; both in whole milliseconds."""

    def now_ms(self) -> int:
        """Return monotonic milliseconds."""
        return time.monotonic_ns() // 1_000_000

    def wall_ms(self) -> int:
        """Return Unix milliseconds."""
        return time.time_ns() // 1_000_000

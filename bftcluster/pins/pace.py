"""A pace says how often something is done for whatever has come together since."""


class Pace:
    """At once after a pause, and then once an interval, for all that came meanwhile."""

    def __init__(self, interval_ms: int) -> None:
        self._interval_ms = interval_ms
        self._due_ms: int | None = None

    def pause_ms(self, now_ms: int) -> int:
        """Return how long it has to wait yet."""
        return 0 if self._due_ms is None else max(0, self._due_ms - now_ms)

    def begin(self, now_ms: int) -> None:
        """Note that it is done now."""
        self._due_ms = now_ms + self._interval_ms

"""What a peer believes the time to be."""

from dataclasses import dataclass


@dataclass(slots=True)
class PeerClock:
    """A monotonic clock that runs at its own pace, and a wall clock that is wrong and jumps."""

    rate_permille: int = 1000
    """Milliseconds of this clock per true second."""
    offset_ms: int = 0
    """Of the monotonic clock: an arbitrary origin."""
    skew_ms: int = 0
    """Of the wall clock; changes when it jumps."""

    def now_ms(self, true_ms: int) -> int:
        """Return monotonic time."""
        return self.offset_ms + true_ms * self.rate_permille // 1000

    def wall_ms(self, true_ms: int, epoch_ms: int) -> int:
        """Return Unix time, as far as this peer knows."""
        return epoch_ms + self.now_ms(true_ms) - self.offset_ms + self.skew_ms

    def true_ms(self, now_ms: int) -> int:
        """Return the first true instant at which ``now_ms`` has come."""
        return -(-(now_ms - self.offset_ms) * 1000 // self.rate_permille)

"""Log lines that others can bring about: one in a while for each kind, then how many there were."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

INTERVAL_S: Final = 10.0
KINDS_MAX: Final = 4096
"""Remembered at a time; a kind is one peer and one fault."""


@dataclass(slots=True)
class _Kind:
    told_s: float
    left_out: int = 0


class LogPace:
    """So nobody fills a disk, or hides a line among a million others, by being wrong often."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, _Kind] = {}

    def left_out(self, kind: Hashable, now_s: float) -> int | None:
        """Return how many lines of this kind were left out since the last; None: leave it out too.

        Args:
            kind: What counts together.
            now_s: Monotonic.
        """
        known = self._kinds.get(kind)
        if known is not None and now_s < known.told_s + INTERVAL_S:
            known.left_out += 1
            return None
        self._kinds.pop(kind, None)
        while len(self._kinds) >= KINDS_MAX:
            del self._kinds[next(iter(self._kinds))]  # It has been quiet for the longest.
        self._kinds[kind] = _Kind(now_s)
        return 0 if known is None else known.left_out


def also(left_out: int) -> str:
    """Return the words at the end of a line before which so many were left out."""
    return f" ({left_out} like this were left out before)" if left_out else ""

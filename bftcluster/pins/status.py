"""What a peer has done about a pin, in ipfs-cluster's words and numbers (``api/types.go``)."""

from enum import IntEnum
from typing import Final, NewType, Self

from bftcluster.errors import UsageError


class TrackerStatus(IntEnum):
    """The status of one CID at one peer. Each but ``UNDEFINED`` is one bit of a filter."""

    UNDEFINED = 0
    CLUSTER_ERROR = 1 << 1
    """The peer did not say."""
    PIN_ERROR = 1 << 2
    UNPIN_ERROR = 1 << 3
    PINNED = 1 << 4
    PINNING = 1 << 5
    UNPINNING = 1 << 6
    UNPINNED = 1 << 7
    """Not part of the pinset, or not held."""
    REMOTE = 1 << 8
    """Pinned, and allocated to others."""
    PIN_QUEUED = 1 << 9
    UNPIN_QUEUED = 1 << 10
    SHARDED = 1 << 11
    UNEXPECTEDLY_UNPINNED = 1 << 12
    """Should be held, was reported as held, and is not."""

    @property
    def word(self) -> str:
        """The word that ipfs-cluster's clients know: ``pin_queued``."""
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> Self:
        """Return the status that ``word`` names.

        Raises:
            UsageError: There is no such status.
        """
        try:
            return cls[word.upper()] if word == word.lower() else cls[""]
        except KeyError:
            raise UsageError(
                f"unknown status {word!r}", hint=f"known are {', '.join(_FILTER_WORDS)}"
            ) from None


StatusFilter = NewType("StatusFilter", int)
"""Bits of the statuses that match; 0 matches all."""

ANY_STATUS: Final = StatusFilter(0)

ERROR: Final = StatusFilter(
    TrackerStatus.CLUSTER_ERROR | TrackerStatus.PIN_ERROR | TrackerStatus.UNPIN_ERROR
)
QUEUED: Final = StatusFilter(TrackerStatus.PIN_QUEUED | TrackerStatus.UNPIN_QUEUED)

_COMPOSITES: Final = {"error": ERROR, "queued": QUEUED}
_FILTER_WORDS: Final = tuple(sorted([*_COMPOSITES, *(status.word for status in TrackerStatus)]))


def parse_filter(text: str) -> StatusFilter:
    """Return the filter of a comma-separated list; empty and ``undefined`` match everything.

    Raises:
        UsageError: It holds a word that is no status.
    """
    bits = 0
    for word in filter(None, (part.strip() for part in text.split(","))):
        bits |= _COMPOSITES.get(word) or TrackerStatus.parse(word)
    return StatusFilter(bits)


def matches(status: TrackerStatus, wanted: StatusFilter) -> bool:
    """Return whether ``status`` is among ``wanted``."""
    return wanted == ANY_STATUS or bool(status & wanted)

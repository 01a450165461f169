"""The budget for reading somebody else's DAG: it is refilled by what the reading brings.

A small DAG can describe a walk without end. So a walk spends the size of each block that it reads,
as often as it reads it, and earns by what comes of it: entries, and bytes of files.
"""

from dataclasses import dataclass
from typing import Final

from bftcluster.errors import MalformedContentError
from bftcluster.shell_limits import WALK_CREDIT_BYTES, WALK_PENDING_MAX

_BLOCK_COST_BYTES: Final = 64
"""For a block of no bytes."""
_ENTRY_EARNS_BYTES: Final = 8 << 10
_BYTE_EARNS_BYTES: Final = 128
"""A chunk of one byte costs as much in links."""


@dataclass(slots=True)
class WalkBudget:
    """The account of one walk: what it may still cost."""

    credit_bytes: int = WALK_CREDIT_BYTES
    """What may be read before anything more comes of it."""
    pending: int = 0
    """Links that were read and not followed yet: the memory of a walk."""

    def spend(self, block: bytes) -> None:
        """Pay for a block that was read.

        Raises:
            MalformedContentError: There is no credit left.
        """
        self.credit_bytes -= len(block) + _BLOCK_COST_BYTES
        if self.credit_bytes < 0:
            raise MalformedContentError(
                "this content takes far more reading than there is in it",
                hint="it is damaged, or was made to keep its readers busy",
            )

    def earn_entry(self) -> None:
        """Take credit for an entry of a directory."""
        self.credit_bytes += _ENTRY_EARNS_BYTES

    def earn_bytes(self, size_bytes: int) -> None:
        """Take credit for content."""
        self.credit_bytes += size_bytes * _BYTE_EARNS_BYTES

    def hold(self, links: int) -> None:
        """Keep so many links more, or fewer.

        Raises:
            MalformedContentError: Too many at once.
        """
        self.pending += links
        if self.pending > WALK_PENDING_MAX:
            raise MalformedContentError(f"more than {WALK_PENDING_MAX:,} links ahead of a walk")

"""What the node's loops need of the machine: the log of votes, the time, a place for proofs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bftcluster.pbft import Halt


class VoteLog(Protocol):
    """Durable memory of votes."""

    def append(self, records: Sequence[bytes]) -> None:
        """Return when every record is on the disk."""
        ...

    def rewrite(self, records: Sequence[bytes]) -> None:
        """Replace all records by these."""
        ...


class Clock(Protocol):
    """The time: monotonic for deadlines, and of the wall for people and batches."""

    def now_ms(self) -> int:
        """Return monotonic milliseconds, for timers."""
        ...

    def wall_ms(self) -> int:
        """Return Unix milliseconds, for data."""
        ...


class EvidenceSink(Protocol):
    """Where proofs of misbehaviour are kept."""

    def keep(self, piece: bytes) -> Path:
        """Write a proof that a replica contradicted itself; return the file."""
        ...

    def keep_halt(self, halt: Halt) -> Path:
        """Write what made this replica stop; return the file."""
        ...

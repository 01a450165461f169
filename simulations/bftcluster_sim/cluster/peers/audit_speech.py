"""What a peer may make of audits, where it is faulty: as a holder, and as a voter."""

from typing import Protocol

from bftcluster.ids import PeerId
from bftcluster.ledger.state.audit_rows import Challenge
from bftcluster.sync.audit_duties import Sight


class AuditLie(Protocol):
    """How a faulty peer answers. None: it says nothing."""

    def answer(self, me: PeerId, challenge: Challenge, right: bytes) -> bytes | None:
        """Return the digest that it answers, empty for blocks that it says it lacks.

        Args:
            me: Whose answer it is.
            challenge: What it is asked.
            right: The digest over the right blocks.
        """
        ...

    def shows(self, challenge: Challenge) -> bool:
        """Return whether it sends the blocks to a voter that reads them."""
        ...

    def sight(self, sight: Sight, right: bytes) -> bytes | None:
        """Return what it says it saw as a voter, given what it saw."""
        ...

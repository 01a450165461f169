"""The verdicts: what became of a message, and which of it an operator is told."""

from enum import Enum


class Verdict(Enum):
    """What became of one message. Guards run in a fixed order, so all replicas judge alike."""

    COUNTED = "counted"
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    STASHED = "stashed"
    """For a view, epoch or window we are not in yet: kept, within bounds, until we are."""
    LATE = "late"
    """For a view, epoch or window that has passed: a slow sender, not a faulty one."""
    OUTSIDE_WATERMARKS = "outside-watermarks"
    """More than a window ahead of ours: we are far behind, or the sender lies."""
    WAITING = "waiting"
    """Taken, but something else must arrive first."""
    UNSOLICITED = "unsolicited"
    """An answer nobody waits for (any more)."""
    POOL_FULL = "pool-full"
    """Too many requests wait for a decision; come back later."""
    STASH_FULL = "stash-full"
    SILENT = "silent"
    """We do not vote yet: peers must first confirm that we forgot no vote."""
    VIEW_CHANGE = "view-change"
    """In reports only: we gave up a view."""
    NEW_VIEW = "new-view"
    """In reports only: we entered a view."""
    NEW_EPOCH = "new-epoch"
    """In reports only: another membership votes from here on."""
    HALTED = "halted"
    """In reports only: we stopped for good."""

    MALFORMED = "malformed"
    NOT_A_MEMBER = "not-a-member"
    NOT_THE_PRIMARY = "not-the-primary"
    PRIMARY_PREPARED = "primary-prepared"
    """A primary's PRE-PREPARE is its PREPARE; it sends no other."""
    NOT_A_CHECKPOINT = "not-a-checkpoint"
    CONFLICTING = "conflicting"
    """A second vote that differs from the first: see ``KeepEvidence``."""
    BAD_SIGNATURE = "bad-signature"
    BAD_CERTIFICATE = "bad-certificate"
    BAD_BATCH = "bad-batch"
    BAD_TIMESTAMP = "bad-timestamp"
    INADMISSIBLE = "inadmissible"
    """A request that is provably not allowed, from a client or in a proposal."""
    WRONG_ENTRY = "wrong-entry"
    WRONG_STATE = "wrong-state"
    """What a source of a state transfer sent is not in the certified state."""
    BAD_VIEW_CHANGE = "bad-view-change"
    BAD_NEW_VIEW = "bad-new-view"

    @property
    def is_fault(self) -> bool:
        """Whether a correct sender never causes it."""
        return self in _FAULTS


_FAULTS = frozenset(
    {
        Verdict.MALFORMED,
        Verdict.NOT_A_MEMBER,
        Verdict.NOT_THE_PRIMARY,
        Verdict.PRIMARY_PREPARED,
        Verdict.NOT_A_CHECKPOINT,
        Verdict.CONFLICTING,
        Verdict.BAD_SIGNATURE,
        Verdict.BAD_CERTIFICATE,
        Verdict.BAD_BATCH,
        Verdict.BAD_TIMESTAMP,
        Verdict.INADMISSIBLE,
        Verdict.WRONG_ENTRY,
        Verdict.WRONG_STATE,
        Verdict.BAD_VIEW_CHANGE,
        Verdict.BAD_NEW_VIEW,
    }
)

"""What is counted about a peer, in three tracks that never mix.

Integrity judges what a peer answered, unknown whether it answered, availability whether it was
there. A peer that is offline loses availability alone.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from bftcluster.reputation import arithmetic
from bftcluster.reputation.standing import OrderedEvidence

INTEGRITY_SHIFT: Final = 7
"""A window of 128 audits."""
FAILURE_FACTOR: Final = 4
"""A wrong answer weighs four right ones, so that neither a blend of both nor turns of them pay."""
UNKNOWN_SHIFT: Final = 5
"""A window of 32 audits."""
INTEGRITY_START: Final = arithmetic.ONE << INTEGRITY_SHIFT
UNKNOWN_START: Final = arithmetic.ONE << UNKNOWN_SHIFT
"""A newcomer's counts are those of a spotless past: its age, not its score, holds it back, and
its first failures cost what they cost anybody."""


class AuditOutcome(IntEnum):
    """What came of one audit. The numbers are part of the state."""

    PASSED = 0
    FAILED = 1
    """Wrong or missing data, after escalation, while the peer was there."""
    UNKNOWN = 2
    """No answer within the time, asked again as often as the rules say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityTrack:
    """How far a peer's data was what it should be."""

    good: int = INTEGRITY_START
    bad: int = 0
    audits: int = 0
    """Answered ever since its admission, right or wrong; stops at `arithmetic.COUNT_MAX`."""
    passed: OrderedEvidence | None = None
    """The last of each kind."""
    failed: OrderedEvidence | None = None

    @property
    def score(self) -> int:
        """From 0 to `arithmetic.ONE`."""
        return arithmetic.score(self.good, self.bad)

    def after(self, outcome: AuditOutcome, evidence: OrderedEvidence) -> "IntegrityTrack":
        """Return the track with one more audit; one without an answer says nothing here."""
        if outcome is AuditOutcome.UNKNOWN:
            return self
        passed = outcome is AuditOutcome.PASSED
        return IntegrityTrack(
            good=arithmetic.good_after(self.good, int(passed), INTEGRITY_SHIFT),
            bad=arithmetic.bad_after(self.bad, int(passed), INTEGRITY_SHIFT, FAILURE_FACTOR),
            audits=arithmetic.clamp(self.audits + 1, 0, arithmetic.COUNT_MAX),
            passed=evidence if passed else self.passed,
            failed=self.failed if passed else evidence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownTrack:
    """How many of its audits a peer answered, rightly or wrongly."""

    good: int = UNKNOWN_START
    bad: int = 0
    unanswered: OrderedEvidence | None = None
    """The last."""

    @property
    def score(self) -> int:
        """From 0 to `arithmetic.ONE`."""
        return arithmetic.score(self.good, self.bad)

    def after(self, outcome: AuditOutcome, evidence: OrderedEvidence) -> "UnknownTrack":
        """Return the track with one more audit."""
        answered = outcome is not AuditOutcome.UNKNOWN
        return UnknownTrack(
            good=arithmetic.good_after(self.good, int(answered), UNKNOWN_SHIFT),
            bad=arithmetic.bad_after(self.bad, int(answered), UNKNOWN_SHIFT, 1),
            unanswered=self.unanswered if answered else evidence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailabilityTrack:
    """In how many periods a peer was seen, by windows of 12 hours."""

    parts: bytes = b""
    """Of the last closed windows, at most 60, oldest first: the share with the peer, in 255ths."""
    window: int = 0
    """Number of the open one: a period's, divided by the periods of a window."""
    seen: int = 0
    """Periods of the open window with the peer."""
    observed: int = 0
    """Periods of the open window that ended. One in which nothing was ordered does not."""
    missed: OrderedEvidence | None = None
    """What ended the last period without it."""

    @property
    def mean(self) -> int:
        """From 0 to `arithmetic.ONE`, which it is for the first 14 windows."""
        return arithmetic.availability(self.parts)

    def after(
        self, *, window: int, was_seen: bool, evidence: OrderedEvidence
    ) -> "AvailabilityTrack":
        """Return the track with one more period that ended, which lay in ``window``."""
        track = self if window == self.window else self._closed(window)
        return replace(
            track,
            seen=arithmetic.clamp(track.seen + int(was_seen), 0, arithmetic.COUNT_MAX),
            observed=arithmetic.clamp(track.observed + 1, 0, arithmetic.COUNT_MAX),
            missed=track.missed if was_seen else evidence,
        )

    def _closed(self, window: int) -> "AvailabilityTrack":
        """Return the track with ``window`` open; the one before counts if a period of it ended."""
        parts = self.parts
        if self.observed > 0:
            parts += bytes((arithmetic.window_part(self.seen, self.observed),))
        return AvailabilityTrack(
            parts=parts[-arithmetic.WINDOWS_MAX :], window=window, missed=self.missed
        )

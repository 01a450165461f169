"""Peers, evidence and lives for the tests of reputation."""

import hashlib
from collections.abc import Iterable

from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.reputation import (
    AuditOutcome,
    OrderedEvidence,
    PeerReputation,
    Terms,
    newcomer,
)
from tests.unit.reputation.periods import PeriodJudgement, at_period

TERMS = Terms()
HOURS = 1
DAYS = 24 * HOURS
FIRST = 500_004
"""The period in which lives begin: the first of a window."""
PASSED, FAILED, UNKNOWN = AuditOutcome.PASSED, AuditOutcome.FAILED, AuditOutcome.UNKNOWN


def evidence(seq: int) -> OrderedEvidence:
    """Return evidence of its own for each number."""
    return OrderedEvidence(digest=Digest(hashlib.sha256(b"%d" % seq).digest()), seq=Seq(seq))


def peer(number: int) -> PeerId:
    """Return a peer's key; they sort as their numbers do."""
    return PeerId(number.to_bytes(32, "big"))


def fresh() -> PeerReputation:
    """Return a newcomer of the first period."""
    return newcomer(FIRST, TERMS, evidence(1))


class Life:
    """One peer in a cluster of its own, hour by hour."""

    def __init__(self, reputation: PeerReputation | None = None) -> None:
        self.reputation = reputation or fresh()
        self.period = FIRST
        self.seq = 1
        self.standings = [self.reputation.standing]
        """Every one it came to, in order."""

    def audits(self, outcomes: Iterable[AuditOutcome]) -> "Life":
        """Let outcomes arrive in this period."""
        for outcome in outcomes:
            self.seq += 1
            self.reputation = self.reputation.audited(outcome, evidence(self.seq))
        return self

    def lives(
        self, periods: int, *, seen: bool = True, each: Iterable[AuditOutcome] = ()
    ) -> "Life":
        """Let so many periods end, with the outcomes of ``each`` in every one of them."""
        outcomes = list(each)
        for _ in range(periods):
            self.audits(outcomes)
            self.ends(seen=seen)
        return self

    def ends(self, *, seen: bool = True) -> PeriodJudgement:
        """Let the period end."""
        self.seq += 1
        self.reputation = self.reputation.observed(
            self.period, TERMS, was_seen=seen, evidence=evidence(self.seq)
        )
        self.period += 1
        judged = at_period(self.period, {peer(1): self.reputation}, {}, TERMS)
        for change in judged.changes:
            self.reputation = change.after
            self.standings.append(change.after.standing)
        return judged


def vetted() -> Life:
    """Return a peer that has just become active."""
    life = Life().audits([PASSED] * 100).lives(21 * DAYS)
    assert len(life.standings) == 2
    return life

"""What relays say that a light peer is asked in audits.

No checkpoint proves it in time, so it is answered on the word of a relay. That costs nothing: a
line that is signed for one audit counts for no other, an answer is a hash of blocks that anybody
may read, and only what the peer is to hold is looked at. Whoever is told by one relay answers
through that relay, so one that withholds is made up for by the others.
"""

from typing import NamedTuple

from bftcluster.ids import PeerId
from bftcluster.ledger.state.audit_rows import AuditPhase, Challenge
from bftcluster.limits import AUDITS_PER_PEER_MAX
from bftcluster.pbft.verdicts import Verdict
from bftcluster.sync.frames import AuditHint


class AuditQuestion(NamedTuple):
    """That a relay says we are asked."""

    relay: PeerId
    hint: AuditHint

    @property
    def challenge(self) -> Challenge:
        """Return the audit as far as we are told of it: enough to answer, once."""
        hint = self.hint
        return Challenge(
            number=hint.number,
            period=0,
            seed=hint.seed,
            cid=hint.cid,
            pin_number=0,
            phase=AuditPhase.ANSWERING if hint.is_pledged else AuditPhase.PLEDGING,
            until_ms=0,
            asked=(),
        )


class AuditQuestions:
    """Those that are open: each relay has its share, and each is asked once at a time."""

    def __init__(self) -> None:
        self._open: set[AuditQuestion] = set()
        self._new: list[AuditQuestion] = []

    def add(self, question: AuditQuestion) -> Verdict:
        """Take a question about what we are to hold."""
        if question in self._open:
            return Verdict.DUPLICATE
        of_relay = [each for each in self._open if each.relay == question.relay]
        if len(of_relay) >= AUDITS_PER_PEER_MAX:
            return Verdict.POOL_FULL
        self._open.add(question)
        self._new.append(question)
        return Verdict.ACCEPTED

    def end(self, question: AuditQuestion) -> None:
        """Hear it again if it is asked again: it was answered, or its relay is not there."""
        self._open.discard(question)

    def take(self) -> tuple[AuditQuestion, ...]:
        """Return what came since the last time."""
        new, self._new = tuple(self._new), []
        return new

"""Records proof that a replica contradicted itself. What follows is the maintainers' decision."""

import hashlib
from dataclasses import dataclass

from bftcluster import codec
from bftcluster.errors import BadSignatureError, ClusterError
from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.effects import PeerAccused
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.requests import ReportEvidence
from bftcluster.ledger.wire.verification import ApprovalVerifier, Inspected


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRecord:
    """The first proof against one peer that was ordered."""

    evidence: bytes
    seq: Seq
    timestamp_ms: int

    @property
    def digest(self) -> Digest:
        """How people name it: SHA-256 of the proof, as in the names of the nodes' files."""
        return Digest(hashlib.sha256(self.evidence).digest())

    def to_value(self) -> bytes:
        """Return the row's value."""
        return codec.encode([self.evidence, self.seq, self.timestamp_ms])


def evidence_record(value: bytes) -> EvidenceRecord:
    """Return what a row of ``Space.EVIDENCE`` holds."""
    evidence, seq, timestamp_ms = codec.decode(value)
    return EvidenceRecord(evidence=evidence, seq=Seq(seq), timestamp_ms=timestamp_ms)


def accuse(
    execution: Execution, verifier: ApprovalVerifier, inspected: Inspected, request: ReportEvidence
) -> Outcome:
    """Record proof against a replica, once; refuse what proves nothing."""
    assert inspected.evidence is not None, "a parsed report of evidence has evidence"
    first = inspected.evidence.first
    culprit, epoch = PeerId(first.replica), first.epoch
    membership = execution.state.membership_of(epoch)
    if membership is None or first.replica not in membership.replicas:
        detail = f"it accuses nobody who votes in epoch {epoch}"
        return Outcome(OutcomeCode.UNKNOWN_PEER, detail)
    verdict = verifier.culprit(inspected)
    if isinstance(verdict, BadSignatureError):
        return Outcome(OutcomeCode.BAD_SIGNATURE, str(verdict))
    if isinstance(verdict, ClusterError):
        return Outcome(OutcomeCode.INVALID_OPERATION, str(verdict))
    if culprit in execution.state.accused:
        return Outcome(OutcomeCode.ALREADY, "proof against this peer is recorded already")
    record = EvidenceRecord(
        evidence=request.evidence, seq=execution.seq, timestamp_ms=execution.now_ms
    )
    execution.state.accuse(culprit, record.to_value())
    execution.effects.append(PeerAccused(culprit))
    return Outcome(OutcomeCode.RECORDED, f"evidence {record.digest.hex()[:16]}")

"""Proof against peers: votes that contradict each other, and words that the order shows to be lies.

What follows from contradictions is the maintainers' decision.
"""

from bftcluster.errors import BadSignatureError, ClusterError
from bftcluster.ids import PeerId
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.effects import FraudProven, PeerAccused
from bftcluster.ledger.rules.standings import condemn
from bftcluster.ledger.state.records import EvidenceRecord
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.requests import ReportEvidence
from bftcluster.ledger.wire.verification import ApprovalVerifier, Inspected
from bftcluster.reputation import OrderedEvidence


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
    condemn(execution, culprit, OrderedEvidence(digest=record.digest, seq=execution.seq))
    return Outcome(OutcomeCode.RECORDED, f"evidence {record.digest.hex()[:16]}")


def expose(execution: Execution, peer: PeerId, proof: OrderedEvidence) -> None:
    """Name and condemn a peer that the order itself shows to have lied in what it signed."""
    execution.effects.append(FraudProven(peer))
    condemn(execution, peer, proof)

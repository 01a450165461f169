"""What members say to have a beacon: heard once each, and charged to their share of the hour."""

from dataclasses import replace

from bftcluster.ids import PeerId
from bftcluster.ledger.rules.beacon.partials import contribute
from bftcluster.ledger.rules.beacon.verdicts import foreseen_refusal, refused_as
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.evidence import expose
from bftcluster.ledger.state.beacon_state import OpenCeremony
from bftcluster.ledger.wire.beacon_requests import BeaconRequest, Complain, Deal, digest_of
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.verification import ApprovalVerifier, Inspected
from bftcluster.reputation import OrderedEvidence
from bftcluster.signing.threshold.transcript import with_complaint, with_dealing
from bftcluster.signing.threshold.verdicts import ComplaintVerdict


def take_part(
    execution: Execution, verifier: ApprovalVerifier, inspected: Inspected, request: BeaconRequest
) -> Outcome:
    """Hear a dealing, a complaint or a partial; its peer pays for it, whatever becomes of it."""
    if request.cluster_id != execution.genesis.cluster_id:
        return Outcome(OutcomeCode.WRONG_CLUSTER, "made for another cluster")
    if request.peer not in execution.state.peers:
        return Outcome(OutcomeCode.NOT_ADMITTED, "the peer is not one of this cluster's")
    if not verifier.is_valid_announcement(inspected):
        return Outcome(OutcomeCode.BAD_SIGNATURE, "the peer's signature does not verify")
    outcome = _heard(execution, verifier, inspected, request)
    record = execution.state.peers.get(request.peer)
    if record is not None:
        spend = record.spent.plus if outcome.is_accepted else record.spent.refused
        spent = spend(execution.now_ms, len(request.payload))
        execution.state.put_peer(replace(record, spent=spent))
    return outcome


def _heard(
    execution: Execution, verifier: ApprovalVerifier, inspected: Inspected, request: BeaconRequest
) -> Outcome:
    beacon = execution.state.beacon
    refusal = foreseen_refusal(beacon, request, execution.seq, execution.period)
    if refusal is not None:
        return refusal
    if not verifier.is_proven(inspected):
        return unproven()
    opened = beacon.open
    if isinstance(request, Deal):
        assert opened is not None, "a dealing that counts is for a ceremony"
        return _deal(execution, opened, request)
    if isinstance(request, Complain):
        assert opened is not None, "a complaint that counts is of a ceremony"
        verdict = verifier.judged_complaint(inspected, opened.transcript)
        return _complain(execution, opened, request, verdict)
    return contribute(execution, verifier.curve, request)


def unproven() -> Outcome:
    """Return what becomes of a request whose points are none, or whose secret nobody has shown."""
    return Outcome(OutcomeCode.BAD_SIGNATURE, "what it holds is no point, or is not proven")


def _deal(execution: Execution, opened: OpenCeremony, request: Deal) -> Outcome:
    transcript = with_dealing(opened.transcript, request.dealing)
    beacon = replace(execution.state.beacon, open=replace(opened, transcript=transcript))
    execution.set_beacon(beacon)
    return Outcome(OutcomeCode.RECORDED, f"dealing {request.dealing.dealer}")


def _complain(
    execution: Execution, opened: OpenCeremony, request: Complain, verdict: ComplaintVerdict
) -> Outcome:
    """Note a complaint. It is proof, either against the dealer or against who complains."""
    proof = OrderedEvidence(digest=digest_of(request), seq=execution.seq)
    transcript = with_complaint(opened.transcript, request.complaint, verdict)
    beacon = execution.state.beacon
    execution.set_beacon(replace(beacon, open=replace(opened, transcript=transcript)))
    if verdict is not ComplaintVerdict.UPHELD:
        expose(execution, request.peer, proof)
        return refused_as(verdict)
    expose(execution, PeerId(beacon.dealers(opened)[request.complaint.dealer - 1]), proof)
    return Outcome(OutcomeCode.RECORDED, f"dealing {request.complaint.dealer} is wrong")

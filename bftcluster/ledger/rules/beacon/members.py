"""What members say to have a beacon: heard once each, and charged to their share of the hour."""

from dataclasses import replace

from bftcluster.ids import PeerId
from bftcluster.ledger.rules.beacon.partials import contribute
from bftcluster.ledger.rules.beacon.verdicts import foreseen_refusal, refused_as
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.evidence import expose
from bftcluster.ledger.rules.peer_reports import charge, refusal_of_stranger
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
    refusal = refusal_of_stranger(execution, verifier, inspected, request)
    if refusal is not None:
        return refusal
    outcome = _heard(execution, verifier, inspected, request)
    charge(execution, request, outcome)
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

"""What a member says besides its announcements: whether it may, and that it pays for it."""

from dataclasses import replace

from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.wire.audit_requests import AuditRequest
from bftcluster.ledger.wire.beacon_requests import BeaconRequest
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.verification import ApprovalVerifier, Inspected


def refusal_of_stranger(
    execution: Execution,
    verifier: ApprovalVerifier,
    inspected: Inspected,
    request: BeaconRequest | AuditRequest,
) -> Outcome | None:
    """Return why a request is nobody's whom this cluster hears, if that is so."""
    if request.cluster_id != execution.genesis.cluster_id:
        return Outcome(OutcomeCode.WRONG_CLUSTER, "made for another cluster")
    if request.peer not in execution.state.peers:
        return Outcome(OutcomeCode.NOT_ADMITTED, "the peer is not one of this cluster's")
    if not verifier.is_valid_announcement(inspected):
        return Outcome(OutcomeCode.BAD_SIGNATURE, "the peer's signature does not verify")
    return None


def charge(execution: Execution, request: BeaconRequest | AuditRequest, outcome: Outcome) -> None:
    """Charge a request to its peer's share of the hour, unless the peer left over it."""
    record = execution.state.peers.get(request.peer)
    if record is not None:
        spend = record.spent.plus if outcome.is_accepted else record.spent.refused
        spent = spend(execution.now_ms, len(request.payload))
        execution.state.put_peer(replace(record, spent=spent))

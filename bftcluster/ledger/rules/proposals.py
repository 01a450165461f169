"""Collects approvals on the log: proposals, more approvals, rejections.

A rejection is final for its maintainer: approvals have no date, so an approval from before could
be replayed to undo it. A proposal dies when its threshold is out of reach, and when nobody approves
it any more: its proposer withdrew it.
"""

from dataclasses import replace
from typing import Final, assert_never

from bftcluster.ids import Digest, MaintainerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.context import Approved, Execution, burn, judge_intent, replayed
from bftcluster.ledger.rules.operations import execute_operation
from bftcluster.ledger.state.deadlines import proposal_deadline
from bftcluster.ledger.state.records import ClosedProposal, ProposalRecord, ProposalState
from bftcluster.ledger.wire.operations import content_of
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.requests import Approve, Propose, Reject
from bftcluster.ledger.wire.verification import ApprovalVerifier, Inspected
from bftcluster.signing.approvals import Approval, Intent
from bftcluster.signing.keys import maintainer_text

_FOR_NOTHING: Final = frozenset(
    {
        OutcomeCode.ALREADY,
        OutcomeCode.ALREADY_REJECTED,
        OutcomeCode.EXPIRED,
        OutcomeCode.NOT_YET_VALID,
        OutcomeCode.REPLAYED,
        OutcomeCode.TOO_MANY_PROPOSALS,
        OutcomeCode.UNKNOWN_PROPOSAL,
        OutcomeCode.WRONG_POLICY,
    }
)


def vote(
    execution: Execution,
    verifier: ApprovalVerifier,
    inspected: Inspected,
    request: Propose | Approve | Reject,
) -> Outcome:
    """Take what one maintainer says of an intent; what comes to nothing is charged to it."""
    match request:
        case Propose():
            outcome = _propose(execution, verifier, inspected, request)
        case Approve():
            outcome = _approve(execution, verifier, inspected, request)
        case Reject():
            outcome = _reject(execution, verifier, inspected, request)
        case _:
            assert_never(request)
    is_for_nothing = outcome.code in _FOR_NOTHING
    if is_for_nothing and _judge_vote(execution, verifier, inspected, None, request) is None:
        size_bytes = 0 if inspected.intent is None else len(inspected.intent.encoded)
        _charge(execution, request.approval.maintainer, size_bytes)
    return outcome


def _propose(
    execution: Execution, verifier: ApprovalVerifier, inspected: Inspected, request: Propose
) -> Outcome:
    intent, operation = inspected.proposed
    refusal = judge_intent(execution, intent)
    if refusal:
        return refusal
    state, maintainer = execution.state, request.approval.maintainer
    refusal = _judge_vote(execution, verifier, inspected, intent.digest, request)
    if refusal:
        return refusal
    share, size_bytes = state.share(maintainer), len(intent.encoded)
    record = state.proposal(intent.digest)
    if record is None:
        problem = share.problem(execution.now_ms, size_bytes)
    else:
        problem = share.problem_of_hour(execution.now_ms, size_bytes)
    if problem:
        return Outcome(OutcomeCode.TOO_MANY_PROPOSALS, problem, intent.digest)
    if record is not None:
        assert isinstance(record, ProposalRecord), "the intent of a closed proposal is used"
        return _count_approval(execution, record, request.approval)
    state.set_share(maintainer, share.open(execution.now_ms, size_bytes))
    state.seen.note(intent.digest, execution.now_ms)
    execution.proposals_open += 1
    state.put(Space.DEADLINE, proposal_deadline(intent.digest, intent.expires_ms), b"\x80")
    record = ProposalRecord(
        intent=intent, operation=operation, proposer=maintainer, proposed_ms=execution.now_ms
    )
    return _count_approval(execution, record, request.approval)


def _approve(
    execution: Execution, verifier: ApprovalVerifier, inspected: Inspected, request: Approve
) -> Outcome:
    """Count one more approval; at the threshold, execute."""
    record = _vote_on(execution, verifier, inspected, request)
    if isinstance(record, Outcome):
        return record
    return _count_approval(execution, record, request.approval)


def _reject(
    execution: Execution, verifier: ApprovalVerifier, inspected: Inspected, request: Reject
) -> Outcome:
    """Count one rejection, in place of an approval; close what is withdrawn or can pass no more."""
    record = _vote_on(execution, verifier, inspected, request)
    if isinstance(record, Outcome):
        return record
    digest, maintainer = record.intent.digest, request.approval.maintainer
    if maintainer in record.rejecters:
        return Outcome(OutcomeCode.ALREADY, "rejected already", digest)
    rejections = (*record.rejections, request.approval)
    record = replace(
        record,
        approvals=tuple(vote for vote in record.approvals if vote.maintainer != maintainer),
        rejections=tuple(sorted(rejections, key=_by_maintainer)),
    )
    policy = execution.state.policy
    is_withdrawn = not record.approvals
    if is_withdrawn or len(rejections) > policy.rejections_max:
        burn(execution, record.intent)
        _close(execution, record, ProposalState.REJECTED)
        detail = "withdrawn" if is_withdrawn else f"{len(rejections)} rejections"
        return Outcome(OutcomeCode.REJECTED, detail, digest)
    execution.state.put_proposal(record)
    detail = f"{len(rejections)} of {policy.rejections_max + 1} rejections"
    return Outcome(OutcomeCode.REJECTION_COUNTED, detail, digest)


def close_if_open(execution: Execution, intent: Intent) -> None:
    """Close the proposal of an intent that a complete certificate executed."""
    record = execution.state.proposal(intent.digest)
    if record is not None:
        assert isinstance(record, ProposalRecord), "the intent of a closed proposal is used"
        _close(execution, record, ProposalState.EXECUTED)


def forget(execution: Execution, intent_digest: Digest) -> None:
    """Remove the proposal of an intent that expired."""
    state = execution.state
    record = state.proposal(intent_digest)
    assert record is not None, "a deadline goes with its proposal"
    share = state.share(record.proposer)
    if isinstance(record, ProposalRecord):
        state.set_share(record.proposer, share.close(len(record.intent.encoded)))
        execution.proposals_open -= 1
    elif record.state is ProposalState.REJECTED:
        state.set_share(record.proposer, share.forget_rejected())
    state.remove_proposal(intent_digest)


def _vote_on(
    execution: Execution,
    verifier: ApprovalVerifier,
    inspected: Inspected,
    request: Approve | Reject,
) -> ProposalRecord | Outcome:
    """Return the open proposal that a valid vote names, or why the vote does not count."""
    digest = request.intent_digest
    record = execution.state.proposal(digest)
    if record is None:
        detail = "no such proposal, or it expired"
        return Outcome(OutcomeCode.UNKNOWN_PROPOSAL, detail, digest)
    if isinstance(record, ClosedProposal):
        return replayed(digest, record.seq)
    refusal = judge_intent(execution, record.intent)
    refusal = refusal or _judge_vote(execution, verifier, inspected, digest, request)
    return refusal or record


def _judge_vote(
    execution: Execution,
    verifier: ApprovalVerifier,
    inspected: Inspected,
    digest: Digest | None,
    request: Propose | Approve | Reject,
) -> Outcome | None:
    """Return why a vote on this intent does not count under the policy, or ``None``."""
    policy, maintainer = execution.state.policy, request.approval.maintainer
    if maintainer not in policy.positions:
        detail = f"{maintainer_text(maintainer)} is not a maintainer of this cluster"
        return Outcome(OutcomeCode.UNKNOWN_MAINTAINER, detail, digest)
    if request.scheme != policy.scheme:
        detail = f"the policy takes {policy.scheme}, not {request.scheme}"
        return Outcome(OutcomeCode.BAD_SIGNATURE, detail, digest)
    if not verifier.is_valid_vote(inspected):
        detail = f"the signature of {policy.name_of(maintainer)} does not verify"
        return Outcome(OutcomeCode.BAD_SIGNATURE, detail, digest)
    return None


def _count_approval(execution: Execution, record: ProposalRecord, approval: Approval) -> Outcome:
    """Count a verified approval of an open proposal; the last one executes.

    If the state refuses, the proposal stays open with all its approvals, and any of them, sent
    again, tries again. Approvals are public, so whoever sends one again need not be its signer: it
    is charged to nobody, and the intent has a pace (``TriedIntents``).
    """
    state, digest, maintainer = execution.state, record.intent.digest, approval.maintainer
    operation = record.operation
    if maintainer in record.rejecters:
        detail = "this maintainer rejected it, and a rejection is final"
        return Outcome(OutcomeCode.ALREADY_REJECTED, detail, digest)
    repeated = maintainer in record.approvers
    if not repeated:
        approvals = sorted((*record.approvals, approval), key=_by_maintainer)
        record = replace(record, approvals=tuple(approvals))
    count, threshold = len(record.approvals), state.policy.threshold
    if count >= threshold:
        approved = Approved(intent=record.intent, operation=operation, approvers=record.approvers)
        outcome = execute_operation(execution, approved)
        if outcome.is_accepted:
            _close(execution, record, ProposalState.EXECUTED)
            return outcome
    else:
        code = OutcomeCode.ALREADY if repeated else OutcomeCode.PENDING
        outcome = Outcome(code, f"{count} of {threshold} approvals", digest, content_of(operation))
    if not repeated:
        state.put_proposal(record)
    return outcome


def _close(execution: Execution, record: ProposalRecord, outcome: ProposalState) -> None:
    """Leave of a proposal that was executed or rejected no more than what became of it."""
    state, share = execution.state, execution.state.share(record.proposer)
    size_bytes = len(record.intent.encoded)
    if outcome is ProposalState.EXECUTED:
        share = share.execute(record.proposed_ms, size_bytes)
    else:
        share = share.reject(size_bytes)
    state.set_share(record.proposer, share)
    execution.proposals_open -= 1
    closed = ClosedProposal(
        state=outcome,
        proposer=record.proposer,
        proposed_ms=record.proposed_ms,
        expires_ms=record.intent.expires_ms,
        seq=execution.seq,
    )
    state.close_proposal(record.intent.digest, closed)


def _charge(execution: Execution, maintainer: MaintainerId, size_bytes: int) -> None:
    state = execution.state
    state.set_share(maintainer, state.share(maintainer).refuse(execution.now_ms, size_bytes))


def _by_maintainer(vote: Approval) -> MaintainerId:
    return vote.maintainer

"""Executes ordered batches: total, deterministic, integers only. A refusal is an outcome."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, assert_never

from bftcluster import codec
from bftcluster.errors import (
    BadSignatureError,
    SigningError,
    ThresholdNotMetError,
)
from bftcluster.ids import Digest, Seq, View
from bftcluster.ledger.rows.spaces import Key, Space
from bftcluster.ledger.rules.absence import absence_due_ms, note_absent
from bftcluster.ledger.rules.age_rules import look_at_ages
from bftcluster.ledger.rules.audits.lines import hear
from bftcluster.ledger.rules.audits.lots import draw_on, draws_soon
from bftcluster.ledger.rules.beacon.ceremonies import (
    deals_soon,
    fix_window,
    proceed,
    window_due_ms,
)
from bftcluster.ledger.rules.beacon.members import take_part
from bftcluster.ledger.rules.beacon.partials import begin_partials
from bftcluster.ledger.rules.context import Approved, Execution, judge_intent, nonce_key
from bftcluster.ledger.rules.effects import Effect
from bftcluster.ledger.rules.evidence import accuse
from bftcluster.ledger.rules.expiry import expiry_due_ms, sweep
from bftcluster.ledger.rules.loans.departures import leave
from bftcluster.ledger.rules.loans.invitations import redeem
from bftcluster.ledger.rules.membership import turn
from bftcluster.ledger.rules.operations import execute_operation
from bftcluster.ledger.rules.peer_reports import join, report
from bftcluster.ledger.rules.periods import judge_on, period_due_ms
from bftcluster.ledger.rules.proposals import close_if_open, vote
from bftcluster.ledger.rules.reallocation import move_on
from bftcluster.ledger.rules.repair import repair_due_ms, repair_on
from bftcluster.ledger.state.records import Head
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.audit_requests import Answer, Attest, Pledge
from bftcluster.ledger.wire.beacon_requests import Complain, Contribute, Deal
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.loan_requests import Leave, Redeem
from bftcluster.ledger.wire.operations import content_of, pins_read_by
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.requests import (
    Approve,
    Join,
    Propose,
    Reject,
    ReportEvidence,
    ReportPinned,
    Submit,
)
from bftcluster.ledger.wire.verification import ApprovalVerifier, Inspected
from bftcluster.limits import TIME_MAX_MS
from bftcluster.membership import Membership

_CHAIN_TAG: Final = b"bftcluster/chain/v1\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedBatch:
    """What PBFT decided for one sequence number."""

    view: View
    """In which it was proposed first."""
    seq: Seq
    timestamp_ms: int
    requests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What executing one batch led to. The changes themselves are in the state."""

    outcomes: tuple[Outcome, ...]
    """One per request, in order."""
    effects: tuple[Effect, ...]
    """In the order they came about: of a new period first, then what expired."""
    next_membership: Membership | None = None
    """Who votes in the next epoch, if this batch ended a checkpoint interval and names it."""
    due_ms: int | None = None
    """From which time of a batch on something happens by itself, if anything will."""
    wants_batches: bool = False
    """Whether members wait for their epoch, pins to be looked at or for other holders, or an epoch
    that maintainers began for its first checkpoint."""


def apply(
    batch: OrderedBatch, state: State, genesis: Genesis, verifier: ApprovalVerifier
) -> Applied:
    """Execute one batch on ``state``. Never raises, whatever the requests' bytes are."""
    head = state.head
    assert batch.seq == head.seq + 1, "batches are executed in order, each once"
    execution = Execution(
        genesis=genesis,
        state=state,
        seq=batch.seq,
        now_ms=max(min(batch.timestamp_ms, TIME_MAX_MS), head.timestamp_ms),
    )
    judge_on(execution)
    if execution.period > head.period:
        begin_partials(execution)
    fix_window(execution)
    note_absent(execution)
    if batch.view > state.turns.view:
        state.set_turns(state.turns.after(batch.view, batch.seq, state.membership_at(batch.seq)))
    next_sweep_ms = head.next_sweep_ms
    if execution.now_ms >= next_sweep_ms:
        next_sweep_ms = sweep(execution)
    outcomes = tuple(
        _execute(execution, verifier, verifier.inspect(request)) for request in batch.requests
    )
    move_on(execution)
    look_at_ages(execution)
    repair_on(execution)
    draw_on(execution)
    named = None
    if batch.seq % genesis.checkpoint_interval == 0:
        named = turn(execution)
        proceed(execution, verifier.curve)
    state.set_head(
        Head(
            seq=batch.seq,
            timestamp_ms=execution.now_ms,
            chain=_chain(head.chain, batch, execution.now_ms),
            next_sweep_ms=next_sweep_ms,
            pins=execution.pins,
            pins_ever=execution.pins_ever,
            proposals_open=execution.proposals_open,
            period=execution.period,
        )
    )
    return Applied(
        outcomes=outcomes,
        effects=tuple(execution.effects),
        next_membership=named,
        due_ms=due_ms(state, genesis),
        wants_batches=wants_batches(state),
    )


def due_ms(state: State, genesis: Genesis) -> int | None:
    """Return from which time of a batch on something happens by itself, if anything will.

    Something expires, a period has something to do, a peer was not heard for long, one may be given
    more of what others had lost, or a window of a ceremony has lasted long enough.
    """
    times = (
        expiry_due_ms(state),
        period_due_ms(state, genesis),
        absence_due_ms(state),
        repair_due_ms(state, genesis),
        window_due_ms(state),
    )
    return min((each for each in times if each is not None), default=None)


def wants_batches(state: State) -> bool:
    """Return whether something is under way that every batch, or a checkpoint, brings further."""
    is_aging = state.age_rules.is_new
    return state.wants_batches or is_aging or deals_soon(state) or draws_soon(state)


def keys_of(
    requests: Iterable[bytes], verifier: ApprovalVerifier, *, proposals_open: bool
) -> list[Key]:
    """Return the rows that executing ``requests`` will read, as far as their bytes tell.

    Args:
        requests: What will be executed.
        verifier: Parses them, once.
        proposals_open: Whether a certificate may have to close a proposal on the log.
    """
    keys: list[Key] = []
    for data in requests:
        inspected = verifier.inspect(data)
        match inspected.request:
            case Submit():
                keys.extend(_keys_of_intent(inspected, with_proposal=proposals_open))
            case Propose():
                keys.extend(_keys_of_intent(inspected, with_proposal=True))
            case Approve() | Reject() as vote:
                keys.append((Space.PROPOSAL, vote.intent_digest))
            case ReportPinned(entries=entries):
                keys.extend((Space.PIN, entry.cid) for entry in entries)
            case Redeem(invite=key):
                keys.append((Space.INVITE, key))
            case Join() | ReportEvidence() | Deal() | Complain() | Contribute() | Leave() | None:
                pass
            case Pledge() | Answer() | Attest():
                pass
            case _ as unreachable:
                assert_never(unreachable)
    return keys


def _keys_of_intent(inspected: Inspected, *, with_proposal: bool) -> Iterable[Key]:
    intent, operation = inspected.proposed
    yield Space.NONCE, nonce_key(intent)
    content = content_of(operation)
    if content is not None:
        yield Space.PIN, content
    if with_proposal:
        yield Space.PROPOSAL, intent.digest
    for cid in pins_read_by(operation):
        yield Space.PIN, cid


def _execute(execution: Execution, verifier: ApprovalVerifier, inspected: Inspected) -> Outcome:
    match inspected.request:
        case None:
            return Outcome(OutcomeCode.MALFORMED, inspected.problem)
        case Submit():
            return _submit(execution, verifier, inspected)
        case Propose() | Approve() | Reject() as request:
            return vote(execution, verifier, inspected, request)
        case ReportPinned() as request:
            return report(execution, verifier, inspected, request)
        case Join() as request:
            return join(execution, verifier, inspected, request)
        case Redeem() as request:
            return redeem(execution, verifier, inspected, request)
        case Leave() as request:
            return leave(execution, verifier, inspected, request)
        case ReportEvidence() as request:
            return accuse(execution, verifier, inspected, request)
        case Deal() | Complain() | Contribute() as request:
            return take_part(execution, verifier, inspected, request)
        case Pledge() | Answer() | Attest() as request:
            return hear(execution, verifier, inspected, request)
        case _ as unreachable:
            assert_never(unreachable)


def _submit(execution: Execution, verifier: ApprovalVerifier, inspected: Inspected) -> Outcome:
    intent, operation = inspected.proposed
    refusal = judge_intent(execution, intent)
    if refusal:
        return refusal
    approvers = verifier.approvers(inspected, execution.state.policy)
    if isinstance(approvers, SigningError):
        return Outcome(_code_of(approvers), str(approvers), intent.digest, content_of(operation))
    approved = Approved(intent=intent, operation=operation, approvers=approvers)
    outcome = execute_operation(execution, approved)
    if outcome.is_accepted and execution.proposals_open:
        close_if_open(execution, intent)
    return outcome


def _code_of(error: SigningError) -> OutcomeCode:
    if isinstance(error, ThresholdNotMetError):
        return OutcomeCode.THRESHOLD_NOT_MET
    if isinstance(error, BadSignatureError):
        return OutcomeCode.BAD_SIGNATURE
    return OutcomeCode.UNKNOWN_MAINTAINER


def _chain(previous: Digest, batch: OrderedBatch, now_ms: int) -> Digest:
    """Return the hash chain over the log, extended by ``batch``."""
    requests = [hashlib.sha256(request).digest() for request in batch.requests]
    link = codec.encode([previous, batch.seq, now_ms, b"".join(requests)])
    return Digest(hashlib.sha256(_CHAIN_TAG + link).digest())

"""Writes down what an audit says of a peer: in its reputation, and with what that goes back to."""

from functools import partial

from bftcluster.ids import Digest, PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.state import duties, holder_reports
from bftcluster.ledger.state.audit_changes import add_verdict
from bftcluster.ledger.state.audit_rows import Asked, AuditVerdict, Challenge, Grounds
from bftcluster.ledger.state.records import HolderReport, PinRecord, pin_record
from bftcluster.ledger.state.state import State
from bftcluster.reputation import AuditOutcome, OrderedEvidence


def judge(
    execution: Execution,
    challenge: Challenge,
    asked: Asked,
    outcome: AuditOutcome,
    grounds: Grounds,
    proof: OrderedEvidence | None = None,
) -> None:
    """Let an audit count for a peer, or against it if it was to hold the pin all the time.

    Args:
        execution: The batch.
        challenge: The audit.
        asked: The peer, as the audit has it.
        outcome: What came of it.
        grounds: Why.
        proof: What shows it, if it is not the peer's own last word.
    """
    state, peer = execution.state, asked.peer
    if peer not in state.peers:
        return
    if outcome is not AuditOutcome.PASSED and not is_to_hold(state, challenge, peer):
        return
    if proof is None:
        proof = _proof_of(state, asked, grounds)
    state.put_reputation(peer, state.reputations.of(peer).audited(outcome, proof))
    verdict = AuditVerdict(
        number=challenge.number,
        period=challenge.period,
        cid=challenge.cid,
        outcome=outcome,
        grounds=grounds,
        word_seq=asked.word_seq,
        seq=execution.seq,
        voters=len(asked.sights),
    )
    add_verdict(state, peer, verdict)


def is_to_hold(state: State, challenge: Challenge, peer: PeerId) -> bool:
    """Return whether a peer is to hold what an audit is about, and has said something about it.

    Where a pin is taken away or goes to others, and comes back, nothing is said of it at first. Who
    became light meanwhile does not keep any more what everybody keeps.
    """
    value = state.get(Space.PIN, challenge.cid)
    if value is None or not state.may_hold(peer):
        return False
    record = pin_record(value)
    if record.number != challenge.pin_number or not record.is_owed_by(peer):
        return False
    if record.is_everywhere and not holder_reports.is_full(state, peer):
        return False
    return report_on(state, record, peer) is not None


def report_on(state: State, record: PinRecord, peer: PeerId) -> HolderReport | None:
    """Return what a peer that is to hold a pin last reported about it."""
    get = partial(state.get, Space.DUTY)
    if record.is_everywhere:
        reports = holder_reports.reports_of(record.number, [peer], get)
        return reports[0] if reports else None
    return duties.report_at(peer, record.slots[record.allocations.index(peer)], get)


def _proof_of(state: State, asked: Asked, grounds: Grounds) -> OrderedEvidence:
    """Return a peer's last word, or the batch in which none had come."""
    is_silent = grounds is Grounds.SILENCE or grounds is Grounds.ABSENCE
    if is_silent or not asked.word:
        return OrderedEvidence(digest=state.head.chain, seq=state.head.seq)
    return OrderedEvidence(digest=Digest(asked.word), seq=asked.word_seq)

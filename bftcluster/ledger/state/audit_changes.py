"""Writes the rows of audits, with the deadlines that go with them."""

from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state.audit_rows import (
    TURN_KEY,
    AuditTurn,
    AuditVerdict,
    Challenge,
    challenge_key,
    verdicts_key,
    with_verdict,
)
from bftcluster.ledger.state.deadlines import audit_deadline
from bftcluster.ledger.state.state import State


def put_challenge(state: State, challenge: Challenge) -> None:
    """Set the row of an audit, and when its phase ends."""
    before = state.audits.get(challenge.number)
    was_until_ms = 0 if before is None else before.until_ms
    if was_until_ms != challenge.until_ms:
        _drop_deadline(state, challenge.number, was_until_ms)
        if challenge.until_ms:
            key = audit_deadline(challenge.number, challenge.until_ms)
            state.put(Space.DEADLINE, key, b"")
    state.put(Space.AUDIT, challenge_key(challenge.number), challenge.to_value())
    state.audits.set(challenge)


def remove_challenge(state: State, challenge: Challenge) -> None:
    """Delete the row of an audit that is over."""
    before = state.audits.get(challenge.number)
    assert before is not None, "an audit ends once"
    _drop_deadline(state, before.number, before.until_ms)
    state.put(Space.AUDIT, challenge_key(before.number), None)
    state.audits.remove(before.number)


def put_turn(state: State, turn: AuditTurn) -> None:
    """Set how far drawing has come."""
    if turn != state.audits.turn:
        state.audits.turn = turn
        state.put(Space.AUDIT, TURN_KEY, turn.to_value())


def add_verdict(state: State, peer: PeerId, verdict: AuditVerdict) -> None:
    """Keep what came of an audit for a peer."""
    key = verdicts_key(peer)
    state.put(Space.AUDIT, key, with_verdict(state.get(Space.AUDIT, key), verdict))


def forget_verdicts(state: State, peer: PeerId) -> None:
    """Delete what came of a peer's audits, with the rest of its reputation."""
    key = verdicts_key(peer)
    if state.get(Space.AUDIT, key) is not None:
        state.put(Space.AUDIT, key, None)


def _drop_deadline(state: State, number: int, until_ms: int) -> None:
    if until_ms:
        state.put(Space.DEADLINE, audit_deadline(number, until_ms), None)

"""Removes what has expired, and who has left; ends phases of audits.

The same rows on all replicas.
"""

from bftcluster.ids import Digest, PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.age_rules import apply_rule
from bftcluster.ledger.rules.audits.phases import end_phase
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.loans.departures import end_leave
from bftcluster.ledger.rules.loans.invitations import expire
from bftcluster.ledger.rules.pins import drop_pin
from bftcluster.ledger.rules.proposals import forget
from bftcluster.ledger.state.deadlines import (
    AGE_KIND,
    AGES_AFTER,
    AUDIT_KIND,
    INVITE_KIND,
    LEAVE_KIND,
    PIN_KIND,
    end_of,
    parse_deadline,
    time_of,
)
from bftcluster.ledger.state.records import pin_record
from bftcluster.ledger.state.state import State
from bftcluster.limits import AGED_ROWS_MAX, SWEEP_INTERVAL_MS, SWEEP_ROWS_MAX


def sweep(execution: Execution) -> int:
    """Remove a bounded number of expired rows; return when to look again, in batch time."""
    state, end = execution.state, end_of(execution.now_ms)
    nonces = state.first(Space.NONCE, end, SWEEP_ROWS_MAX)
    for key, _ in nonces:
        state.put(Space.NONCE, key, None)
    due = state.first(Space.DEADLINE, end, SWEEP_ROWS_MAX)
    ages = state.after(Space.DEADLINE, AGES_AFTER, AGED_ROWS_MAX)
    of_age = [row for row in ages if time_of(row[0]) <= execution.now_ms]
    for key, _ in (*due, *of_age):
        _expire(execution, key)
    if SWEEP_ROWS_MAX in (len(nonces), len(due)) or len(of_age) == AGED_ROWS_MAX:
        return execution.now_ms
    return execution.now_ms + SWEEP_INTERVAL_MS


def expiry_due_ms(state: State) -> int | None:
    """Return from which time of a batch on something expires, if anything will.

    Used intents are not among it: nothing changes when they are forgotten.
    """
    earliest = state.earliest_deadline
    return None if earliest is None else max(time_of(earliest), state.head.next_sweep_ms)


def _expire(execution: Execution, deadline: bytes) -> None:
    state = execution.state
    kind, key = parse_deadline(deadline)
    if kind == PIN_KIND:
        value = state.get(Space.PIN, key)
        assert value is not None, "a deadline goes with its pin"
        drop_pin(execution, pin_record(value))
    elif kind == AUDIT_KIND:
        challenge = state.audits.get(int.from_bytes(key, "big"))
        assert challenge is not None, "a deadline goes with its audit"
        end_phase(execution, challenge)
    elif kind == INVITE_KIND:
        expire(execution, key)
    elif kind == LEAVE_KIND:
        end_leave(execution, deadline, PeerId(key))
    elif kind == AGE_KIND:
        state.put(Space.DEADLINE, deadline, None)
        value = state.get(Space.PIN, key)
        if value is not None:  # Rules may have changed, and the pin gone, since this was written.
            apply_rule(execution, pin_record(value))
    else:
        forget(execution, Digest(key))
        state.put(Space.DEADLINE, deadline, None)

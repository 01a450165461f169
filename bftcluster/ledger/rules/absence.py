"""Notes who was not heard for long: what such a peer holds does not count until it is heard again.

To be heard is to have a join or a report ordered: all replicas know the same. Where nothing was
ordered for long, nobody could be heard, and all have as long again.
"""

from bftcluster.ids import PeerId
from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.rules.effects import PeerChanged
from bftcluster.ledger.rules.reallocation import begin_move
from bftcluster.ledger.state.state import State
from bftcluster.limits import ABSENT_NOTED_MAX, TIME_MAX_MS


def note_absent(execution: Execution) -> None:
    """Note who was not heard for long, a bounded number in one batch, before anything else in it.

    Of a batch that came after a long silence of all nobody is.
    """
    state, now_ms = execution.state, execution.now_ms
    terms = state.reputations.terms
    if now_ms - state.head.timestamp_ms >= terms.silence_ms:
        state.set_silent_until(now_ms)
    latest_ms = now_ms - terms.absent_ms
    if state.absence.since_ms > latest_ms:
        return
    silent = sorted(state.heard.until(latest_ms))
    for _, peer in silent[:ABSENT_NOTED_MAX]:
        state.set_absent(peer, is_absent=True)
        begin_move(state, peer)
        execution.effects.append(PeerChanged(peer))


def welcome_back(execution: Execution, peer: PeerId) -> None:
    """Count what a peer holds again, now that it was heard."""
    state = execution.state
    if peer in state.absence.peers:
        state.set_absent(peer, is_absent=False)
        begin_move(state, peer)
        execution.effects.append(PeerChanged(peer))


def absence_due_ms(state: State) -> int | None:
    """Return from which time of a batch on somebody is absent, if nobody is heard until then."""
    first_ms = state.heard.first_ms
    if first_ms is None:
        return None
    due_ms = max(first_ms, state.absence.since_ms) + state.reputations.terms.absent_ms
    return due_ms if due_ms <= TIME_MAX_MS else None

"""What happens when a period begins: what allocation goes by is set for as long as it lasts.

A period is an interval of consensus time, counted from 1970 so that all peers number them alike. It
begins with the first batch whose timestamp lies in it; those in which nothing is ordered never do.
"""

from bftcluster.ledger.rules.context import Execution
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.limits import TIME_MAX_MS


def period_at(now_ms: int, genesis: Genesis) -> int:
    """Return the number of the period in which ``now_ms`` lies."""
    return now_ms // genesis.period_ms


def begin_period(execution: Execution) -> None:
    """Do what is due at the first batch of a period, before anything else in that batch.

    Every peer is weighed by the room that it had until now. A report changes nothing before the
    next period; who joins meanwhile is weighed as it joins.
    """
    state = execution.state
    for peer in sorted(state.unweighed):
        state.put_peer(state.peers[peer].weighed())


def period_due_ms(state: State, genesis: Genesis) -> int | None:
    """Return from which time of a batch on the next period has something to do, if it has."""
    if not state.unweighed:
        return None
    begins_ms = (state.head.period + 1) * genesis.period_ms
    return begins_ms if begins_ms <= TIME_MAX_MS else None

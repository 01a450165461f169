"""How long the phases of an audit last, in batch time."""

from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.limits import (
    AUDIT_SIGHT_MAX_MS,
    AUDIT_SIGHT_MIN_MS,
    AUDIT_WINDOW_MAX_MS,
    AUDIT_WINDOW_MIN_MS,
    AUDITS_ASKED_MAX,
    LIGHT_HEARD_PERIODS,
)


def answer_window_ms(genesis: Genesis) -> int:
    """Return how long holders have to pledge, and as long again to answer."""
    return min(max(genesis.period_ms // 8, AUDIT_WINDOW_MIN_MS), AUDIT_WINDOW_MAX_MS)


def sight_window_ms(genesis: Genesis) -> int:
    """Return how long voters have to read from suspects."""
    return min(max(genesis.period_ms // 2, AUDIT_SIGHT_MIN_MS), AUDIT_SIGHT_MAX_MS)


def patience_ms(genesis: Genesis) -> int:
    """Return how long a voter tries before it says that a suspect sent nothing."""
    return sight_window_ms(genesis) // 2


def rest_ms(genesis: Genesis) -> int:
    """Return how long suspects that showed nothing are left alone before they are asked again.

    From the first time to the last takes at least an audit day.
    """
    return genesis.audit_day_ms // (AUDITS_ASKED_MAX - 1)


def heard_before_ms(genesis: Genesis) -> int:
    """Return how long before it is asked a light peer may have announced itself to be there.

    It does so a few times a day only. Less than from one time that it is asked to the next, so that
    one announcement counts for one of them.
    """
    return min(LIGHT_HEARD_PERIODS * genesis.period_ms // 3, rest_ms(genesis))

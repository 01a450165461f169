"""How long things take in the life of a peer: days, in periods of a cluster's length.

A period is an interval of consensus time: its number is the time of a batch divided by the length.
"""

from dataclasses import dataclass
from typing import Final

from bftcluster.limits import TIMESTAMP_MAX_MS

PERIOD_DEFAULT_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000
_WINDOW_MS: Final = _DAY_MS // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Each in whole periods, at least 1. The defaults are those of periods of an hour."""

    window: int = 12
    """12 hours: a window of the availability."""
    vetting: int = 21 * 24
    """21 days: youngest age of who is more than a candidate."""
    dwell: int = 7 * 24
    """7 days: shortest suspension."""
    suspended: int = 30 * 24
    """30 days: longest suspension."""
    cool_down: int = 30 * 24
    """30 days: from the first eviction to a re-admission."""
    full_age: int = 180 * 24
    """180 days: age of full weight."""


def terms_of(period_ms: int) -> Terms:
    """Return the terms of a cluster with such periods; a part of a period counts as a whole one."""
    assert period_ms > 0, "a period takes time"
    return Terms(
        window=_periods(_WINDOW_MS, period_ms),
        vetting=_periods(21 * _DAY_MS, period_ms),
        dwell=_periods(7 * _DAY_MS, period_ms),
        suspended=_periods(30 * _DAY_MS, period_ms),
        cool_down=_periods(30 * _DAY_MS, period_ms),
        full_age=_periods(180 * _DAY_MS, period_ms),
    )


def period_of(time_ms: int, period_ms: int) -> int:
    """Return the number of the period in which a batch of ``time_ms`` lies."""
    assert 0 <= time_ms <= TIMESTAMP_MAX_MS, "timestamps of batches are bounded"
    assert period_ms > 0, "a period takes time"
    return time_ms // period_ms


def _periods(time_ms: int, period_ms: int) -> int:
    return (time_ms + period_ms - 1) // period_ms

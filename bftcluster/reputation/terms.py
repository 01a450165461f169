"""How long things take in the life of a peer: days, in periods of a cluster's length.

A period is an interval of consensus time: its number is the time of a batch divided by the length.
A day has 24 hours, but in demonstrations, whose genesis says how long theirs is.
"""

from dataclasses import dataclass
from typing import Final

from bftcluster.limits import (
    ABSENT_AFTER_MS,
    GONE_AFTER_MS,
    LEAVE_GRACE_MS,
    SILENCE_MS,
    TIMESTAMP_MAX_MS,
)

PERIOD_DEFAULT_MS: Final = 3_600_000
DAY_DEFAULT_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """In whole periods, at least 1, and what is not judged by periods in milliseconds.

    The defaults are those of periods of an hour, and of days of 24.
    """

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
    absent_ms: int = ABSENT_AFTER_MS
    """A day: who was not heard for so long holds nothing that counts."""
    silence_ms: int = SILENCE_MS
    """Half a day: where nothing was ordered for so long, nobody could be heard."""
    gone_ms: int = GONE_AFTER_MS
    """30 days: who was not heard for so long leaves."""
    leave_ms: int = LEAVE_GRACE_MS
    """7 days: how long who leaves stays at most."""


def terms_of(period_ms: int, day_ms: int = DAY_DEFAULT_MS) -> Terms:
    """Return the terms of a cluster with such periods and days.

    A part of a period counts as a whole one.
    """
    assert period_ms > 0, "a period takes time"
    assert day_ms > 0, "a day takes time"
    return Terms(
        window=_periods(day_ms // 2, period_ms),
        vetting=_periods(21 * day_ms, period_ms),
        dwell=_periods(7 * day_ms, period_ms),
        suspended=_periods(30 * day_ms, period_ms),
        cool_down=_periods(30 * day_ms, period_ms),
        full_age=_periods(180 * day_ms, period_ms),
        absent_ms=scaled_ms(ABSENT_AFTER_MS, day_ms),
        silence_ms=scaled_ms(SILENCE_MS, day_ms),
        gone_ms=scaled_ms(GONE_AFTER_MS, day_ms),
        leave_ms=scaled_ms(LEAVE_GRACE_MS, day_ms),
    )


def scaled_ms(time_ms: int, day_ms: int) -> int:
    """Return how long something takes where a day has ``day_ms`` that takes so long elsewhere."""
    return time_ms * day_ms // DAY_DEFAULT_MS


def period_of(time_ms: int, period_ms: int) -> int:
    """Return the number of the period in which a batch of ``time_ms`` lies."""
    assert 0 <= time_ms <= TIMESTAMP_MAX_MS, "timestamps of batches are bounded"
    assert period_ms > 0, "a period takes time"
    return time_ms // period_ms


def _periods(time_ms: int, period_ms: int) -> int:
    return (time_ms + period_ms - 1) // period_ms

"""Where a peer stands in the cluster, and why.

candidate ──vetted──▶ active ──weak──▶ suspended ──score below .80, or 30 days──▶ evicted
    ▲                    ▲                  │                                        │
    │                    └─sound for 7 days─┤ (a candidate that is not vetted: back to candidate)
    └────────────────── admitted again, after the cool-down ─────────────────────────┘

From every standing a score below .80 or proof of fraud evicts. Weak is a score below .90, fewer
than .60 of audits answered, or an availability below .60; sound is .95, .80 and .60.
"""

from dataclasses import dataclass
from enum import IntEnum

from bftcluster.ids import Digest, Seq
from bftcluster.reputation import arithmetic


class Standing(IntEnum):
    """What a peer may have. The numbers are part of the state."""

    CANDIDATE = 0
    """At most 5 % of new bytes, for all of them; an eighth of their weight."""
    ACTIVE = 1
    SUSPENDED = 2
    """No new data, still audited; its data is copied elsewhere, without haste."""
    EVICTED = 3
    """Nothing; only a new admission, after the cool-down, leads back."""


class Cause(IntEnum):
    """Why a peer stands where it stands. The numbers are part of the state."""

    ADMITTED = 0
    VETTED = 1
    """Enough audits, old enough, sound."""
    SOUND = 2
    """Back from a suspension."""
    WRONG_DATA = 3
    """Data that it should have was wrong or missing while it was there."""
    UNANSWERED = 4
    """Too many audits had no answer."""
    ABSENT = 5
    """Too often not seen."""
    SUSPENDED_TOO_LONG = 6
    FRAUD = 7
    """It contradicted itself under its own signature, or signed wrong bytes."""
    FOUNDED = 8
    """The genesis names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedEvidence:
    """Where on the log it is written: what a change of standing goes back to."""

    seq: Seq
    digest: Digest
    """Of the ordered request, or of the batch where none was sent and that is the point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingRecord:
    """A peer's last change of standing."""

    standing: Standing
    since: int
    """The period in which it began."""
    cause: Cause
    evidence: OrderedEvidence
    """The last that counted towards it."""


def standing_of(number: int) -> Standing:
    """Return the standing that `arithmetic.step` answered with."""
    return _STANDINGS[number]


_STANDINGS = (Standing.CANDIDATE, Standing.ACTIVE, Standing.SUSPENDED, Standing.EVICTED)
assert tuple(int(each) for each in _STANDINGS) == (
    arithmetic.CANDIDATE,
    arithmetic.ACTIVE,
    arithmetic.SUSPENDED,
    arithmetic.EVICTED,
), "the arithmetic has the same numbers"

"""The row that says how far the peers are judged for the period that began last."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from bftcluster import codec
from bftcluster.ids import Digest, Seq
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.reputation import EvictionRation, OrderedEvidence, period_of

PERIOD_TURN_KEY: Final = b"period"


class PeriodPhase(IntEnum):
    """What the next batch goes on with. The numbers are part of the state."""

    JUDGING = 0
    """The next peers, in the order of their ids."""
    EVICTING = 1
    """The next evictions: all peers are judged."""
    OVER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodTurn:
    """A turn through all peers, a bounded number in each batch."""

    period: int
    """The one that began."""
    begun_ms: int
    """Timestamp of the batch in which the turn began."""
    phase: PeriodPhase = PeriodPhase.OVER
    ended: int = 0
    """The period that ended: that of the last batch before."""
    heard_from_ms: int = 0
    """When the turn before began: who was heard since then was there."""
    evidence: OrderedEvidence | None = None
    """The log up to its last batch before this turn; None: nobody was heard, so it counts for
    nobody."""
    after: bytes = b""
    """The last peer whose turn came."""
    ration: EvictionRation = field(default_factory=EvictionRation)

    @property
    def is_over(self) -> bool:
        """Whether everybody is judged, and who is to go now has gone."""
        return self.phase is PeriodPhase.OVER

    def to_value(self) -> bytes:
        """Return the row's value."""
        evidence, ration = self.evidence, self.ration
        return codec.encode(
            [
                self.period,
                self.begun_ms,
                int(self.phase),
                self.ended,
                self.heard_from_ms,
                None if evidence is None else [evidence.digest, evidence.seq],
                self.after,
                [ration.capacity, ration.spent, ration.evicted],
            ]
        )


def read_period_turn(value: bytes | None, founding: Genesis) -> PeriodTurn:
    """Return what a row holds; before the first, that the genesis began a period."""
    if value is None:
        begun_ms = founding.created_ms
        return PeriodTurn(period=period_of(begun_ms, founding.period_ms), begun_ms=begun_ms)
    period, begun_ms, phase, ended, heard_from_ms, evidence, after, ration = codec.decode(value)
    capacity, spent, evicted = ration
    return PeriodTurn(
        period=period,
        begun_ms=begun_ms,
        phase=PeriodPhase(phase),
        ended=ended,
        heard_from_ms=heard_from_ms,
        evidence=evidence and OrderedEvidence(digest=Digest(evidence[0]), seq=Seq(evidence[1])),
        after=after,
        ration=EvictionRation(capacity=capacity, spent=spent, evicted=evicted),
    )

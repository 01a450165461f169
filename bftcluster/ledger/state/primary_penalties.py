"""Primaries that lost a view sit out for a while; the log itself shows who did.

Each batch carries the view in which it was proposed first. Where that number rises from one batch
to the next, a quorum gave up every view between, and the one before: their primaries lost them.
That is no proof of malice, and a slow network can make it happen to anybody. So one lost view in
which the primary had served has no consequence, no more than f sit out, they go on voting, and
each comes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bftcluster import codec
from bftcluster.ids import ReplicaId, Seq, View
from bftcluster.membership import Membership

MARK_SERVED: Final = 1
"""For a view that was lost after its primary had served for a while."""
MARK_SILENT: Final = 2
"""For a view from which no batch came."""
MARKS_OUT: Final = 2
"""Who has so many sits out."""
MARKS_MAX: Final = 8
TERM_INTERVALS: Final = 4
"""A term is so many checkpoint intervals, doubled with each mark: 16 to 1024."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapse:
    """The views that a replica lost without a long time between them."""

    replica: ReplicaId
    seq: Seq
    """The batch that showed the last of them."""
    marks: int

    def sits_out(self, seq: Seq, interval: int) -> bool:
        """Whether its term runs at checkpoint ``seq``.

        Args:
            seq: The last batch executed.
            interval: Batches from one checkpoint to the next.
        """
        return self.marks >= MARKS_OUT and seq < self.seq + self._term(interval)

    def is_forgotten(self, seq: Seq, interval: int) -> bool:
        """Whether it has not happened again for two terms: the one it sat out, and one more."""
        return seq >= self.seq + 2 * self._term(interval)

    def _term(self, interval: int) -> int:
        return interval * TERM_INTERVALS << self.marks


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """What the batches so far tell about the views."""

    view: View = field(default=View(0))
    """The highest that a batch of this epoch was proposed in."""
    lapses: tuple[Lapse, ...] = ()
    """At most one of each replica, the most recent last."""

    def after(self, view: View, seq: Seq, membership: Membership) -> "Turns":
        """Return what is known after batch ``seq``, which was proposed in ``view``.

        If every eligible replica lost its view one after the other, it was the network, and
        nobody is held to account.

        Args:
            view: As the batch says.
            seq: Of the batch.
            membership: Who votes on it.
        """
        if view <= self.view:
            return self
        if view - self.view >= membership.n - len(membership.barred):
            return replace(self, view=view)
        lapses = {lapse.replica: lapse for lapse in self.lapses}
        for lost in range(self.view, view):
            replica = membership.primary(View(lost))
            before = lapses.pop(replica, None)
            marks = MARK_SERVED if lost == self.view else MARK_SILENT
            if before is not None:
                marks = min(marks + before.marks, MARKS_MAX)
            lapses[replica] = Lapse(replica=replica, seq=seq, marks=marks)
        return Turns(view=view, lapses=tuple(lapses.values()))

    def at_checkpoint(self, seq: Seq, interval: int, voters: Sequence[ReplicaId]) -> "Turns":
        """Forget those who lost nothing for long, and those who do not vote any more."""
        kept = tuple(
            lapse
            for lapse in self.lapses
            if lapse.replica in voters and not lapse.is_forgotten(seq, interval)
        )
        return replace(self, lapses=kept)

    def sitting_out(self, seq: Seq, interval: int) -> list[ReplicaId]:
        """Return whose term runs at checkpoint ``seq``: most marks first, then the most recent."""
        out = [lapse for lapse in reversed(self.lapses) if lapse.sits_out(seq, interval)]
        return [lapse.replica for lapse in sorted(out, key=lambda lapse: -lapse.marks)]


def turns_to_value(turns: Turns) -> bytes | None:
    """Return the row; ``None`` if nobody ever lost a view."""
    if turns == Turns():
        return None
    return codec.encode(
        [turns.view, [[lapse.replica, lapse.seq, lapse.marks] for lapse in turns.lapses]]
    )


def read_turns(value: bytes | None) -> Turns:
    """Return what a row holds."""
    if value is None:
        return Turns()
    view, lapses = codec.decode(value)
    return Turns(
        view=View(view),
        lapses=tuple(
            Lapse(replica=ReplicaId(replica), seq=Seq(seq), marks=marks)
            for replica, seq, marks in lapses
        ),
    )

"""Whose turn it is to be primary: who lost a view sits out for a while, as the log itself shows.

Each batch carries the view in which it was proposed first. Where that number rises from one batch
to the next, a quorum gave up every view between, and the one before: their primaries lost them.
That is no proof of malice, and a slow network can make it happen to anybody. So no more than f sit
out, they go on voting, and each comes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bftcluster import codec
from bftcluster.ids import ReplicaId, Seq, View
from bftcluster.limits import TERM_DOUBLINGS_MAX
from bftcluster.membership import Membership


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapse:
    """The last view that a replica lost."""

    replica: ReplicaId
    seq: Seq
    """The batch that showed it."""
    count: int
    """What it lost without a long time between, ``TERM_DOUBLINGS_MAX`` at most: one for a view in
    which it served for a while, two for one from which no batch came."""

    def ends(self, interval: int) -> Seq:
        """Return the first sequence number at which the replica may be primary for all of this.

        Args:
            interval: Batches from one checkpoint to the next.
        """
        return Seq(self.seq + (interval << self.count))

    def is_forgotten(self, seq: Seq, interval: int) -> bool:
        """Whether the replica has since gone as long without another as anybody ever sits out."""
        return seq >= self.ends(interval) + (interval << TERM_DOUBLINGS_MAX)


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
            count = (1 if lost == self.view else 2) + (0 if before is None else before.count)
            lapses[replica] = Lapse(replica=replica, seq=seq, count=min(count, TERM_DOUBLINGS_MAX))
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
        """Return whose term runs at checkpoint ``seq``: who lost most first, then who lost last."""
        running = [lapse for lapse in reversed(self.lapses) if seq < lapse.ends(interval)]
        return [lapse.replica for lapse in sorted(running, key=lambda lapse: -lapse.count)]


def turns_to_value(turns: Turns) -> bytes | None:
    """Return the row; ``None`` if nobody ever lost a view."""
    if turns == Turns():
        return None
    return codec.encode(
        [turns.view, [[lapse.replica, lapse.seq, lapse.count] for lapse in turns.lapses]]
    )


def read_turns(value: bytes | None) -> Turns:
    """Return what a row holds."""
    if value is None:
        return Turns()
    view, lapses = codec.decode(value)
    return Turns(
        view=View(view),
        lapses=tuple(
            Lapse(replica=ReplicaId(replica), seq=Seq(seq), count=count)
            for replica, seq, count in lapses
        ),
    )

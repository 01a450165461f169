"""Which membership owns which sequence numbers.

A checkpoint's execution may name the next membership. It takes over one interval later, after the
checkpoint there is stable: so everybody knows who votes on a slot before anybody works on it, and
the last slot of an epoch is settled by the epoch itself.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from bftcluster.ids import Epoch, ReplicaId, Seq
from bftcluster.limits import COUNTER_MAX
from bftcluster.membership import Membership


@dataclass(frozen=True, slots=True)
class EpochStart:
    """``membership`` votes on everything from ``first`` on, until the next epoch starts."""

    first: Seq
    membership: Membership


class Epochs:
    """The history of memberships, with those to come as far as they are known."""

    __slots__ = ("_around", "_firsts", "_memberships", "horizon")

    def __init__(self, starts: Sequence[EpochStart]) -> None:
        assert starts, "there is a first epoch"
        self._firsts: list[Seq] = []
        self._memberships: list[Membership] = []
        self._around: tuple[Seq, int, tuple[ReplicaId, ...]] | None = None
        """The last answer of ``around``, and to what."""
        for start in starts:
            self.add(start)
        self.horizon = Seq(0)
        """Up to here no membership can change any more without our knowledge: a certificate proves
        something by itself. Beyond it, the members of the last epoch known may have left."""

    def add(self, start: EpochStart) -> None:
        """Learn of the next epoch."""
        if self._memberships:
            assert start.membership.epoch == self._memberships[-1].epoch + 1, "epochs count up"
            assert start.first > self._firsts[-1], "epochs follow one another"
        self._firsts.append(start.first)
        self._memberships.append(start.membership)

    def of(self, seq: Seq) -> Membership:
        """Return who votes on ``seq``; a guess beyond the horizon."""
        return self._memberships[max(bisect_right(self._firsts, seq) - 1, 0)]

    def around(self, low: Seq, interval: int) -> tuple[ReplicaId, ...]:
        """Return whom it concerns what is said while ``low`` is the low watermark.

        The voters of the epoch that goes on there, and of the next: they stash votes, and have to
        be there when it begins. Those of the epoch before for one interval more: one of them that
        lags learns from us that it is over. Those of the last epoch that is known, if others lie
        between: we are far behind, and they are who is left.
        """
        known = len(self._memberships)
        if self._around is not None and self._around[:2] == (low, known):
            return self._around[2]
        begin = max(bisect_right(self._firsts, low - interval + 1) - 1, 0)
        end = max(bisect_right(self._firsts, low + 1), 1) + 1
        memberships = [*self._memberships[begin:end], self._memberships[-1]]
        found = dict.fromkeys(r for membership in memberships for r in membership.replicas)
        self._around = (low, known, tuple(found))
        return self._around[2]

    def last_of(self, epoch: Epoch) -> Seq:
        """Return the last sequence number of ``epoch``, as far as is known."""
        for first, membership in zip(self._firsts, self._memberships, strict=True):
            if membership.epoch == epoch + 1:
                return Seq(first - 1)
        return Seq(COUNTER_MAX)

    def knows(self, replica: ReplicaId) -> bool:
        """Whether ``replica`` is a member of some epoch from the current one on, or was."""
        return any(replica in membership.replicas for membership in self._memberships)

    def follows(self, start: EpochStart) -> bool:
        """Whether ``start`` can be the epoch after the last one known."""
        is_next = start.membership.epoch == self._memberships[-1].epoch + 1
        return is_next and start.first > self._firsts[-1]

    def latest(self) -> Membership:
        """Return the last membership known."""
        return self._memberships[-1]

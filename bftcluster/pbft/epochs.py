"""The history of memberships: each epoch owns a range of sequence numbers.

A checkpoint's execution may name the next membership. It takes over one interval later, after the
checkpoint there is stable: so everybody knows who votes on a slot before anybody works on it, and
the last slot of an epoch is settled by the epoch itself.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bftcluster.ids import Epoch, ReplicaId, Seq
from bftcluster.limits import COUNTER_MAX, RECOVERY_EPOCHS
from bftcluster.membership import Membership


@dataclass(frozen=True, slots=True)
class EpochStart:
    """``membership`` votes on everything from ``first`` on, until the next epoch starts."""

    first: Seq
    membership: Membership

    @property
    def is_recovery(self) -> bool:
        """Whether the maintainers began it, rather than the voters of the one before."""
        return is_recovery_epoch(self.membership.epoch)


def is_recovery_epoch(epoch: Epoch) -> bool:
    """Return whether maintainers began the epoch with this number."""
    return epoch > 0 and not epoch % RECOVERY_EPOCHS


def recovery_after(latest: Epoch) -> Epoch:
    """Return the number of the epoch that maintainers begin when ``latest`` has stopped."""
    return Epoch((latest // RECOVERY_EPOCHS + 1) * RECOVERY_EPOCHS)


def with_start(starts: Sequence[EpochStart], start: EpochStart) -> list[EpochStart]:
    """Return the epochs that there are once ``start`` is known.

    One that maintainers began puts an end to all that would have begun there or later: nothing of
    them was certified, or is given up.
    """
    if any(start.membership.epoch == each.membership.epoch for each in starts):
        return list(starts)
    before = [each for each in starts if each.membership.epoch < start.membership.epoch]
    after = [each for each in starts if each.membership.epoch > start.membership.epoch]
    if any(each.is_recovery and each.first <= start.first for each in after):
        return list(starts)
    if start.is_recovery:
        before = [each for each in before if each.first < start.first]
    return [*before, start, *after]


class Epochs:
    """The history of memberships, with those to come as far as they are known."""

    __slots__ = ("_around", "_firsts", "_starts", "horizon")

    def __init__(self, starts: Sequence[EpochStart]) -> None:
        assert starts, "there is a first epoch"
        self._starts: list[EpochStart] = []
        self._firsts: list[Seq] = []
        self._around: tuple[Seq, int, tuple[ReplicaId, ...]] | None = None
        """The last answer of ``around``, and to what."""
        for start in starts:
            self.add(start)
        self.horizon = Seq(0)
        """Up to here no membership can change any more without our knowledge: a certificate proves
        something by itself. Beyond it, the members of the last epoch known may have left."""

    def add(self, start: EpochStart) -> None:
        """Learn of an epoch: the next, or one on the way to a recovery that is known already."""
        self._starts = with_start(self._starts, start)
        self._around = None
        self._firsts = [each.first for each in self._starts]
        for before, after in pairwise(self._starts):
            number = after.membership.epoch
            is_next = number == before.membership.epoch + 1
            assert is_next or (after.is_recovery and number > before.membership.epoch), (
                "epochs count up"
            )
            assert after.first > before.first, "epochs follow one another"

    def of(self, seq: Seq) -> Membership:
        """Return who votes on ``seq``; a guess beyond the horizon."""
        return self._starts[max(bisect_right(self._firsts, seq) - 1, 0)].membership

    def around(self, low: Seq, interval: int) -> tuple[ReplicaId, ...]:
        """Return whom it concerns what is said while ``low`` is the low watermark.

        The voters of the epoch that goes on there, and of the next: they stash votes, and have to
        be there when it begins. Those of the epoch before for one interval more: one of them that
        lags learns from us that it is over. Those of the last epoch that is known, if others lie
        between: we are far behind, and they are who is left.
        """
        known = len(self._starts)
        if self._around is not None and self._around[:2] == (low, known):
            return self._around[2]
        begin = max(bisect_right(self._firsts, low - interval + 1) - 1, 0)
        end = max(bisect_right(self._firsts, low + 1), 1) + 1
        around = [*self._starts[begin:end], self._starts[-1]]
        found = dict.fromkeys(r for each in around for r in each.membership.replicas)
        self._around = (low, known, tuple(found))
        return self._around[2]

    def last_of(self, epoch: Epoch) -> Seq:
        """Return the last sequence number of ``epoch``, as far as is known."""
        following = self.after(epoch)
        return Seq(COUNTER_MAX) if following is None else Seq(following.first - 1)

    def after(self, epoch: Epoch) -> EpochStart | None:
        """Return the epoch that takes over from ``epoch``, if it is known."""
        return next((each for each in self._starts if each.membership.epoch > epoch), None)

    def knows(self, replica: ReplicaId) -> bool:
        """Whether ``replica`` is a member of some epoch from the current one on, or was."""
        return any(replica in each.membership.replicas for each in self._starts)

    def follows(self, start: EpochStart) -> bool:
        """Whether ``start`` can be the epoch after the last one known."""
        is_next = start.membership.epoch == self.latest().epoch + 1
        return is_next and start.first > self._firsts[-1]

    def latest(self) -> Membership:
        """Return the last membership known."""
        return self._starts[-1].membership

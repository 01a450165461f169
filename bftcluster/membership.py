"""Who votes in an epoch, and how many votes are enough."""

from dataclasses import dataclass

from bftcluster.ids import Epoch, ReplicaId, View


@dataclass(frozen=True, slots=True)
class Membership:
    """The replica set of one epoch, in primary-rotation order."""

    epoch: Epoch
    replicas: tuple[ReplicaId, ...]
    barred: frozenset[ReplicaId] = frozenset()
    """At most f of them: they vote, but are not primary in this epoch."""

    def __post_init__(self) -> None:
        assert self.replicas, "an epoch has at least one replica"
        assert len(set(self.replicas)) == len(self.replicas), "replicas are distinct"
        assert self.barred <= set(self.replicas), "who is barred votes"
        assert len(self.barred) <= self.f, "f replicas may be faulty, and no more are passed over"
        assert self.quorum <= self.n - self.f, "the correct replicas alone form a quorum"
        assert 2 * self.quorum - self.n > self.f, "two quorums share a correct replica"

    @property
    def n(self) -> int:
        """How many replicas vote."""
        return len(self.replicas)

    @property
    def f(self) -> int:
        """How many of them may be arbitrary."""
        return (self.n - 1) // 3

    @property
    def quorum(self) -> int:
        """Votes such that any two quorums share at least ``f + 1`` replicas.

        Not ``2f + 1``: that is unsafe at n = 5, 6, 8, 9, ...
        """
        return (self.n + self.f) // 2 + 1

    @property
    def weak_quorum(self) -> int:
        """Votes of which at least one is correct."""
        return self.f + 1

    def primary(self, view: View) -> ReplicaId:
        """Who proposes in ``view`` (OSDI'99, section 4.1)."""
        if not self.barred:
            return self.replicas[view % self.n]
        eligible = [replica for replica in self.replicas if replica not in self.barred]
        return eligible[view % len(eligible)]

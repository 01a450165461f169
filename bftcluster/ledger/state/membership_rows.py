"""The rows that say which peers vote, will vote, or wait to, beside the list of epochs.

A change of the voters waits for the next checkpoint, which names the next epoch; that epoch takes
over one interval later, and only an interval after that does a removed voter leave for good: until
then its votes may still be needed to make the last checkpoint of its epoch stable.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bftcluster import codec
from bftcluster.ids import Epoch, PeerId, ReplicaId, Seq
from bftcluster.membership import Membership
from bftcluster.pbft.epochs import EpochStart

VOTERS_MIN: Final = 4
"""A cluster that can bear a faulty replica is not shrunk to one that cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An approved change of one peer that has not come to its end."""

    peer: PeerId
    votes: bool
    """Whether the peer votes once it is done."""
    leaves: bool = False
    """Whether the peer is then removed from the cluster."""
    epoch: Epoch = field(default=Epoch(0))
    """The epoch that it is part of; 0 while it waits for one."""

    @property
    def is_waiting(self) -> bool:
        """Whether no epoch has taken it up yet."""
        return self.epoch == 0


def next_membership(
    current: Membership,
    changes: Sequence[Change],
    accused: Collection[ReplicaId],
    *,
    sitting_out: Sequence[ReplicaId],
    last_primary: ReplicaId,
) -> Membership | None:
    """Return the next epoch's voters and who of them are barred; ``None`` if neither differs.

    At most ``max(1, f)`` come and as many go in one epoch, in the order of approval, so that every
    quorum of either epoch has correct replicas of the other. Who stays keeps its place in the
    round, which goes on where it is.

    Args:
        current: The last membership that was named.
        changes: Those that wait are carried out, as far as they go.
        accused: Who contradicted itself: up to f of them are barred.
        sitting_out: Who is barred as well, as far as there is room: the first of them first.
        last_primary: Who proposed the last batch. It goes on unless it lied: it works.
    """
    most = max(1, current.f)
    waiting = [change for change in changes if change.is_waiting]
    coming = [ReplicaId(change.peer) for change in waiting if change.votes][:most]
    going = [ReplicaId(change.peer) for change in waiting if not change.votes][:most]
    spare = current.n + len(coming) - voters_min(current.n)
    going = going[: max(0, spare)]
    staying = [each for each in _round(current, last_primary) if each not in going]
    voters = (*staying, *coming)
    others = [each for each in sitting_out if each in staying and each != last_primary]
    barred = _barred(current, voters, accused, others)
    if not coming and not going and barred == current.barred:
        return None
    return Membership(Epoch(current.epoch + 1), voters, barred)


def _round(current: Membership, first: ReplicaId) -> tuple[ReplicaId, ...]:
    """Return the replicas in rotation order, from ``first`` on if it is one of them."""
    if first not in current.replicas:
        return current.replicas
    turn = current.replicas.index(first)
    return (*current.replicas[turn:], *current.replicas[:turn])


def _barred(
    current: Membership,
    voters: Sequence[ReplicaId],
    accused: Collection[ReplicaId],
    others: Sequence[ReplicaId],
) -> frozenset[ReplicaId]:
    """Return who of ``voters`` is passed over: liars first, of these those barred already."""
    liars = sorted(
        (voter for voter in voters if voter in accused),
        key=lambda voter: (voter not in current.barred, voter),
    )
    order = [*liars, *(each for each in others if each not in accused)]
    return frozenset(order[: (len(voters) - 1) // 3])


def taken_up(changes: Sequence[Change], was: Membership, becomes: Membership) -> list[Change]:
    """Return ``changes`` with those that ``becomes`` carries out marked as part of its epoch."""
    moved: set[bytes] = set(was.replicas) ^ set(becomes.replicas)
    return [
        replace(change, epoch=becomes.epoch)
        if change.is_waiting and change.peer in moved
        else change
        for change in changes
    ]


def voters_to_be(current: Membership, changes: Sequence[Change]) -> int:
    """Return how many will vote once nothing waits any more."""
    waiting = [change for change in changes if change.is_waiting]
    return current.n + sum(1 if change.votes else -1 for change in waiting)


def voters_min(voters: int) -> int:
    """Return how far ``voters`` may shrink."""
    return VOTERS_MIN if voters >= VOTERS_MIN else 1


def changes_to_value(changes: Sequence[Change]) -> bytes | None:
    """Return the row of all changes under way; ``None`` if there are none."""
    if not changes:
        return None
    return codec.encode(
        [[change.peer, change.votes, change.leaves, change.epoch] for change in changes]
    )


def read_changes(value: bytes | None) -> tuple[Change, ...]:
    """Return the changes in a row."""
    if value is None:
        return ()
    return tuple(
        Change(peer=PeerId(peer), votes=votes, leaves=leaves, epoch=Epoch(epoch))
        for peer, votes, leaves, epoch in codec.decode(value)
    )


def epoch_key(epoch: Epoch) -> bytes:
    """Return the key of an epoch's row."""
    return epoch.to_bytes(8, "big")


def epoch_of(key: bytes) -> Epoch:
    """Return the epoch whose row has this key."""
    return Epoch(int.from_bytes(key, "big"))


def epoch_to_value(start: EpochStart) -> bytes:
    """Return an epoch's row."""
    membership = start.membership
    barred = sorted(membership.barred)
    return codec.encode([start.first, membership.epoch, membership.replicas, barred])


def read_epoch(value: bytes) -> EpochStart:
    """Return the epoch in a row."""
    first, epoch, replicas, barred = codec.decode(value)
    membership = Membership(
        Epoch(epoch), tuple(map(ReplicaId, replicas)), frozenset(map(ReplicaId, barred))
    )
    return EpochStart(Seq(first), membership)

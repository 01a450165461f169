"""Requests that wait, a lane for each who brought some, so that none crowds out the others.

Our own clients are one sender, each other voter is one, and all followers together weigh as much
as one. They are served in turn; where there is no more room, the heaviest loses its newest.
"""

from collections import OrderedDict
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Final

from bftcluster.ids import Digest, ReplicaId


@dataclass(slots=True)
class Pending:
    """One request that is not decided yet."""

    request: bytes
    name: Digest
    """What the application calls it: variants of one request have one name."""
    since_ms: int
    """When it came here."""
    sender: ReplicaId
    """Who brought it first; we ourselves, if it was a client of ours."""
    ours: bool
    """Whether our own client handed it in: then we answer for it."""
    sent_ms: int | None = None
    """When we sent it to everybody last, if it is ours."""
    sendings: int = 0
    """How often we did so."""
    is_hearsay: bool = False
    """Whether nobody brought it: it is in a proposal that we voted for."""


@dataclass(slots=True)
class Load:
    """How many requests wait, and how large they are."""

    requests: int = 0
    size_bytes: int = 0

    def add(self, pending: Pending) -> None:
        """Count one more."""
        self.requests += 1
        self.size_bytes += len(pending.request)

    def remove(self, pending: Pending) -> None:
        """Count one less."""
        self.requests -= 1
        self.size_bytes -= len(pending.request)


@dataclass(slots=True)
class _Lane:
    waiting: OrderedDict[Digest, Pending] = field(default_factory=OrderedDict)
    load: Load = field(default_factory=Load)


FOLLOWERS: Final = ReplicaId(b"")
"""Stands for all of them, where turns are taken and weights are compared."""


class Lanes:
    """The waiting requests: whose turn is next, and who has to give way."""

    __slots__ = ("_followers", "_lanes", "_turns", "_voters", "me", "total")

    def __init__(self, me: ReplicaId) -> None:
        self.me = me
        self.total = Load()
        self._lanes: dict[ReplicaId, _Lane] = {}
        """By sender, those with something waiting."""
        self._voters = frozenset({me})
        self._turns: dict[ReplicaId, None] = {}
        """Whose turn is next, first."""
        self._followers: dict[ReplicaId, None] = {}
        """Which follower is next, when it is their turn."""

    def seat(self, voters: Iterable[ReplicaId]) -> None:
        """Let these vote from now on, besides us: the others are followers."""
        self._voters = frozenset(voters) | {self.me}
        self._turns.clear()
        self._followers.clear()
        for sender in self._lanes:
            self._queue_up(sender)

    def load_of(self, sender: ReplicaId) -> Load:
        """Return how much of ``sender`` waits."""
        lane = self._lanes.get(sender)
        return Load() if lane is None else lane.load

    def put(self, pending: Pending, *, is_first: bool = False) -> None:
        """Let ``pending`` wait behind what its sender brought before, or ahead of it."""
        lane = self._lanes.get(pending.sender)
        if lane is None:
            lane = self._lanes[pending.sender] = _Lane()
            self._queue_up(pending.sender)
        lane.waiting[pending.name] = pending
        if is_first:
            lane.waiting.move_to_end(pending.name, last=False)
        lane.load.add(pending)
        self.total.add(pending)

    def remove(self, pending: Pending) -> None:
        """Let ``pending`` wait no longer."""
        lane = self._lanes[pending.sender]
        del lane.waiting[pending.name]
        lane.load.remove(pending)
        self.total.remove(pending)
        if not lane.waiting:
            self._leave(pending.sender)

    def lighten(self, pending: Pending, sender: ReplicaId) -> None:
        """Let ``pending`` wait in the lane of ``sender``, who brings it too, if that is lighter.

        A voter that vouches for it is held to have a place for it here: whoever brought it first
        could otherwise have it dropped with a flood of its own. A follower takes nothing over.
        """
        mine, other = self.load_of(sender), self.load_of(pending.sender)
        is_lighter = mine.requests < other.requests and mine.size_bytes < other.size_bytes
        if sender in self._voters and is_lighter:
            self.remove(pending)
            pending.sender = sender
            self.put(pending)

    def next(self, left_out: Container[ReplicaId] = ()) -> Pending | None:
        """Return what is served next: the oldest of the sender whose turn it is.

        Args:
            left_out: Turns, as ``turn_of`` names them, that are not taken; they keep their place.
        """
        for turn in self._turns:
            if turn not in left_out:
                sender = next(iter(self._followers)) if turn == FOLLOWERS else turn
                return next(iter(self._lanes[sender].waiting.values()))
        return None

    def serve(self, pending: Pending) -> None:
        """Take what ``next`` returned; its sender waits for all others to have their turn."""
        turn = self.turn_of(pending.sender)
        if turn == FOLLOWERS:
            del self._followers[pending.sender]
            self._followers[pending.sender] = None
        del self._turns[turn]
        self._turns[turn] = None
        self.remove(pending)

    def heaviest(self, sender: ReplicaId, *, by_size: bool) -> ReplicaId:
        """Return who has most, ``sender`` rather than others that have as much."""
        weights: dict[ReplicaId, int] = {self.turn_of(sender): 0}
        for each, lane in self._lanes.items():
            turn = self.turn_of(each)
            weights[turn] = weights.get(turn, 0) + _weight(lane, by_size=by_size)
        heaviest = max(weights, key=lambda turn: weights[turn])
        if heaviest != FOLLOWERS:
            return heaviest
        followers = {sender: 0} if self.turn_of(sender) == FOLLOWERS else {}
        for each in self._followers:
            followers[each] = _weight(self._lanes[each], by_size=by_size)
        return max(followers, key=lambda each: followers[each])

    def newest(self, sender: ReplicaId) -> Pending:
        """Return what ``sender`` brought last."""
        return next(reversed(self._lanes[sender].waiting.values()))

    def stale(self, before_ms: int) -> list[Pending]:
        """Return what others brought before ``before_ms``, from the head of each lane on."""
        found: list[Pending] = []
        for lane in self._lanes.values():
            for pending in lane.waiting.values():
                if pending.since_ms >= before_ms:
                    break
                if not pending.ours:
                    found.append(pending)
        return found

    def turn_of(self, sender: ReplicaId) -> ReplicaId:
        """Return whose turn it is when ``sender`` is served: its own, or that of all followers."""
        return sender if sender in self._voters else FOLLOWERS

    def _queue_up(self, sender: ReplicaId) -> None:
        turn = self.turn_of(sender)
        self._turns.setdefault(turn, None)
        if turn == FOLLOWERS:
            self._followers[sender] = None

    def _leave(self, sender: ReplicaId) -> None:
        del self._lanes[sender]
        if sender in self._followers:
            del self._followers[sender]
            if not self._followers:
                del self._turns[FOLLOWERS]
        else:
            del self._turns[sender]


def _weight(lane: _Lane, *, by_size: bool) -> int:
    return lane.load.size_bytes if by_size else lane.load.requests

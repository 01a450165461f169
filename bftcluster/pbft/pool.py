"""Requests that wait for a decision, each once, within bounds that every sender has a share of.

A request goes by the name that the application gives it. Of several variants with one name the
first that comes stands for all of them: what is decided of it, is decided of the others.
"""

import hashlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from bftcluster.ids import Digest, ReplicaId
from bftcluster.limits import (
    BATCH_SIZE_MAX_BYTES,
    DECIDED_AGAIN_MS,
    POOL_DECIDED_MAX,
    RELAYED_SIZE_PER_SENDER_MAX_BYTES,
    UNEXECUTED_SIZE_MAX_BYTES,
)
from bftcluster.pbft.debts import Debts
from bftcluster.pbft.lanes import Lanes, Load, Pending
from bftcluster.pbft.verdicts import Verdict

_CLAIMED_MAX_BYTES: Final = UNEXECUTED_SIZE_MAX_BYTES + BATCH_SIZE_MAX_BYTES
"""What an honest primary has proposed that is not decided when its view ends."""


def request_digest(request: bytes) -> Digest:
    """Return SHA-256 of ``request``: the name of what has no variants."""
    return Digest(hashlib.sha256(request).digest())


class RequestPool:
    """Every request known and not decided: waiting, or in a proposal that is not decided yet."""

    __slots__ = (
        "_decided",
        "_lane_max_bytes",
        "_lanes",
        "_me",
        "_name",
        "_requests_max",
        "_size_max_bytes",
        "debts",
        "proposed",
        "waiting",
    )

    def __init__(
        self,
        *,
        me: ReplicaId,
        requests_max: int,
        size_max_bytes: int,
        name: Callable[[bytes], Digest],
    ) -> None:
        self._me = me
        self._name = name
        self._requests_max = requests_max
        self._size_max_bytes = size_max_bytes
        self._lanes = Lanes(me)
        self._lane_max_bytes = size_max_bytes
        self.waiting: dict[Digest, Pending] = {}
        """In order of arrival, whoever brought them."""
        self.proposed: dict[Digest, Pending] = {}
        self.debts = Debts()
        self._decided: dict[Digest, int] = {}
        """When requests were decided, the latest last."""

    def __len__(self) -> int:
        return len(self.waiting) + len(self.proposed)

    def seat(self, voters: tuple[ReplicaId, ...]) -> None:
        """Give each of ``voters``, our own clients, and all followers together one share each."""
        self._lanes.seat(voters)
        shares = len(voters) + 1
        self._lane_max_bytes = _CLAIMED_MAX_BYTES + shares * RELAYED_SIZE_PER_SENDER_MAX_BYTES
        share = Load(self._requests_max // shares, self._size_max_bytes // shares)
        self.debts.seat(shares, share)

    def find(self, name: Digest) -> Pending | None:
        """Return the pending request of that name."""
        return self.waiting.get(name) or self.proposed.get(name)

    def is_decided(self, name: Digest, now_ms: int) -> bool:
        """Whether the request of that name was decided a moment ago.

        Later only the state knows whether it has had its effect, or was refused and may be wanted
        again. All replicas judge alike, however much they remember.
        """
        decided_ms = self._decided.get(name)
        return decided_ms is not None and now_ms < decided_ms + DECIDED_AGAIN_MS

    def pending(self) -> Iterator[Pending]:
        """Return every undecided request, the waiting ones first."""
        return chain(self.waiting.values(), self.proposed.values())

    def has_room(self, sender: ReplicaId, size_bytes: int) -> bool:
        """Return whether ``add`` would find room: asked before a request is checked, at a cost."""
        return self._in_the_way(sender, size_bytes) != sender

    def _in_the_way(self, sender: ReplicaId, size_bytes: int) -> ReplicaId | None:
        """Return who has to give way to a request of ``sender``: itself, if it has its share."""
        total = self._lanes.total
        lane_bytes = 0 if sender == self._me else self._lanes.load_of(sender).size_bytes
        if size_bytes > self._size_max_bytes or lane_bytes + size_bytes > self._lane_max_bytes:
            return sender
        if total.requests >= self._requests_max:
            return self._lanes.heaviest(sender, by_size=False)
        if total.size_bytes + size_bytes > self._size_max_bytes:
            return self._lanes.heaviest(sender, by_size=True)
        return None

    def add(self, request: bytes, name: Digest, *, sender: ReplicaId, now_ms: int) -> Verdict:
        """Take ``request`` unless it is known, was decided lately, or there is no room for it.

        A sender with less than its share always finds room: the heaviest loses its newest.
        """
        known = self.find(name)
        if known is not None:
            known.ours = known.ours or sender == self._me
            if name in self.waiting:
                self._lanes.lighten(known, sender)
            elif known.is_hearsay:
                known.sender = sender
            known.is_hearsay = False
            return Verdict.DUPLICATE
        if self.is_decided(name, now_ms):
            return Verdict.LATE
        if not self._make_room(sender, len(request)):
            return Verdict.POOL_FULL
        self._lanes.put(pending := Pending(request, name, now_ms, sender, sender == self._me))
        self.waiting[name] = pending
        return Verdict.ACCEPTED

    def _make_room(self, sender: ReplicaId, size_bytes: int) -> bool:
        while (other := self._in_the_way(sender, size_bytes)) is not None:
            if other == sender:
                return False
            self.drop(self._lanes.newest(other))
        return True

    def drop(self, pending: Pending) -> None:
        """Forget a request that waits: there is no room for it, or nobody wants it."""
        self._lanes.remove(pending)
        del self.waiting[pending.name]
        self.debts.forgive(pending.name)

    def forget(self, pending: Pending) -> None:
        """Forget a request that is not wanted any more; what proposes it is not our business."""
        if pending.name in self.waiting:
            self.drop(pending)
        self.debts.forgive(pending.name)

    def expire(self, before_ms: int) -> None:
        """Forget what others brought before ``before_ms``: who wants it brings it again."""
        for pending in self._lanes.stale(before_ms):
            self.drop(pending)

    def take(
        self,
        *,
        requests_max: int,
        size_max_bytes: int,
        share_max_bytes: int,
        may_propose: Callable[[bytes], bool],
    ) -> tuple[bytes, ...]:
        """Move waiting requests to the proposed ones, and return them: of each sender in turn.

        What is no longer wanted is dropped instead.

        Args:
            requests_max: How many.
            size_max_bytes: Of all; more only if the first alone has more.
            share_max_bytes: Of one sender, or of all followers, likewise: who comes next waits
                until what is before it has been checked and executed.
            may_propose: Whether to order a request still makes sense.
        """
        taken: list[bytes] = []
        size_bytes = 0
        shares_bytes: dict[ReplicaId, int] = {}
        left_out: set[ReplicaId] = set()
        while len(taken) < requests_max and (pending := self._lanes.next(left_out)) is not None:
            if not may_propose(pending.request):
                self.drop(pending)
                continue
            turn = self._lanes.turn_of(pending.sender)
            total_bytes = size_bytes + len(pending.request)
            share_bytes = shares_bytes.get(turn, 0) + len(pending.request)
            is_first = turn not in shares_bytes
            fits = (not taken or total_bytes <= size_max_bytes) and (
                is_first or share_bytes <= share_max_bytes
            )
            if not fits:
                left_out.add(turn)
                continue
            size_bytes, shares_bytes[turn] = total_bytes, share_bytes
            self._lanes.serve(pending)
            del self.waiting[pending.name]
            self.proposed[pending.name] = pending
            taken.append(pending.request)
        return tuple(taken)

    def settle(self, requests: tuple[bytes, ...], *, now_ms: int) -> None:
        """Drop ``requests``, which were decided, and remember them for a while."""
        for request in requests:
            name = self._name(request)
            pending = self.waiting.pop(name, None)
            if pending is not None:
                self._lanes.remove(pending)
            else:
                self.proposed.pop(name, None)
            self.debts.settle(name)
            self.remember(name, now_ms)

    def remember(self, name: Digest, decided_ms: int) -> None:
        """Know when a request was decided, later than all that were remembered before."""
        self._decided.pop(name, None)
        self._decided[name] = decided_ms
        if len(self._decided) > POOL_DECIDED_MAX:
            del self._decided[next(iter(self._decided))]

    def unpropose(self) -> None:
        """Let every undecided request wait again, the proposed ones first: the view is over."""
        proposed, self.proposed = self.proposed, {}
        for pending in reversed(proposed.values()):
            self._lanes.put(pending, is_first=True)
        self.waiting = {**proposed, **self.waiting}

    def claim(self, requests: tuple[bytes, ...], *, primary: ReplicaId, now_ms: int) -> None:
        """Count ``requests`` as proposed, known or not: they are in a proposal we voted for.

        Should its view end without a decision, they wait again, here as at every other voter: those
        that only the proposal told us of as its primary's.
        """
        for request in requests:
            name = self._name(request)
            if name in self.proposed or self.is_decided(name, now_ms):
                continue
            pending = self.waiting.pop(name, None)
            if pending is None:
                pending = Pending(request, name, now_ms, primary, ours=False, is_hearsay=True)
            else:
                self._lanes.remove(pending)
            self.proposed[name] = pending

    def release(self, requests: tuple[bytes, ...]) -> None:
        """Count ``requests`` as proposed no longer: something else was decided in their slot.

        They wait again, but for those that only the proposal told us of: nobody else may have it.
        """
        for request in requests:
            pending = self.proposed.pop(self._name(request), None)
            if pending is not None and not pending.is_hearsay:
                self._lanes.put(pending, is_first=True)
                self.waiting[pending.name] = pending

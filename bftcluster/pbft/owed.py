"""What the primary of the view was given and has not ordered: only that is ever held against it.

A replica gives it the requests of its own clients, no more at once than half its share of the
primary's pool, and a few of those that other voters relayed, by number and by bytes. An honest
primary thus has room for all of them, and takes from every sender in turn: whoever waits too long
was passed over.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from bftcluster.ids import Digest, ReplicaId
from bftcluster.limits import RELAYED_PER_SENDER_MAX
from bftcluster.pbft.lanes import Load, Pending


@dataclass(slots=True)
class Debt:
    """One request that the primary was given."""

    pending: Pending
    begun_ms: int
    """Since when it has it."""
    relayer: ReplicaId | None
    """Which voter relayed it and vouches for it; None if our own client wants it."""
    ahead: int
    """How many we had given it before that were not ordered."""
    paid_before: int
    ordered_before: int


class Owed:
    """Debts, the oldest first, and what is still to be given."""

    __slots__ = (
        "_backlog",
        "_load",
        "_ours",
        "_passed_load",
        "_passed_on",
        "_relayed",
        "_relayed_by",
        "ordered",
        "paid",
        "relayed_max_bytes",
        "requests_max",
        "size_max_bytes",
    )

    def __init__(self) -> None:
        self.requests_max = 1
        """As many requests of our clients are given at once."""
        self.size_max_bytes = 0
        """And so many bytes, but one request always."""
        self.relayed_max_bytes = 0
        """Of what each voter relayed, and of what all followers did, likewise."""
        self.ordered = 0
        """Requests decided so far, whoever wanted them."""
        self.paid = 0
        """Debts among them."""
        self._ours: dict[Digest, Debt] = {}
        self._load = Load()
        """Of ours."""
        self._backlog: dict[Digest, Pending] = {}
        """Requests of our clients that are to be given when there is room."""
        self._relayed: dict[Digest, Debt] = {}
        self._relayed_by: dict[ReplicaId, Load] = {}
        """How much of each relayer there is."""
        self._passed_on: dict[Digest, Debt] = {}
        """Requests that followers relayed: passed on, a few at a time. None of them is owed; but a
        primary that orders nothing at all meanwhile does not work."""
        self._passed_load = Load()

    @property
    def ours(self) -> Iterable[Debt]:
        """What our own clients want, the oldest first."""
        return self._ours.values()

    @property
    def passed_on(self) -> list[Debt]:
        """The oldest that a follower relayed, if there is any."""
        return list(islice(self._passed_on.values(), 1))

    @property
    def oldest(self) -> list[Debt]:
        """The oldest of our clients' requests, and the oldest that others relayed."""
        return [next(iter(debts.values())) for debts in (self._ours, self._relayed) if debts]

    @property
    def vouched(self) -> list[Pending]:
        """The oldest that others relayed, voters and followers."""
        relayed = islice(self._relayed.values(), 1)
        return [debt.pending for debt in (*relayed, *self.passed_on)]

    def want(self, pending: Pending) -> None:
        """Note that a client of ours wants ``pending``."""
        if pending.digest not in self._ours:
            self._backlog[pending.digest] = pending

    def give(self, now_ms: int) -> list[Pending]:
        """Return requests of our clients that are to be sent to the primary now."""
        given: list[Pending] = []
        for pending in self._backlog.values():
            size_bytes = self._load.size_bytes + len(pending.request)
            is_full = self._load.requests >= self.requests_max or size_bytes > self.size_max_bytes
            if is_full and self._load.requests:
                break
            self._ours[pending.digest] = self._debt(pending, now_ms, None)
            self._load.add(pending)
            given.append(pending)
        for pending in given:
            del self._backlog[pending.digest]
        return given

    def vouch(self, pending: Pending, relayer: ReplicaId, now_ms: int) -> bool:
        """Return whether a request that a voter relayed is to be passed on, and timed.

        No more than a few of each voter's: the oldest put the primary to the test.
        """
        load = self._relayed_by.setdefault(relayer, Load())
        if pending.digest in self._relayed or not self._fits(load, pending):
            return False
        self._relayed[pending.digest] = self._debt(pending, now_ms, relayer)
        load.add(pending)
        return True

    def pass_on(self, pending: Pending, now_ms: int) -> bool:
        """Return whether a request that a follower relayed is to be passed on."""
        if pending.digest in self._passed_on or not self._fits(self._passed_load, pending):
            return False
        self._passed_on[pending.digest] = self._debt(pending, now_ms, None)
        self._passed_load.add(pending)
        return True

    def _fits(self, load: Load, pending: Pending) -> bool:
        size_bytes = load.size_bytes + len(pending.request)
        is_full = load.requests >= RELAYED_PER_SENDER_MAX or size_bytes > self.relayed_max_bytes
        return not (load.requests and is_full)

    def start_over(self, now_ms: int, *, is_primary: bool) -> list[Pending]:
        """Return what the primary of a new view is to be given; it has all the time again.

        Args:
            now_ms: When the view begins.
            is_primary: It is us: nobody owes us anything.
        """
        relayed, ours = self._relayed, self._ours
        self._backlog = {digest: debt.pending for digest, debt in ours.items()} | self._backlog
        self._ours, self._load = {}, Load()
        self._relayed, self._relayed_by = {}, {}
        self._passed_on, self._passed_load = {}, Load()
        if is_primary:
            return []
        again = [
            debt.pending
            for debt in relayed.values()
            if debt.relayer is not None and self.vouch(debt.pending, debt.relayer, now_ms)
        ]
        return again + [each for each in self.give(now_ms) if each.digest not in self._relayed]

    def settle(self, digest: Digest) -> None:
        """Note that a request was ordered."""
        self.ordered += 1
        self.paid += self.forgive(digest)

    def forgive(self, digest: Digest) -> bool:
        """Forget a request; return whether the primary owed it."""
        ours = self._ours.pop(digest, None)
        if ours is not None:
            self._load.remove(ours.pending)
        relayed = self._relayed.pop(digest, None)
        if relayed is not None and relayed.relayer is not None:
            self._relayed_by[relayed.relayer].remove(relayed.pending)
        passed = self._passed_on.pop(digest, None)
        if passed is not None:
            self._passed_load.remove(passed.pending)
        self._backlog.pop(digest, None)
        return ours is not None or relayed is not None

    def put_off(self, pending: Pending) -> None:
        """Hold a request against nobody for now; our own client goes on wanting it."""
        is_ours = pending.digest in self._ours
        self.forgive(pending.digest)
        if is_ours:
            self.want(pending)

    def _debt(self, pending: Pending, now_ms: int, relayer: ReplicaId | None) -> Debt:
        ahead = len(self._ours) + len(self._relayed)
        return Debt(pending, now_ms, relayer, ahead, self.paid, self.ordered)

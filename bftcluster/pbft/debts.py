"""A primary's debts: what it was given and has not ordered. It is blamed for nothing else.

A replica gives it the requests of its own clients, no more at once than half its share of the
primary's pool. The other half is for what others relayed: an equal part for each voter, and for all
followers together; and one request that is too large for a part, of each voter in turn. An honest
primary thus has room for all of them, and takes from every sender in turn: whoever waits too long
was passed over.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from bftcluster.ids import Digest, ReplicaId
from bftcluster.limits import (
    GIVEN_SIZE_MAX_BYTES,
    RELAYED_PER_SENDER_MAX,
    RELAYED_SIZE_PER_SENDER_MAX_BYTES,
    REQUEST_SIZE_MAX_BYTES,
)
from bftcluster.pbft.lanes import FOLLOWERS, Load, Pending


@dataclass(slots=True)
class Debt:
    """One request that the primary was given."""

    pending: Pending
    relayer: ReplicaId | None
    """Which voter relayed it and vouches for it, or that followers did; None if our own client
    wants it."""
    begun_ms: int = 0
    """Since when it has it."""
    ahead: int = 0
    """How many we had given it before that were not ordered."""
    paid_before: int = 0
    ordered_before: int = 0


@dataclass(slots=True)
class _Account:
    """Debts of one kind, the oldest first, and how much they are."""

    debts: dict[Digest, Debt] = field(default_factory=dict)
    load: Load = field(default_factory=Load)

    def fits(self, pending: Pending, most: Load) -> bool:
        """Whether there is room for one more."""
        size_bytes = self.load.size_bytes + len(pending.request)
        return self.load.requests < most.requests and size_bytes <= most.size_bytes

    def add(self, debt: Debt) -> None:
        """Note one more."""
        self.debts[debt.pending.name] = debt
        self.load.add(debt.pending)

    def remove(self, name: Digest) -> Debt | None:
        """Forget a debt, if it is one of these; return it."""
        debt = self.debts.pop(name, None)
        if debt is not None:
            self.load.remove(debt.pending)
        return debt

    @property
    def oldest(self) -> list[Debt]:
        """The oldest, if there is any."""
        return [next(iter(self.debts.values()))] if self.debts else []


class Debts:
    """Debts, the oldest first, and what is still to be given."""

    __slots__ = (
        "_asking",
        "_backlog",
        "_large",
        "_ours",
        "_ours_max",
        "_relayed",
        "_relayer_max",
        "ordered",
        "paid",
    )

    def __init__(self) -> None:
        self.ordered = 0
        """Requests decided so far, whoever wanted them."""
        self.paid = 0
        """Debts among them."""
        self._ours = _Account()
        self._ours_max = Load(1, 0)
        """As much of our clients is given at once, but one request always."""
        self._backlog: dict[Digest, Pending] = {}
        """Requests of our clients that are to be given when there is room."""
        self._relayed: dict[ReplicaId, _Account] = {}
        """By relayer, all followers being one: what they relay is passed on, but none of it is
        owed; a primary that orders nothing at all meanwhile does not work."""
        self._relayer_max = Load()
        """As much of each."""
        self._large = _Account()
        """One request, too large for its relayer's part."""
        self._asking: dict[ReplicaId, Pending] = {}
        """One of each voter that is to be there next, in the order of asking."""

    def seat(self, shares: int, share: Load) -> None:
        """Bound what is given by ``share``: ours of the primary's pool, of ``shares`` equal ones.

        What was relayed is forgotten; its owners relay it again.
        """
        requests, size_bytes = share.requests // 2, share.size_bytes // 2
        self._ours_max = Load(requests, min(size_bytes, GIVEN_SIZE_MAX_BYTES))
        self._relayer_max = Load(
            min((requests - 1) // shares, RELAYED_PER_SENDER_MAX),
            min((size_bytes - REQUEST_SIZE_MAX_BYTES) // shares, RELAYED_SIZE_PER_SENDER_MAX_BYTES),
        )
        self._forget_relayed()

    @property
    def ours(self) -> Iterable[Debt]:
        """What our own clients want, the oldest first."""
        return self._ours.debts.values()

    @property
    def oldest(self) -> list[Debt]:
        """The oldest of our clients' requests, and the oldest that voters relayed."""
        return self._ours.oldest + self._oldest_relayed(by_followers=False)

    @property
    def passed_on(self) -> list[Debt]:
        """The oldest that followers relayed, if there is any."""
        return self._oldest_relayed(by_followers=True)

    @property
    def vouched(self) -> list[Pending]:
        """The oldest that others relayed, voters and followers."""
        relayed = self._oldest_relayed(by_followers=False)
        return [debt.pending for debt in (*relayed, *self.passed_on)]

    def _accounts(self) -> list[_Account]:
        """Return where there are debts that others relayed."""
        others = self._relayed.values()
        return [account for account in (self._large, *others) if account.debts]

    def _oldest_relayed(self, *, by_followers: bool) -> list[Debt]:
        oldest = [debt for account in self._accounts() for debt in account.oldest]
        oldest = [debt for debt in oldest if (debt.relayer == FOLLOWERS) is by_followers]
        return [min(oldest, key=lambda debt: debt.begun_ms)] if oldest else []

    def want(self, pending: Pending) -> None:
        """Note that a client of ours wants ``pending``."""
        if pending.name not in self._ours.debts:
            self._backlog[pending.name] = pending

    def give(self, now_ms: int) -> list[Pending]:
        """Return what is to be sent to the primary now: of our clients, and a large one."""
        given: list[Pending] = []
        for pending in self._backlog.values():
            if self._ours.debts and not self._ours.fits(pending, self._ours_max):
                break
            self._ours.add(self._begin(Debt(pending, None), now_ms))
            given.append(pending)
        for pending in given:
            del self._backlog[pending.name]
        if self._asking:
            for held in self._large.oldest:
                if held.relayer == FOLLOWERS:  # Nobody owes it: it could be there for ever.
                    self._large.remove(held.pending.name)
            if not self._large.debts:
                relayer = next(iter(self._asking))
                pending = self._asking.pop(relayer)
                self._large.add(self._begin(Debt(pending, relayer), now_ms))
                given.append(pending)
        return given

    def vouch(self, pending: Pending, relayer: ReplicaId, now_ms: int) -> bool:
        """Return whether a request that a voter or ``FOLLOWERS`` relayed is to be passed on now.

        No more than a part of each: the oldest put the primary to the test. What is too large for
        that is given later, when its relayer's turn has come.
        """
        if self._is_vouched(pending.name, relayer):
            return False
        account = self._relayed.get(relayer, _Account())
        if account.fits(pending, self._relayer_max):
            self._relayed[relayer] = account
        elif _Account().fits(pending, self._relayer_max):
            return False
        elif relayer != FOLLOWERS:
            self._asking.setdefault(relayer, pending)
            return False
        elif self._asking or self._large.debts:
            return False
        else:
            account = self._large
        account.add(self._begin(Debt(pending, relayer), now_ms))
        return True

    def _is_vouched(self, name: Digest, relayer: ReplicaId) -> bool:
        """Whether it is there already; that followers relayed it spares no voter."""
        debts = [account.debts.get(name) for account in self._accounts()]
        is_by_followers = relayer == FOLLOWERS
        return any(d is not None and (is_by_followers or d.relayer != FOLLOWERS) for d in debts)

    def start_over(self, now_ms: int, *, is_primary: bool) -> list[Pending]:
        """Return what the primary of a new view is to be given; it has all the time again.

        Args:
            now_ms: When the view begins.
            is_primary: It is us: nobody owes us anything.
        """
        ours = {name: debt.pending for name, debt in self._ours.debts.items()}
        self._backlog = ours | self._backlog
        self._ours = _Account()
        if is_primary:
            self._forget_relayed()
            return []
        relayed = [debt for account in self._accounts() for debt in account.debts.values()]
        again: dict[Digest, Pending] = {}
        for debt in relayed:
            self._begin(debt, now_ms).ahead = len(again)
            again[debt.pending.name] = debt.pending
        again.update((pending.name, pending) for pending in self.give(now_ms))
        return list(again.values())

    def _forget_relayed(self) -> None:
        self._relayed = {}
        self._large = _Account()
        self._asking = {}

    def settle(self, name: Digest) -> None:
        """Note that a request was ordered."""
        self.ordered += 1
        self.paid += self.forgive(name)

    def forgive(self, name: Digest) -> bool:
        """Forget a request; return whether the primary owed it."""
        is_owed = self._ours.remove(name) is not None
        self._backlog.pop(name, None)
        for account in self._accounts():
            debt = account.remove(name)
            is_owed = is_owed or (debt is not None and debt.relayer != FOLLOWERS)
        if self._asking:
            self._asking = {who: one for who, one in self._asking.items() if one.name != name}
        return is_owed

    def put_off(self, pending: Pending) -> None:
        """Hold a request against nobody for now; our own client goes on wanting it."""
        is_ours = pending.name in self._ours.debts
        self.forgive(pending.name)
        if is_ours:
            self.want(pending)

    def _begin(self, debt: Debt, now_ms: int) -> Debt:
        """Let the time of a debt begin now."""
        debt.begun_ms = now_ms
        debt.ahead = self._ours.load.requests + sum(a.load.requests for a in self._accounts())
        debt.paid_before, debt.ordered_before = self.paid, self.ordered
        return debt

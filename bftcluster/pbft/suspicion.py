"""Times the primary, and says when to give up its view (OSDI'99, section 4.4).

Only for something it demonstrably should have done: a request that every replica was sent, or a
proposal of its own that does not get decided. Never when it is us who lag behind.
"""

from bftcluster.ids import ReplicaId, Seq
from bftcluster.pbft.core import Core
from bftcluster.pbft.debts import Debt
from bftcluster.pbft.doubts import Doubts
from bftcluster.pbft.lanes import Pending
from bftcluster.pbft.messages import Doubt
from bftcluster.pbft.proposer import Proposer
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pbft.view_change import ViewChanger

_RELAY_AGAIN_TIMEOUTS = 4
"""A request of ours is relayed again after this many timeouts."""
_RELAYS_IN_STEP = 4
"""Each time after so many it is relayed a third of a timeout later: what cuts us off at a regular
pace must not cut off every relay."""
_MS_PER_DEBT_PAID = 50
"""What we gave the primary before a request may cost it so much each: a backlog of ours excuses it,
as long as it is worked off at this pace."""
_MS_PER_REQUEST_ORDERED = 3
"""And what it ordered since, whosesoever it is: it may have been in proposals already. That excuses
it for as long again as it has at most."""

_NOTICE_PART = 8
"""The last eighth of the primary's time begins with saying that it runs out: when it has, it is
known whether others think so, and no time is lost by asking."""


class Suspicion:
    """Times requests and open slots, and asks for the next view when one is overdue."""

    __slots__ = (
        "_alone_ms",
        "_check_ms",
        "_core",
        "_doubts",
        "_proposer",
        "_relay_ms",
        "_view_changer",
    )

    def __init__(self, core: Core, proposer: Proposer, view_changer: ViewChanger) -> None:
        self._core = core
        self._doubts = Doubts(core, view_changer)
        self._proposer = proposer
        self._view_changer = view_changer
        self._check_ms = 0
        self._relay_ms = 0
        """Before this we relay nothing more."""
        self._alone_ms = 0
        """When we last heard too few for any view: no primary can be blamed for that time."""

    @property
    def deadline_ms(self) -> int:
        """When to look again."""
        return self._check_ms

    def look_again(self) -> None:
        """Have the primary judged in this step: others doubt it, or have given it up."""
        self._check_ms = self._core.now_ms

    def on_doubt(self, sender: ReplicaId, doubt: Doubt) -> Verdict:
        """Take what another says of the primary, and judge it in this step."""
        self.look_again()
        return self._doubts.on_doubt(sender, doubt)

    def on_time(self) -> None:
        """Relay what waits too long; give up a primary that ignores what was relayed."""
        core, settings = self._core, self._core.settings
        if core.now_ms < self._check_ms:
            return
        rest_ms = min(settings.request_timeout_ms, settings.view_change_timeout_ms)
        self._check_ms = core.now_ms + rest_ms
        self._relay_overdue()
        if not core.is_active or core.primary == core.me:
            return
        if self._is_alone():
            self._alone_ms = core.now_ms
            return
        core.pool.expire(core.now_ms - settings.request_expiry_ms)
        due_ms = self._due_ms()
        if due_ms is None:
            return
        notice_ms = due_ms - self._view_changer.timeout_ms // _NOTICE_PART
        if core.now_ms < notice_ms:
            self._check_ms = min(self._check_ms, notice_ms)
        elif not self._lags() and not self._forgive():
            self._proposer.give_again(core.pool.debts.vouched)
            self._doubts.say()
            if core.now_ms < due_ms:
                self._check_ms = min(self._check_ms, due_ms)
            else:
                self._doubts.give_up_together()

    def _forgive(self) -> bool:
        """Whether we held something against the primary that it may rightly pass over.

        What nobody wants any more, which it may have known before us; or what is wanted only with
        something else that it may never have heard of.
        """
        core, is_any = self._core, False
        for debt in (*core.pool.debts.oldest, *core.pool.debts.passed_on):
            pending = debt.pending
            if not core.application.is_wanted(pending.request):
                core.pool.forget(pending)
            elif not core.application.is_owed(pending.request):
                core.pool.debts.put_off(pending)
            else:
                continue
            is_any, self._check_ms = True, core.now_ms + 1
        return is_any

    def _relay_overdue(self) -> None:
        core, timeout_ms = self._core, self._core.settings.request_timeout_ms
        if core.now_ms < self._relay_ms:
            return
        overdue: list[Pending] = []
        is_heard = not self._is_alone()
        for debt in core.pool.debts.ours:
            pending = debt.pending
            due_ms = debt.begun_ms + timeout_ms + self._backlog_ms(debt)
            if pending.sent_ms is not None:
                due_ms = pending.sent_ms + _RELAY_AGAIN_TIMEOUTS * timeout_ms
                if pending.sendings % _RELAYS_IN_STEP == 0:
                    due_ms += timeout_ms // 3
                if is_heard and pending.sent_ms <= self._alone_ms:
                    due_ms = core.now_ms  # Nobody heard it: no primary can know of it.
            if core.now_ms >= due_ms:
                overdue.append(pending)
            else:
                self._check_ms = min(self._check_ms, due_ms)
            if len(overdue) == core.settings.batch_requests_max:
                break
        if overdue:
            # A backlog is not relayed as a whole: the oldest put the primary to the test.
            self._relay_ms = core.now_ms + timeout_ms // 4
            self._check_ms = min(self._check_ms, self._relay_ms)
            self._proposer.relay(overdue)

    def _due_ms(self) -> int | None:
        """Return when the primary is out of time, or None if it owes nothing.

        Only that a request is ordered ends the time it has for that request: neither what else it
        decides nor its service to others does.
        """
        core = self._core
        begun_ms = max(core.view_entered_ms, self._alone_ms)
        due = [self._due_of(debt, begun_ms) for debt in core.pool.debts.oldest]
        for debt in core.pool.debts.passed_on:
            # A follower's word blames nobody who works; one who is gone orders nothing.
            waited_ms = max(debt.begun_ms, core.progress_ms, begun_ms)
            due.append(waited_ms + self._patience_ms)
        opened_ms = self._opened_ms()
        if opened_ms is not None:
            waited_ms = max(opened_ms, core.progress_ms, begun_ms)
            due.append(waited_ms + self._patience_ms)
        elif (asked_ms := self._asked_ms()) is not None:
            due.append(max(asked_ms, begun_ms) + self._patience_ms)
        return min(due, default=None)

    def _asked_ms(self) -> int | None:
        """Return since when the latest state has asked for a batch, of no requests if need be.

        Clocks differ: a time has come when it has by every clock that is right.
        """
        core = self._core
        if not core.is_idle:
            return None
        if core.wants_batches:
            return core.executed_ms
        if core.due_ms is None:
            return None
        past_ms = core.wall_ms - core.due_ms - core.settings.clock_skew_max_ms
        return max(core.executed_ms, core.now_ms - past_ms) if past_ms >= 0 else None

    @property
    def _patience_ms(self) -> int:
        return self._core.settings.request_timeout_ms + self._view_changer.timeout_ms

    def _due_of(self, debt: Debt, begun_ms: int) -> int:
        is_ours = debt.relayer is None
        patience_ms = self._patience_ms if is_ours else self._view_changer.timeout_ms
        return max(debt.begun_ms, begun_ms) + patience_ms + self._excuse_ms(debt)

    def _excuse_ms(self, debt: Debt) -> int:
        """Return how much longer a request may wait, for what was rightly ordered before it."""
        ordered = self._core.pool.debts.ordered - debt.ordered_before
        ordered_ms = min(ordered * _MS_PER_REQUEST_ORDERED, self._patience_ms)
        return self._backlog_ms(debt) + ordered_ms

    def _backlog_ms(self, debt: Debt) -> int:
        """Return how much of that is for what we had given it before."""
        paid = self._core.pool.debts.paid - debt.paid_before
        return min(paid, debt.ahead) * _MS_PER_DEBT_PAID

    def _opened_ms(self) -> int | None:
        """Return since when the oldest proposal waits for its decision."""
        core = self._core
        reach = core.settings.slots_in_flight_max
        for number in range(core.decided + 1, max(core.decided, core.view_floor) + reach + 1):
            slot = core.log.slots.get(Seq(number))
            if slot is not None and slot.proposal is not None:
                return slot.opened_ms
        return None

    def _is_alone(self) -> bool:
        """Whether we hear fewer than it takes to open another view."""
        core = self._core
        fresh_ms = core.now_ms - 3 * core.settings.status_interval_ms
        heard = sum(heard_ms >= fresh_ms for heard_ms in core.heard_ms.values())
        return heard + 1 < core.membership.quorum

    def _lags(self) -> bool:
        """Whether so many are ahead of us that it is our fault, and not the primary's."""
        core = self._core
        fresh_ms = core.now_ms - 3 * core.settings.status_interval_ms
        ahead = sum(
            status.decided > core.decided and core.heard_ms[replica] >= fresh_ms
            for replica, status in core.peers.items()
        )
        return ahead >= core.membership.weak_quorum

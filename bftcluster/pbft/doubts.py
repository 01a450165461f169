"""A backup that would give up its primary first says that it doubts; f others must doubt as well.

Who gives up a view votes in it no more. One that does so by itself takes one of the f faults that
the cluster bears, for as long as nobody follows; the next fault then costs everybody the view. And
it may be only itself that has a reason: a request that was sent to it and to nobody else. So a
backup first says that it doubts, and goes on voting. Among f + 1 who doubt, one is correct: then
they give up together.
"""

from bftcluster.ids import ReplicaId, View
from bftcluster.pbft.core import Core
from bftcluster.pbft.messages import Doubt
from bftcluster.pbft.steps import Lane
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pbft.view_change import ViewChanger

_FRESH_TIMES = 2
"""A doubt counts for so many times the pace at which it is repeated."""


class Doubts:
    """The replicas that do not believe in the primary of our view."""

    __slots__ = ("_core", "_heard_ms", "_of", "_said_ms", "_view_changer")

    def __init__(self, core: Core, view_changer: ViewChanger) -> None:
        self._core = core
        self._view_changer = view_changer
        self._of = (core.epoch, core.view)
        """What the doubts below are about."""
        self._heard_ms: dict[ReplicaId, int] = {}
        self._said_ms: int | None = None

    @property
    def pace_ms(self) -> int:
        """How often a doubt that persists is said."""
        settings = self._core.settings
        return min(settings.request_timeout_ms, settings.view_change_timeout_ms)

    def on_doubt(self, sender: ReplicaId, message: Doubt) -> Verdict:
        """Note that ``sender`` doubts; it does so again as long as it has a reason."""
        core = self._core
        if sender not in core.membership.replicas:
            return Verdict.NOT_A_MEMBER
        if (message.epoch, message.view) != (core.epoch, core.view):
            return Verdict.LATE
        self._turn_to_view()
        self._heard_ms[sender] = core.now_ms
        return Verdict.COUNTED

    def say(self) -> None:
        """Say that we doubt, unless we just did."""
        core = self._core
        self._turn_to_view()
        is_due = self._said_ms is None or core.now_ms >= self._said_ms + self.pace_ms
        if is_due and core.may_change_view:
            self._said_ms = core.now_ms
            core.out.send_early(None, Doubt(core.epoch, core.view).frame(), Lane.CONSENSUS)

    def give_up_together(self) -> None:
        """Give up the view if f others would, or have."""
        core = self._core
        if not core.may_change_view:
            return
        self._turn_to_view()
        fresh_ms = core.now_ms - _FRESH_TIMES * self.pace_ms
        doubting = {replica for replica, at_ms in self._heard_ms.items() if at_ms >= fresh_ms}
        others = (doubting | self._view_changer.leavers()) - {core.me}
        if len(others) + 1 >= core.membership.weak_quorum:
            self._view_changer.give_up(View(core.view + 1))

    def _turn_to_view(self) -> None:
        """Forget what was said of another view."""
        of = (self._core.epoch, self._core.view)
        if of != self._of:
            self._of = of
            self._heard_ms.clear()
            self._said_ms = None

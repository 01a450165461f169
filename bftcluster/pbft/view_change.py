"""Changes the view (OSDI'99, section 4.4): gives one up, opens the next, enters it."""

from bftcluster.ids import ReplicaId, Seq, View
from bftcluster.pbft.certificates import CommitCertificate
from bftcluster.pbft.checkpoints import Checkpoints
from bftcluster.pbft.core import Core
from bftcluster.pbft.evidence import accuse
from bftcluster.pbft.new_view import NewViewPlan, ViewRules, compute_new_view, proposals_of
from bftcluster.pbft.normal_case import NormalCase
from bftcluster.pbft.proposer import Proposer
from bftcluster.pbft.records import ViewChanged, ViewEntered, VoteLoss
from bftcluster.pbft.steps import Lane
from bftcluster.pbft.throttle import AnswerKind
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pbft.view_messages import (
    NewView,
    ViewChange,
    parse_new_view_frame,
    parse_view_change_frame,
)
from bftcluster.pbft.view_speech import make_new_view, make_view_change
from bftcluster.pbft.votes import VoteKind

_DOUBLINGS_MAX = 30


class ViewChanger:
    """Knows who wants which view, and when to want the next."""

    __slots__ = (
        "_checkpoints",
        "_core",
        "_entered_changes",
        "_entered_frame",
        "_failures",
        "_normal_case",
        "_own",
        "_proposer",
        "_quorum_ms",
        "_refused",
        "_resend_ms",
        "_wishes",
    )

    def __init__(
        self, core: Core, normal_case: NormalCase, checkpoints: Checkpoints, proposer: Proposer
    ) -> None:
        self._core = core
        self._normal_case = normal_case
        self._checkpoints = checkpoints
        self._proposer = proposer
        self._wishes: dict[ReplicaId, ViewChange] = {}
        """The latest VIEW-CHANGE of each member: one each, of the highest view."""
        self._refused: dict[ReplicaId, View] = {}
        """The last view a member asked for without proof: asking again is not heard."""
        self._own: bytes | None = None
        """The frame of ours, while it is unanswered."""
        self._entered_frame: bytes | None = None
        """The NEW-VIEW of the current view; None in view 0."""
        self._entered_changes: tuple[ViewChange, ...] = ()
        """The VIEW-CHANGEs in it."""
        self._quorum_ms: int | None = None
        """When a quorum was seen to want the target view or a later one: from then on it is timed,
        so that replicas which want different views meet."""
        self._resend_ms = 0
        self._failures = 0
        """Views given up since something was decided."""

    @property
    def timeout_ms(self) -> int:
        """How long to wait for progress now: doubled per failed view but the first, capped."""
        settings = self._core.settings
        doublings = min(max(self._failures - 1, 0), _DOUBLINGS_MAX)
        doubled = settings.view_change_timeout_ms << doublings
        return min(doubled, settings.view_change_timeout_max_ms)

    @property
    def deadline_ms(self) -> int | None:
        """When something here is due; None while we work in a view."""
        if self._core.is_active:
            return None
        may_change_view = self._core.may_change_view
        resend_ms = self._resend_ms if self._own is not None or may_change_view else None
        if self._quorum_ms is None or not may_change_view:
            return resend_ms
        due_ms = self._quorum_ms + self.timeout_ms
        return due_ms if resend_ms is None else min(resend_ms, due_ms)

    def leavers(self) -> set[ReplicaId]:
        """Return who has given up our view, as far as they told us."""
        return {r for r, change in self._wishes.items() if change.view > self._core.view}

    def note_progress(self) -> None:
        """Something was decided in the view: its primary works."""
        self._failures = 0

    def on_time(self) -> None:
        """Give up on a primary that does not open the view, or repeat our wish for it.

        A wish that we forgot cannot be repeated, and those who stay do not know that we left: so we
        ask for the view after it, once those who want that one too had the time to open it.
        """
        core = self._core
        if core.is_active:
            return
        is_timed = self._quorum_ms is not None and core.may_change_view
        if is_timed and core.now_ms >= (self._quorum_ms or 0) + self.timeout_ms:
            self.give_up(View(core.target_view + 1))
        elif core.now_ms >= self._resend_ms:
            if self._own is None:
                self.give_up(View(core.target_view + 1))
                return
            self._resend_ms = core.now_ms + core.settings.view_change_resend_ms
            core.out.broadcast(self._own)

    def give_up(self, view: View) -> None:
        """Stop working in the current view, and ask for ``view``."""
        core = self._core
        assert view > core.target_view, "views go up"
        if not core.may_change_view:
            return
        core.target_view = view
        self._failures += 1
        self._quorum_ms = None
        change = make_view_change(core, view)
        self._own = change.frame()
        core.out.persist(ViewChanged(self._own).to_bytes())
        core.out.broadcast(self._own)
        core.out.report(Verdict.VIEW_CHANGE, None, f"gave up view {core.view}, want {view}")
        self._resend_ms = core.now_ms + core.settings.view_change_resend_ms
        self._wishes[core.me] = change
        self.look_at_wishes()

    def keep_promise(self) -> None:
        """Work in no view below one that we once gave up, as somebody showed us.

        We want that view again, and do not sign a second VIEW-CHANGE for it: what the first one
        said is lost.
        """
        core = self._core
        epoch, view = core.guard.promised
        if epoch == core.epoch and view > core.target_view:
            core.target_view = view
            self._own = None
            self._quorum_ms = None
            self._resend_ms = core.now_ms + self.timeout_ms
            self.look_at_wishes()

    def view_change_of(self, replica: ReplicaId) -> ViewChange | None:
        """Return the latest VIEW-CHANGE of ``replica`` that we hold, perhaps in a NEW-VIEW."""
        wish = self._wishes.get(replica)
        if wish is not None:
            return wish
        return next((c for c in self._entered_changes if c.replica == replica), None)

    def on_view_change(self, sender: ReplicaId, change: ViewChange) -> Verdict:
        """Note that ``sender`` wants a view; follow if enough do, open it if it is ours."""
        core = self._core
        if change.replica != sender:
            return Verdict.BAD_VIEW_CHANGE
        if change.view <= core.view:
            self.send_new_view(sender)
            return Verdict.LATE
        before = self._wishes.get(sender)
        if before is not None and before.view >= change.view:
            self.look_at_wishes()
            return Verdict.DUPLICATE if before.view == change.view else Verdict.LATE
        if self._refused.get(sender) == change.view:
            return Verdict.LATE
        rejection = self._rules.reject_unproven(change)
        if rejection is not None:
            core.out.report(Verdict.BAD_VIEW_CHANGE, sender, rejection.value)
            return Verdict.BAD_VIEW_CHANGE
        self._wishes[sender] = change
        self.look_at_wishes()
        return Verdict.COUNTED

    def on_new_view(self, sender: ReplicaId, new_view: NewView, frame: bytes) -> Verdict:
        """Enter the view that its primary opened, if it did so rightly. Anybody may pass it on."""
        core = self._core
        if new_view.view == core.view and frame != self._entered_frame:
            self._compare(new_view)
        if new_view.view <= core.view or new_view.view < core.target_view:
            return Verdict.LATE
        rejection = self._rules.reject_new_view(new_view)
        if rejection is not None:
            core.out.report(Verdict.BAD_NEW_VIEW, sender, rejection.value)
            if sender == core.membership.primary(core.target_view) and not core.is_active:
                self.give_up(View(core.target_view + 1))
            return Verdict.BAD_NEW_VIEW
        for change in new_view.view_changes:
            core.recognise_view_change(change)
        if new_view.replica == core.me and core.loss is None:
            core.lose_memory(VoteLoss.OLD_COPY)  # Whoever opens a view is in it at once.
        self._enter(new_view, frame)
        return Verdict.ACCEPTED

    def _compare(self, other: NewView) -> None:
        """Look for proposals in another NEW-VIEW of our view that differ from those we know."""
        core = self._core
        if len(other.proposals) != sum(not choice.is_committed for choice in other.choices):
            return
        for vote in proposals_of(other):
            slot = core.log.slots.get(vote.seq)
            known = slot.proposal if slot is not None and slot.view == core.view else None
            if known is not None and known.digest != vote.digest and known.replica == vote.replica:
                accuse(core, known, vote)

    def send_new_view(self, to: ReplicaId) -> None:
        """Show a laggard the view we are in; not early, for we may have opened it this turn."""
        frame = self._entered_frame
        if frame is not None and self._core.may_answer(to, AnswerKind.NEW_VIEW):
            self._core.out.send(to, frame, Lane.SYNC)

    def look_at_wishes(self) -> None:
        """Join a view that a correct replica wants, time its primary, or open it ourselves."""
        core = self._core
        wanted = sorted((change.view for change in self._wishes.values()), reverse=True)
        if len(wanted) >= core.membership.weak_quorum:
            joined = wanted[core.membership.weak_quorum - 1]
            if joined > core.target_view:
                self.give_up(joined)
                return
            if joined == core.target_view and not core.is_active and self._own is None:
                self.give_up(View(joined + 1))
                return
        if core.is_active:
            return
        at_least = [w for w in self._wishes.values() if w.view >= core.target_view]
        if len(at_least) < core.membership.quorum:
            return
        if self._quorum_ms is None:
            self._quorum_ms = core.now_ms
        wishes = [w for w in at_least if w.view == core.target_view]
        if len(wishes) < core.membership.quorum:
            return
        if core.membership.primary(core.target_view) == core.me and core.may_change_view:
            self._open(wishes)

    def live_records(self) -> list[bytes]:
        """Return the records of the view we are in and of the one we want."""
        records = []
        if self._entered_frame is not None:
            records.append(ViewEntered(self._entered_frame).to_bytes())
        if self._own is not None:
            records.append(ViewChanged(self._own).to_bytes())
        return records

    def restore_view_change(self, frame: bytes) -> None:
        """Want again what we wanted in an earlier life."""
        core = self._core
        change = parse_view_change_frame(frame)
        if change.view > core.target_view:
            core.target_view = change.view
            core.guard.promise(change.epoch, change.view)
            self._own = frame
            self._wishes[core.me] = change

    def restore_entered(self, frame: bytes) -> NewView:
        """Be again in the view that an earlier life entered; its proposals come later."""
        core = self._core
        new_view = parse_new_view_frame(frame)
        core.view = new_view.view
        core.target_view = max(core.target_view, new_view.view)
        core.guard.promise(new_view.epoch, new_view.view)
        self._entered_frame, self._entered_changes = frame, new_view.view_changes
        if core.is_active:
            self._own = None
            self._wishes.pop(core.me, None)
        return new_view

    def reset(self) -> None:
        """Forget the views of the epoch before."""
        self._wishes.clear()
        self._refused.clear()
        self._own = None
        self._entered_frame, self._entered_changes = None, ()
        self._quorum_ms = None
        self._failures = 0

    def resume(self) -> None:
        """Repeat, after a restart, what may have been lost."""
        core = self._core
        if self._own is not None:
            self._resend_ms = core.now_ms + core.settings.view_change_resend_ms
            core.out.broadcast(self._own)

    @property
    def _rules(self) -> ViewRules:
        core = self._core
        return ViewRules(
            core.cluster_id,
            core.membership,
            core.epochs,
            core.signatures,
            core.log.window_size_seqs,
        )

    def _open(self, wishes: list[ViewChange]) -> None:
        """Send NEW-VIEW, once a quorum of the VIEW-CHANGEs is fully proven."""
        core = self._core
        proven = []
        for change in wishes:
            rejection = self._rules.reject_view_change(change)
            if rejection is None:
                proven.append(change)
            else:
                core.out.report(Verdict.BAD_VIEW_CHANGE, change.replica, rejection.value)
                del self._wishes[change.replica]
                self._refused[change.replica] = change.view
        if len(proven) < core.membership.quorum or self._wishes.get(core.me) not in proven:
            return
        plan = compute_new_view(proven, core.membership)
        if not self._may_open(plan):
            self.give_up(View(core.target_view + 1))
            return
        new_view = make_new_view(core, plan, proven)
        frame = new_view.frame()
        core.out.broadcast(frame)
        self._enter(new_view, frame)

    def _may_open(self, plan: NewViewPlan) -> bool:
        """Whether we can sign every proposal of ``plan``.

        Not if our window has moved above its start since we gave up the view before, nor if a
        torn log makes us forget the plan of an earlier life.
        """
        core = self._core
        return plan.stable >= core.log.low and all(
            choice.is_committed
            or core.guard.may_vote(
                VoteKind.PRE_PREPARE, core.epoch, plan.view, choice.seq, choice.digest
            )
            for choice in plan.choices
        )

    def _enter(self, new_view: NewView, frame: bytes) -> None:
        core = self._core
        core.out.persist(ViewEntered(frame).to_bytes())
        core.out.may_compact = True
        core.guard.promise(new_view.epoch, new_view.view)
        core.view = core.target_view = new_view.view
        core.view_entered_ms = core.now_ms
        self._entered_frame, self._entered_changes = frame, new_view.view_changes
        self._own = None
        self._quorum_ms = None
        self._wishes = {r: w for r, w in self._wishes.items() if w.view > new_view.view}
        core.out.report(Verdict.NEW_VIEW, new_view.replica, f"entered view {new_view.view}")
        core.pool.unpropose()
        if new_view.checkpoint is not None:
            self._checkpoints.on_certificate(new_view.checkpoint)
        self.place(new_view)
        self._normal_case.claim_decided()
        self._normal_case.advance_all()
        core.log.bodies.forget_others(core.primary)
        self._proposer.hand_over()

    def place(self, new_view: NewView) -> None:
        """Put the proposals of ``new_view`` where PRE-PREPAREs would have put them."""
        core = self._core
        core.view_floor = Seq(new_view.stable + len(new_view.choices))
        core.wanted.clear()
        for slot in core.log.slots.values():
            slot.enter(core.view, now_ms=core.now_ms)
        commits = {p.seq: p for p in new_view.proofs if isinstance(p, CommitCertificate)}
        proposals = {vote.seq: vote for vote in proposals_of(new_view)}
        for choice in new_view.choices:
            if not core.log.low < choice.seq <= core.log.high:
                continue
            slot = core.log.open(choice.seq, core.view, now_ms=core.now_ms)
            if choice.is_committed:
                self._normal_case.decide(slot, commits[choice.seq])
            else:
                slot.proposal = proposals[choice.seq]
                slot.reproposed = True
                slot.prepares.add_known(slot.proposal)

"""The replica: one event in, one Ready out. No clock, disk, network or randomness inside."""

from dataclasses import dataclass
from typing import assert_never

from bftcluster.ids import ClusterId, ReplicaId, Seq, View
from bftcluster.membership import Membership
from bftcluster.pbft.catch_up import CatchUp
from bftcluster.pbft.certificates import CheckpointCertificate
from bftcluster.pbft.checkpoints import Checkpoints
from bftcluster.pbft.core import LOSSES, Core, ReplicaOutbox, ReplicaPlace
from bftcluster.pbft.epochs import Epochs, EpochStart
from bftcluster.pbft.events import (
    Application,
    BatchesExecuted,
    EpochsLearned,
    Event,
    LogEntriesRead,
    MessageReceived,
    Recovered,
    ReplicaDeadlinePassed,
    RequestSubmitted,
)
from bftcluster.pbft.inbox import FrameInbox
from bftcluster.pbft.log import Log
from bftcluster.pbft.log_server import LogServer
from bftcluster.pbft.normal_case import NormalCase
from bftcluster.pbft.pool import RequestPool
from bftcluster.pbft.probation import Probation
from bftcluster.pbft.proposer import Proposer
from bftcluster.pbft.records import Started, VoteLoss
from bftcluster.pbft.recovery import live_records, restore
from bftcluster.pbft.settings import ReplicaSettings
from bftcluster.pbft.sign_guard import SignGuard
from bftcluster.pbft.signatures import Signatures
from bftcluster.pbft.stash import Stash
from bftcluster.pbft.steps import Lane, Ready
from bftcluster.pbft.suspicion import Suspicion
from bftcluster.pbft.throttle import Throttle
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pbft.view_change import ViewChanger
from bftcluster.signing.envelope import Signer, Verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Numbers for a status page."""

    pending_requests: int
    open_slots: int
    stashed_frames: int
    signatures_verified: int
    """Since the process started; cache hits are not counted."""


class Replica:
    """One replica of one cluster.

    Call ``start`` once, then ``step`` for each event, from one task; carry out each ``Ready`` in
    the order of its fields before the next step.
    """

    def __init__(
        self,
        *,
        me: ReplicaId,
        cluster_id: ClusterId,
        membership: Membership,
        signer: Signer,
        verifier: Verifier,
        application: Application,
        settings: ReplicaSettings,
        recovered: Recovered,
    ) -> None:
        """Rebuild the state that ``recovered`` describes.

        Raises:
            CorruptRecordError: The write-ahead log holds what this version does not understand.
        """
        self._core = _new_core(
            me, cluster_id, membership, signer, verifier, application, settings, recovered
        )
        self._decided = recovered.decided
        self._normal_case = NormalCase(self._core)
        self._checkpoints = Checkpoints(self._core)
        self._proposer = Proposer(self._core, self._normal_case)
        self._view_changer = ViewChanger(
            self._core, self._normal_case, self._checkpoints, self._proposer
        )
        self._suspicion = Suspicion(self._core, self._proposer, self._view_changer)
        self._catch_up = CatchUp(
            self._core, self._normal_case, self._checkpoints, self._view_changer
        )
        self._followers = LogServer(self._core)
        self._checkpoints.learn(recovered.learned)
        restore(self._core, self._checkpoints, self._view_changer, recovered)
        if not recovered.records:
            self._core.out.persist(Started(cluster_id, me).to_bytes())
            self._core.lose_memory(VoteLoss.NO_LOG)
        stash = Stash()
        self._probation = Probation(self._core, self._checkpoints, self._view_changer, stash)
        self._inbox = FrameInbox(
            core=self._core,
            normal_case=self._normal_case,
            checkpoints=self._checkpoints,
            proposer=self._proposer,
            view_changer=self._view_changer,
            suspicion=self._suspicion,
            catch_up=self._catch_up,
            followers=self._followers,
            probation=self._probation,
            stash=stash,
        )

    @property
    def me(self) -> ReplicaId:
        """Who we are."""
        return self._core.me

    @property
    def membership(self) -> Membership:
        """Who votes now."""
        return self._core.membership

    @property
    def view(self) -> View:
        """The last view we entered."""
        return self._core.view

    @property
    def is_active(self) -> bool:
        """Whether we work in that view, rather than look for the next."""
        return self._core.is_active

    @property
    def primary(self) -> ReplicaId:
        """Who proposes in that view."""
        return self._core.primary

    @property
    def silence(self) -> str:
        """Why we do not vote, and until when, for people; empty if no vote of ours is lost."""
        core = self._core
        if core.loss is None:
            return ""
        until = (
            f"slot {core.silent_until} is settled"
            if core.silent_until
            else ("as many others as a quorum have said how far our votes may reach")
        )
        return f"votes are lost: {LOSSES[core.loss]}; silent until {until}"

    @property
    def last_decided(self) -> Seq:
        """Everything up to here was handed out."""
        return self._core.decided

    @property
    def last_executed(self) -> Seq:
        """Everything up to here was executed."""
        return self._core.executed

    @property
    def stable(self) -> Seq:
        """The last stable checkpoint."""
        return self._core.log.low

    @property
    def stable_certificate(self) -> CheckpointCertificate | None:
        """The proof of the last stable checkpoint; None before the first."""
        return self._core.stable

    @property
    def latest_membership(self) -> Membership:
        """Who votes in the last epoch that we know of, which may be yet to come."""
        return self._core.epochs.latest()

    @property
    def is_lost(self) -> bool:
        """Whether we hear nobody whom we believe to vote: they may have left long ago."""
        return self._catch_up.is_lost

    @property
    def stats(self) -> Stats:
        """Return the numbers of now."""
        return Stats(
            pending_requests=len(self._core.pool),
            open_slots=len(self._core.log.slots),
            stashed_frames=self._inbox.stashed,
            signatures_verified=self._core.signatures.verified,
        )

    def live_records(self) -> list[bytes]:
        """Return records that recover the present state: what a compacted log must hold."""
        return live_records(self._core, self._view_changer)

    def start(self, *, now_ms: int, wall_ms: int) -> Ready:
        """Begin, after recovery: say where we are, and repeat the votes that may be lost."""
        core = self._core
        core.now_ms = core.progress_ms = core.executed_ms = core.view_entered_ms = now_ms
        core.wall_ms = wall_ms
        for digest, decided_ms in self._decided.items():
            core.pool.remember(digest, now_ms - max(0, wall_ms - decided_ms))
        self._probation.begin()
        for seq in sorted(core.log.slots):
            self._normal_case.resume(core.log.slots[seq])
            if seq > core.executed:
                for vote in self._catch_up.votes_at(seq):
                    core.out.broadcast(vote.frame(), Lane.SYNC)
        self._view_changer.resume()
        for vote in self._checkpoints.pending_votes(core.log.low):
            core.out.broadcast(vote.frame(), Lane.SYNC)
        return self._finish()

    def step(self, *events: Event, now_ms: int, wall_ms: int) -> Ready:
        """Take what happened since the last step, in order.

        What arrived is handled before what is due, so that a decision that came in time is never
        overtaken by a timeout of the same instant. Proposals come last of all: requests that
        arrived together are ordered together.

        Args:
            events: What happened; nothing but time, if there are none.
            now_ms: A monotonic clock, for timers.
            wall_ms: Unix time, only to stamp and to judge proposals.
        """
        core = self._core
        assert now_ms >= core.now_ms, "the clock is monotonic"
        if core.halt is not None:
            return core.out.flush((), now_ms + core.settings.status_interval_ms, core.halt)
        core.now_ms = now_ms
        core.wall_ms = wall_ms
        for event in events:
            self._take(event)
        return self._finish()

    def _take(self, event: Event) -> None:
        core = self._core
        if core.halt is not None:
            return
        decided_before, place_before = core.decided, core.place
        self._hand_on(event)
        if core.decided != decided_before and core.is_active:
            self._view_changer.note_progress()
        self._catch_up_with(place_before)

    def _hand_on(self, event: Event) -> None:
        core = self._core
        match event:
            case MessageReceived(sender=sender, frame=frame):
                self._inbox.receive(sender, frame)
            case RequestSubmitted(request=request):
                verdict = self._proposer.submit(request)
                if verdict in (Verdict.INADMISSIBLE, Verdict.POOL_FULL):
                    core.out.report(verdict, None, "a request of our own client")
            case ReplicaDeadlinePassed():
                pass
            case BatchesExecuted(seq=seq, state_root=root, next_membership=next_membership):
                core.wants_batches, core.due_ms = event.wants_batches, event.due_ms
                core.executed_ms = core.now_ms
                self._checkpoints.on_executed(seq, root, next_membership)
                self._normal_case.on_executed()
                self._catch_up.fetch_if_behind()
            case EpochsLearned(starts=starts):
                self._checkpoints.learn(starts)
            case LogEntriesRead(to=to, entries=entries):
                self._followers.on_log_read(to, entries)
            case _:
                assert_never(event)

    def _catch_up_with(self, before: ReplicaPlace) -> None:
        """Do what is owed where we are now: whatever did not fit the place that we have left."""
        core = self._core
        while (place := core.place) != before:
            was, before = before, place
            if place.epoch != was.epoch:
                self._view_changer.reset()
                core.pool.unpropose()
                core.log.bodies.forget_others(core.primary)
                self._proposer.hand_over()
            self._inbox.look_again()
            if was.is_silent and not core.is_silent:
                self._normal_case.advance_all()
            self._view_changer.look_at_wishes()
            self._checkpoints.go_on()
            self._catch_up.fetch_if_behind()

    def _finish(self) -> Ready:
        """Do what is due, and what has become possible; then hand everything out."""
        core = self._core
        place_before = core.place
        self._suspicion.on_time()
        self._view_changer.on_time()
        self._probation.on_time()
        self._checkpoints.go_on()
        self._catch_up_with(place_before)
        self._proposer.give()
        self._proposer.propose_what_fits()
        if core.is_silent and self._catch_up.is_status_due:
            self._probation.ask()
        self._catch_up.on_time()
        self._followers.look_after()
        deadline_ms = min(self._catch_up.deadline_ms, self._suspicion.deadline_ms)
        for due_ms in (
            self._proposer.deadline_ms,
            self._view_changer.deadline_ms,
            self._followers.deadline_ms,
        ):
            if due_ms is not None and due_ms < deadline_ms:
                deadline_ms = due_ms
        if core.halt is not None:
            core.out.keep_reports_only()
        return core.out.flush(core.voters, max(deadline_ms, core.now_ms + 1), core.halt)


def _new_core(
    me: ReplicaId,
    cluster_id: ClusterId,
    membership: Membership,
    signer: Signer,
    verifier: Verifier,
    application: Application,
    settings: ReplicaSettings,
    recovered: Recovered,
) -> Core:
    """Return the state that the parts of a replica share, as it is before its log is read."""
    starts = recovered.epochs or (EpochStart(Seq(1), membership),)
    epochs = Epochs(starts)
    signatures = Signatures(cluster_id=cluster_id, verifier=verifier)
    out = ReplicaOutbox()
    pool = RequestPool(
        name=application.name,
        me=me,
        requests_max=settings.pool_requests_max,
        size_max_bytes=settings.pool_size_max_bytes,
    )
    pool.seat(epochs.of(Seq(1)).replicas)
    return Core(
        me=me,
        cluster_id=cluster_id,
        membership=epochs.of(Seq(1)),
        epochs=epochs,
        settings=settings,
        application=application,
        signatures=signatures,
        guard=SignGuard(
            me=me,
            signer=signer,
            signatures=signatures,
            persist=out.persist,
        ),
        out=out,
        throttle=Throttle(period_ms=settings.status_interval_ms // 2),
        log=Log(window_size_seqs=settings.window_seqs),
        pool=pool,
        executed=recovered.executed,
        decided=recovered.executed,
        timestamp_ms=recovered.timestamp_ms,
        wants_batches=recovered.wants_batches,
        due_ms=recovered.due_ms,
    )

"""The state that all parts of a replica share, and the outbox for what it wants done."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from bftcluster.ids import ClusterId, Digest, Epoch, ReplicaId, Seq, View
from bftcluster.limits import HEARD_MAX
from bftcluster.membership import Membership
from bftcluster.pbft import steps
from bftcluster.pbft.certificates import CheckpointCertificate
from bftcluster.pbft.epochs import Epochs
from bftcluster.pbft.events import Application
from bftcluster.pbft.log import Log
from bftcluster.pbft.messages import Status
from bftcluster.pbft.pool import RequestPool
from bftcluster.pbft.records import Promised, Silenced, VoteLoss
from bftcluster.pbft.settings import ReplicaSettings
from bftcluster.pbft.sign_guard import SignGuard
from bftcluster.pbft.signatures import Signatures
from bftcluster.pbft.steps import Lane, Ready
from bftcluster.pbft.throttle import AnswerKind, Throttle
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pbft.view_messages import ViewChange
from bftcluster.pbft.votes import Vote
from bftcluster.signing.envelope import Domain


class ReplicaPlace(NamedTuple):
    """The epoch, view and window that a replica is in: they decide what it takes and may say."""

    epoch: Epoch
    view: View
    low: Seq
    high: Seq
    is_silent: bool


Claimed: TypeAlias = tuple[Epoch, View, Seq]
"""What a status says that is durable: epoch, target view and stable checkpoint, in this order."""

LOSSES: Final = {
    VoteLoss.NO_LOG: "there was no log of votes",
    VoteLoss.OLD_COPY: "others know more of us than we do, as if an older copy had been restored",
}


class ReplicaOutbox:
    """Collects what a replica wants done, until it is handed out."""

    __slots__ = (
        "decided",
        "early",
        "epochs_from",
        "evidence",
        "log_reads",
        "may_compact",
        "messages",
        "records",
        "reports",
        "state_transfer",
    )

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        """Hold nothing. Not in ``__init__``: compiled, that never lets go of what was there."""
        self.early: list[steps.Outbound] = []
        self.records: list[bytes] = []
        self.messages: list[steps.Outbound] = []
        self.decided: list[steps.Decided] = []
        self.log_reads: list[steps.ReadLog] = []
        self.may_compact = False
        self.reports: list[steps.Notice] = []
        self.evidence: list[bytes] = []
        self.state_transfer: steps.StartStateTransfer | None = None
        self.epochs_from: list[ReplicaId] = []

    def persist(self, record: bytes) -> None:
        """Have ``record`` durable before any message of this step leaves."""
        self.records.append(record)

    def broadcast(self, frame: bytes, lane: Lane = Lane.CONSENSUS) -> None:
        """Send ``frame`` to all other voters once the records are durable."""
        self.messages.append(steps.Outbound(None, lane, frame))

    def send(self, to: ReplicaId, frame: bytes, lane: Lane = Lane.CONSENSUS) -> None:
        """Send ``frame`` to one once the records are durable."""
        self.messages.append(steps.Outbound(to, lane, frame))

    def send_early(self, to: ReplicaId | None, frame: bytes, lane: Lane) -> None:
        """Send ``frame``, which holds no vote, at once."""
        self.early.append(steps.Outbound(to, lane, frame))

    def ask_epochs(self, of: ReplicaId) -> None:
        """Have a peer asked to prove who votes in the epochs that we do not know."""
        if of not in self.epochs_from:
            self.epochs_from.append(of)

    def report(self, verdict: Verdict, peer: ReplicaId | None, detail: str) -> None:
        """Tell the operator."""
        self.reports.append(steps.Notice(verdict=verdict, peer=peer, detail=detail))

    def keep_reports_only(self) -> None:
        """Say nothing more to anybody: we have stopped."""
        reports, evidence = self.reports, self.evidence
        self._begin()
        self.reports, self.evidence = reports, evidence

    def flush(
        self, voters: tuple[ReplicaId, ...], deadline_ms: int, halt: steps.Halt | None
    ) -> Ready:
        """Return everything collected, in the order in which it is to be done, and start anew."""
        to_do: list[steps.Step] = []
        if self.early:
            to_do.append(steps.Send(tuple(self.early), voters))
        if self.records:
            to_do.append(steps.Append(tuple(self.records)))
        if self.messages:
            to_do.append(steps.Send(tuple(self.messages), voters))
        to_do += self.decided
        to_do += self.log_reads
        if self.state_transfer is not None:
            to_do.append(self.state_transfer)
        to_do += map(steps.FetchEpochs, self.epochs_from)
        to_do += self.reports
        to_do += map(steps.KeepEvidence, self.evidence)
        if halt is not None:
            to_do.append(halt)
        if self.may_compact:
            to_do.append(steps.Compact())
        self._begin()
        return Ready(tuple(to_do), deadline_ms)


@dataclass(slots=True, kw_only=True)
class Core:
    """The state that every part of a replica reads, and its owner writes."""

    me: ReplicaId
    cluster_id: ClusterId
    membership: Membership
    """Who votes in the current epoch."""
    epochs: Epochs
    settings: ReplicaSettings
    application: Application
    signatures: Signatures
    guard: SignGuard
    out: ReplicaOutbox
    throttle: Throttle
    log: Log
    pool: RequestPool
    executed: Seq
    """The executor has made everything up to here durable."""
    decided: Seq
    """We have handed out everything up to here."""
    timestamp_ms: int
    """Of the last batch decided that was not null."""
    wants_batches: bool
    """Whether the executed state has work that moves on with the batches."""
    due_ms: int | None
    """At what time of a batch it has something to do."""
    view: View = field(default=View(0))
    """The view whose votes count."""
    target_view: View = field(default=View(0))
    """The view we want to be in; higher than ``view`` during a view change."""
    view_floor: Seq = field(default=Seq(0))
    """The current view's NEW-VIEW decided about everything up to here: no fresh proposals."""
    stable: CheckpointCertificate | None = None
    """Proof of the low watermark; None at genesis."""
    now_ms: int = 0
    wall_ms: int = 0
    progress_ms: int = 0
    """When something was decided last."""
    executed_ms: int = 0
    """When something was executed last."""
    certified: Seq = field(default=Seq(0))
    """Some quorum certified the state here: voting below is of no use to anybody."""
    is_silent: bool = True
    """We have just started, and peers have not yet confirmed that we forgot no vote."""
    silent_until: Seq = field(default=Seq(0))
    """We did forget votes, up to here at most: we follow, and do not vote below."""
    loss: VoteLoss | None = None
    """Why votes of ours are missing; None if none are, or once it cannot matter any more."""
    view_entered_ms: int = 0
    halt: steps.Halt | None = None
    """Why we have stopped for good."""
    accused: set[ReplicaId] = field(default_factory=set)
    """Members against whom evidence was made: one piece each is enough."""
    heard: dict[ReplicaId, tuple[Status, int]] = field(default_factory=dict)
    """The last status of whomever the transport lets in, and when it came. Who votes by now may be
    nobody whom we know as a member: what proves itself may come from any of them."""
    peers: dict[ReplicaId, Status] = field(default_factory=dict)
    """The last status of each other member."""
    heard_ms: dict[ReplicaId, int] = field(default_factory=dict)
    """When it came."""
    furthest: dict[ReplicaId, Claimed] = field(default_factory=dict)
    """The furthest that each other member ever said it was: what it durably knew then."""
    wanted: dict[Digest, Seq] = field(default_factory=dict)
    """Batches that some slot waits for."""

    def hear(self, replica: ReplicaId, status: Status) -> None:
        """Note where somebody is: every member, and of the others those heard most recently."""
        self.heard.pop(replica, None)
        self.heard[replica] = (status, self.now_ms)
        if replica in self.membership.replicas:
            self.peers[replica] = status
            self.heard_ms[replica] = self.now_ms
            said = (status.epoch, status.target_view, status.stable)
            self.furthest[replica] = max(said, self.furthest.get(replica, said))
        elif len(self.heard) > HEARD_MAX + self.membership.n:
            members = self.membership.replicas
            del self.heard[next(each for each in self.heard if each not in members)]

    def may_answer(self, peer: ReplicaId, answer: AnswerKind, *, count_max: int = 1) -> bool:
        """Whether ``peer`` has not had too many of these answers lately."""
        return self.throttle.grants(peer, answer, now_ms=self.now_ms, count_max=count_max)

    @property
    def is_idle(self) -> bool:
        """Whether we have executed all we know to be decided: the executed state is the latest."""
        return self.executed == self.decided

    def stop(self, reason: steps.HaltReason, *exhibits: bytes) -> None:
        """Stop for good: more than f replicas are faulty, and any further vote could harm."""
        if self.halt is None:
            self.halt = steps.Halt(reason, exhibits)
            self.out.report(Verdict.HALTED, None, reason.value)

    def may_vote(self, seq: Seq) -> bool:
        """Whether our vote at ``seq`` is wanted, and cannot contradict one we forgot."""
        if self.is_silent or not self.is_active or not self.is_member:
            return False
        if self.guard.promised > (self.epoch, self.view):
            return False
        return seq > self.silent_until and seq > self.certified

    @property
    def may_change_view(self) -> bool:
        """Whether we know all we ever prepared above our stable checkpoint, and keep promises."""
        is_sure = not self.is_silent and self.log.low >= self.silent_until
        is_kept = self.guard.promised <= (self.epoch, self.target_view)
        return is_sure and self.is_member and is_kept

    def lose_memory(self, loss: VoteLoss) -> None:
        """Votes of ours are gone: be silent from now on, in later lives too."""
        if self.loss is not None and self.is_silent and not self.silent_until:
            return
        self.loss = loss
        self.is_silent = True
        self.silent_until = Seq(0)
        self.out.persist(Silenced(self.silent_until, loss).to_bytes())
        self.out.report(Verdict.SILENT, None, f"votes of ours are lost: {LOSSES[loss]}")

    def recognise(self, vote: Vote) -> bool:
        """Look at a vote that is said to be ours: one that we do not know proves a loss.

        Return whether it does.
        """
        assert vote.replica == self.me, "it is said to be ours"
        if vote.epoch < self.epoch or vote.seq <= max(self.log.low, self.silent_until):
            return False  # It is under a stable checkpoint, or a recovery has made it void.
        known = self.guard.past_vote(vote.kind, vote.epoch, vote.view, vote.seq)
        if known is not None or not self.signatures.is_genuine(vote):
            return False
        self.lose_memory(VoteLoss.OLD_COPY)
        return True

    def recognise_view_change(self, change: ViewChange) -> None:
        """Likewise, and keep the promise that it made from now on."""
        if change.replica != self.me or (change.epoch, change.view) <= self.guard.promised:
            return
        payload = change.payload(self.cluster_id)
        if self.signatures.is_signed(Domain.VIEW_CHANGE, self.me, payload, change.signature):
            if self.loss is None:
                self.lose_memory(VoteLoss.OLD_COPY)
            self.promise(change.epoch, change.view)

    def promise(self, epoch: Epoch, view: View) -> None:
        """Vote in no view before this one, for we gave those up: now we know it again."""
        if (epoch, view) > self.guard.promised:
            self.guard.promise(epoch, view)
            self.out.persist(Promised(epoch, view).to_bytes())

    @property
    def is_member(self) -> bool:
        """Whether we vote in this epoch, rather than only follow."""
        return self.me in self.membership.replicas

    def status(self) -> Status:
        """Return where we are, for others."""
        return Status(
            self.epoch, self.view, self.target_view, self.log.low, self.decided, self.executed
        )

    def note_decided_view(self, epoch: Epoch, view: View) -> None:
        """Follow the view in which something was decided, if we do not vote.

        We hear no NEW-VIEW then, and our clients' requests are for the primary of now.
        """
        if not self.is_member and epoch == self.epoch and view > self.target_view:
            self.view = self.target_view = view
            self.view_entered_ms = self.now_ms

    @property
    def is_concerned(self) -> bool:
        """Whether the others count us among the voters: see ``Send.voters``."""
        return self.me in self.epochs.around(self.log.low, self.settings.checkpoint_interval_seqs)

    @property
    def voters(self) -> tuple[ReplicaId, ...]:
        """Return who hears what we say to all: see ``Send.voters``."""
        interval = self.settings.checkpoint_interval_seqs
        return tuple(r for r in self.epochs.around(self.log.low, interval) if r != self.me)

    @property
    def place(self) -> ReplicaPlace:
        """Return where we are."""
        return ReplicaPlace(self.epoch, self.view, self.log.low, self.log.high, self.is_silent)

    def begin_epoch(self, membership: Membership) -> None:
        """Let ``membership`` vote from here on: the last epoch's last checkpoint is stable."""
        assert membership.epoch > self.epoch, "epochs count up"
        self.membership = membership
        self.pool.seat(membership.replicas)
        self.view = self.target_view = View(0)
        self.view_floor = self.log.low
        self.view_entered_ms = self.progress_ms = self.now_ms
        self.accused.clear()
        members = [replica for replica in membership.replicas if replica in self.heard]
        self.peers = {replica: self.heard[replica][0] for replica in members}
        self.heard_ms = {replica: self.heard[replica][1] for replica in members}
        self.furthest = {r: at for r, at in self.furthest.items() if r in membership.replicas}
        self.guard.promise(membership.epoch, View(0))
        self.out.report(Verdict.NEW_EPOCH, None, f"epoch {membership.epoch} begins")

    @property
    def epoch(self) -> Epoch:
        """The epoch whose votes count."""
        return self.membership.epoch

    @property
    def is_active(self) -> bool:
        """Whether we work in a view, rather than change it. Derived, so it cannot get stuck."""
        return self.view == self.target_view

    @property
    def primary(self) -> ReplicaId:
        """Who proposes in the current view."""
        return self.membership.primary(self.view)

    @property
    def is_primary(self) -> bool:
        """Whether it is us, and now."""
        return self.is_active and self.primary == self.me

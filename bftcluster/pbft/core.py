"""What the parts of a replica share: who we are, where we are, and what we are about to say."""

from dataclasses import dataclass, field
from typing import TypeAlias

from bftcluster.ids import ClusterId, Digest, Epoch, ReplicaId, Seq, View
from bftcluster.membership import Membership
from bftcluster.pbft.certificates import CheckpointCertificate
from bftcluster.pbft.epochs import Epochs
from bftcluster.pbft.events import (
    Application,
    Decided,
    Halt,
    HaltReason,
    Lane,
    LogReadRequest,
    Outbound,
    Ready,
    StateFetch,
)
from bftcluster.pbft.log import Log
from bftcluster.pbft.messages import Status
from bftcluster.pbft.pool import RequestPool
from bftcluster.pbft.settings import Settings
from bftcluster.pbft.sign_guard import SignGuard
from bftcluster.pbft.signatures import Signatures
from bftcluster.pbft.throttle import Answer, Throttle
from bftcluster.pbft.verdicts import Report, Verdict

Place: TypeAlias = tuple[Epoch, View, Seq, Seq]
"""Where a replica is: epoch, view, low and high watermark. What it can take depends on it."""


class Outbox:
    """Collects the effects of one step, in the order of ``Ready``."""

    __slots__ = (
        "decided",
        "early",
        "epochs_from",
        "evidence",
        "log_reads",
        "messages",
        "records",
        "reports",
        "state_fetch",
        "truncate_to",
    )

    def __init__(self) -> None:
        self.early: list[Outbound] = []
        self.records: list[bytes] = []
        self.messages: list[Outbound] = []
        self.decided: list[Decided] = []
        self.log_reads: list[LogReadRequest] = []
        self.truncate_to: Seq | None = None
        self.reports: list[Report] = []
        self.evidence: list[bytes] = []
        self.state_fetch: StateFetch | None = None
        self.epochs_from: ReplicaId | None = None

    def persist(self, record: bytes) -> None:
        """Have ``record`` durable before any message of this step leaves."""
        self.records.append(record)

    def broadcast(self, frame: bytes, lane: Lane = Lane.CONSENSUS) -> None:
        """Send ``frame`` to all others once the records are durable."""
        self.messages.append(Outbound(None, lane, frame))

    def send(self, to: ReplicaId, frame: bytes, lane: Lane = Lane.CONSENSUS) -> None:
        """Send ``frame`` to one once the records are durable."""
        self.messages.append(Outbound(to, lane, frame))

    def send_early(self, to: ReplicaId | None, frame: bytes, lane: Lane) -> None:
        """Send ``frame``, which holds no vote, at once."""
        self.early.append(Outbound(to, lane, frame))

    def report(self, verdict: Verdict, peer: ReplicaId | None, detail: str) -> None:
        """Tell the operator."""
        self.reports.append(Report(verdict=verdict, peer=peer, detail=detail))

    def keep_reports_only(self) -> None:
        """Say nothing more to anybody: we have stopped."""
        reports, evidence = self.reports, self.evidence
        self.__init__()  # type: ignore[misc]
        self.reports, self.evidence = reports, evidence

    def flush(self, deadline_ms: int, halt: Halt | None) -> Ready:
        """Return everything collected, and start anew."""
        ready = Ready(
            early=tuple(self.early),
            records=tuple(self.records),
            messages=tuple(self.messages),
            decided=tuple(self.decided),
            log_reads=tuple(self.log_reads),
            truncate_to=self.truncate_to,
            deadline_ms=deadline_ms,
            reports=tuple(self.reports),
            evidence=tuple(self.evidence),
            state_fetch=self.state_fetch,
            epochs_from=self.epochs_from,
            halt=halt,
        )
        self.__init__()  # type: ignore[misc]
        return ready


@dataclass(slots=True, kw_only=True)
class Core:
    """The state that every part of a replica reads, and its owner writes."""

    me: ReplicaId
    cluster_id: ClusterId
    membership: Membership
    """Who votes in the current epoch."""
    epochs: Epochs
    settings: Settings
    application: Application
    signatures: Signatures
    guard: SignGuard
    out: Outbox
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
    certified: Seq = field(default=Seq(0))
    """Some quorum certified the state here: voting below is of no use to anybody."""
    is_silent: bool = True
    """We have just started, and peers have not yet confirmed that we forgot no vote."""
    silent_until: Seq = field(default=Seq(0))
    """We did forget votes, up to here at most: we follow, and do not vote below."""
    view_entered_ms: int = 0
    halt: Halt | None = None
    """Why we have stopped for good."""
    accused: set[ReplicaId] = field(default_factory=set)
    """Members against whom evidence was made: one piece each is enough."""
    peers: dict[ReplicaId, Status] = field(default_factory=dict)
    """The last status of each other member."""
    heard_ms: dict[ReplicaId, int] = field(default_factory=dict)
    """When it came."""
    wanted: dict[Digest, Seq] = field(default_factory=dict)
    """Batches that some slot waits for."""

    def may_answer(self, peer: ReplicaId, answer: Answer, *, count_max: int = 1) -> bool:
        """Whether ``peer`` has not had too many of these answers lately."""
        return self.throttle.grants(peer, answer, now_ms=self.now_ms, count_max=count_max)

    def stop(self, reason: HaltReason, *exhibits: bytes) -> None:
        """Stop for good: more than f replicas are faulty, and any further vote could harm."""
        if self.halt is None:
            self.halt = Halt(reason, exhibits)
            self.out.report(Verdict.HALTED, None, reason.value)

    def may_vote(self, seq: Seq) -> bool:
        """Whether our vote at ``seq`` is wanted, and cannot contradict one we forgot."""
        if self.is_silent or not self.is_active or not self.is_member:
            return False
        return seq > self.silent_until and seq > self.certified

    @property
    def may_change_view(self) -> bool:
        """Whether we know everything we ever prepared above our stable checkpoint."""
        is_sure = not self.is_silent and self.log.low >= self.silent_until
        return is_sure and self.is_member

    @property
    def is_member(self) -> bool:
        """Whether we vote in this epoch, rather than only follow."""
        return self.me in self.membership.replicas

    @property
    def place(self) -> Place:
        """Return where we are."""
        return (self.epoch, self.view, self.log.low, self.log.high)

    def begin_epoch(self, membership: Membership) -> None:
        """Let ``membership`` vote from here on: the last epoch's last checkpoint is stable."""
        assert membership.epoch > self.epoch, "epochs count up"
        self.membership = membership
        self.view = self.target_view = View(0)
        self.view_floor = self.log.low
        self.view_entered_ms = self.progress_ms = self.now_ms
        self.accused.clear()
        self.peers = {r: s for r, s in self.peers.items() if r in membership.replicas}
        self.heard_ms = {r: at for r, at in self.heard_ms.items() if r in membership.replicas}
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

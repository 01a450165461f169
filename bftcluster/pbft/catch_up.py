"""Tells the others how far this replica is, hears how far they are, and fetches what it missed.

Nothing is resent on a hunch: a periodic status tells peers what we have, and a peer whose status
stands still while ours does not is sent our votes again. One who lags by whole batches asks for
log entries, whose commit certificates need no trust in the source; one who lags by many, or by
more than anybody's log, has the state of a certified checkpoint fetched.
"""

from dataclasses import dataclass, field

from bftcluster.errors import ClusterError
from bftcluster.ids import ReplicaId, Seq
from bftcluster.limits import BACKLOG_FETCHES_MAX, LOST_STATUSES, STATE_HELPERS_MAX
from bftcluster.pbft.batches import Batch
from bftcluster.pbft.body_asker import BodyAsker
from bftcluster.pbft.certificates import (
    CommitCertificate,
    check_certificate,
)
from bftcluster.pbft.checkpoints import Checkpoints
from bftcluster.pbft.core import Core
from bftcluster.pbft.follower import Follower
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import (
    Body,
    Entries,
    FetchEntries,
    LogEntry,
    StableCheckpoint,
    Status,
)
from bftcluster.pbft.normal_case import NormalCase
from bftcluster.pbft.steps import Lane, Outbound, StartStateTransfer
from bftcluster.pbft.throttle import AnswerKind
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pbft.view_change import ViewChanger
from bftcluster.pbft.votes import Vote, VoteKind


@dataclass(frozen=True, slots=True)
class _Fetch:
    source: ReplicaId
    first: Seq
    deadline_ms: int


@dataclass(slots=True, eq=False, repr=False)
class CatchUp:
    """Statuses, retransmission, and fetching what we missed."""

    _core: Core
    _normal_case: NormalCase
    _checkpoints: Checkpoints
    _view_changer: ViewChanger
    _following: Follower = field(init=False)
    _body_asker: BodyAsker = field(init=False)
    _status_said_ms: int | None = None
    _started_ms: int = 0
    _fetch: _Fetch | None = None
    _refused: set[ReplicaId] = field(default_factory=set)
    """Sources whose log does not reach back to where we are, in this round of asking."""
    _late: set[ReplicaId] = field(default_factory=set)
    """Those that let us wait in vain in this round: dead, or liars."""
    _is_log_gone: bool = False
    """Nobody who was asked had the entries that we need, and nobody sent any since."""
    _state_asked: Seq = field(default=Seq(0))
    """The state we asked the shell to fetch, and when."""
    _state_asked_ms: int = 0

    def __post_init__(self) -> None:
        self._following = Follower(self._core)
        self._body_asker = BodyAsker(self._core)

    @property
    def deadline_ms(self) -> int:
        """When something here is due."""
        due_ms = self._status_due_ms
        if self._fetch is not None:
            due_ms = min(due_ms, self._fetch.deadline_ms)
        elif self._following.deadline_ms is not None and not self._has_backlog:
            due_ms = min(due_ms, self._following.deadline_ms)
        if self._body_asker.deadline_ms is not None:
            due_ms = min(due_ms, self._body_asker.deadline_ms)
        return due_ms

    @property
    def is_status_due(self) -> bool:
        """Whether everybody is about to hear from us."""
        return self._core.now_ms >= self._status_due_ms

    def on_time(self) -> None:
        """Do what is due."""
        core = self._core
        if core.now_ms >= self._status_due_ms:
            if self._status_said_ms is None:
                self._started_ms = core.now_ms
            self._status_said_ms = core.now_ms
            self._say_where_we_are()
            if self._fetch is None:
                self._refused.clear()
                self._late.clear()
        if self._fetch is not None and core.now_ms >= self._fetch.deadline_ms:
            late = self._fetch.source
            self._late.add(late)
            self._fetch = None
            self.fetch_if_behind(after=late)
        self._following.go_on(is_busy=self._fetch is not None or self._has_backlog)
        self._body_asker.on_time()
        self._fetch_state()

    @property
    def _status_due_ms(self) -> int:
        """When to say where we are: seldom, if we do not vote and nobody waits for us."""
        core = self._core
        if self._status_said_ms is None:
            return core.now_ms  # The first one.
        settings = core.settings
        wait_ms = settings.follow_compare_ms if self._is_content else settings.status_interval_ms
        return self._status_said_ms + wait_ms

    @property
    def _is_content(self) -> bool:
        """Whether all that we want to know is what comes next, which our source will tell us."""
        core = self._core
        if core.is_concerned or core.is_silent or self._fetch is not None or self._is_log_gone:
            return False
        return self._following.is_served and not self._checkpoints.hints.seq

    def _say_where_we_are(self) -> None:
        """Tell all voters, and everybody if we hear none; or see by it if our source withholds."""
        witness = self._following.witness() if self._is_content else None
        if witness is not None:
            self._say_status(witness)
        else:
            self._say_status(None, beyond_voters=self.is_lost)

    @property
    def is_lost(self) -> bool:
        """Whether we hear nobody whom we believe to vote: they may have left long ago."""
        core = self._core
        last_ms = max(self._started_ms, self._following.served_ms)
        if self._following.is_served:  # Our source may hold the next question for so long.
            last_ms += core.settings.follow_hold_ms
        for voter in core.voters:
            if (heard := core.heard.get(voter)) is not None:
                last_ms = max(last_ms, heard[1])
        return core.now_ms - last_ms > LOST_STATUSES * core.settings.status_interval_ms

    def _say_status(self, to: ReplicaId | None, *, beyond_voters: bool = False) -> None:
        """Say where we are, once that is durable: others tell us of it if we forget it."""
        frame = self._core.status().frame()
        self._core.out.messages.append(Outbound(to, Lane.SYNC, frame, beyond_voters))

    def on_status(self, sender: ReplicaId, status: Status) -> Verdict:
        """Help a peer that stands still, and notice when it is us."""
        core = self._core
        before = self._status_of(sender)
        core.hear(sender, status)
        self._following.on_status(sender)
        self._checkpoints.hints.on_status(sender, status)
        if status.executed > core.decided and (before is None or before.executed > core.decided):
            self.fetch_if_behind()
        if status.decided < core.decided:
            self._tell(sender)
        has_stood = before is not None and before.stable == status.stable
        if has_stood and core.may_answer(sender, AnswerKind.CHECKPOINT):
            self._resend_checkpoint(sender, status)
        if sender not in core.membership.replicas:
            return Verdict.ACCEPTED
        if status.view < core.view:
            self._view_changer.send_new_view(sender)
        if before is not None and before.decided == status.decided:
            self._resend_votes(sender, status)
        return Verdict.ACCEPTED

    def _status_of(self, replica: ReplicaId) -> Status | None:
        heard = self._core.heard.get(replica)
        return None if heard is None else heard[0]

    def _tell(self, peer: ReplicaId) -> None:
        """Let a lagging peer know that we are ahead, so that it can ask."""
        if self._core.may_answer(peer, AnswerKind.STATUS):
            self._say_status(peer)

    def _resend_votes(self, peer: ReplicaId, status: Status) -> None:
        """Send our votes for the next slots that ``peer`` has not decided."""
        core = self._core
        if not core.is_active or status.view != core.view:
            return
        if status.decided >= core.log.top or not core.may_answer(peer, AnswerKind.VOTES):
            return
        first = max(status.decided, core.log.low) + 1
        for seq in range(first, first + core.settings.slots_in_flight_max):
            slot = core.log.slots.get(Seq(seq))
            if slot is None or slot.view != core.view:
                continue
            proposal = slot.proposal
            if proposal is not None and proposal.replica == core.me:
                body = core.log.bodies.get(proposal.digest)
                if body is not None:
                    core.out.send_early(peer, Body(body).frame(), Lane.SYNC)
            for vote in self.votes_at(Seq(seq)):
                core.out.send(peer, vote.frame(), Lane.SYNC)

    def votes_at(self, seq: Seq) -> list[Vote]:
        """Return the votes we cast at ``seq`` in the current view."""
        core = self._core
        kinds = (VoteKind.PRE_PREPARE, VoteKind.PREPARE, VoteKind.COMMIT)
        votes = (core.guard.past_vote(kind, core.epoch, core.view, seq) for kind in kinds)
        return [vote for vote in votes if vote is not None]

    def _resend_checkpoint(self, peer: ReplicaId, status: Status) -> None:
        core = self._core
        if core.stable is not None and status.stable < core.stable.seq:
            core.out.send(peer, StableCheckpoint(core.stable).frame(), Lane.SYNC)
        if peer not in core.membership.replicas:
            return
        for vote in self._checkpoints.pending_votes(status.stable):
            core.out.send(peer, vote.frame(), Lane.SYNC)

    def fetch_if_behind(self, *, after: ReplicaId | None = None) -> None:
        """Ask a peer that is ahead for log entries; the one after ``after`` in the round."""
        core = self._core
        if self._fetch is not None:
            return
        if self._has_backlog:
            return
        helpers = self._helpers()
        start = helpers.index(after) + 1 if after in helpers else 0
        for helper in helpers[start:] + helpers[:start]:
            status = self._status_of(helper)
            if helper in self._refused | self._late or status is None:
                continue
            if status.executed > core.decided:
                self._ask(helper)
                return
        self._is_log_gone = self._is_log_gone or bool(self._refused)

    @property
    def _has_backlog(self) -> bool:
        """Whether our executor must go on, before more is of use or can be checked."""
        core = self._core
        backlog_max = BACKLOG_FETCHES_MAX * core.settings.fetch_entries_max
        return core.decided >= core.epochs.horizon or core.decided - core.executed > backlog_max

    def _helpers(self) -> list[ReplicaId]:
        """Return who may be asked for what proves itself: the members first, then anybody.

        Those whom we know as members may have left long ago.
        """
        core = self._core
        members = [replica for replica in core.membership.replicas if replica != core.me]
        return [*members, *sorted(core.heard.keys() - core.membership.replicas)]

    def _fetch_state(self) -> None:
        """Have the latest certified state fetched, if the log would take too long or is gone."""
        core, target = self._core, self._checkpoints.target
        if target is None or target.seq <= core.decided:
            return
        is_far = target.seq - core.decided > core.settings.state_fetch_behind_seqs
        if not is_far and not self._is_log_gone:
            return
        retry_ms = self._state_asked_ms + core.settings.state_fetch_retry_ms
        if target.seq <= self._state_asked and core.now_ms < retry_ms:
            return
        signers = [replica for replica, _ in target.signatures if replica != core.me]
        others = [
            helper
            for helper, (status, _) in core.heard.items()
            if helper not in signers and status.stable >= target.seq
        ]
        sources = (*signers, *others[:STATE_HELPERS_MAX])
        self._state_asked, self._state_asked_ms = target.seq, core.now_ms
        core.out.state_transfer = StartStateTransfer(
            target.seq, target.state_root, target.to_bytes(), sources
        )

    def _ask(self, source: ReplicaId) -> None:
        core, settings = self._core, self._core.settings
        first = Seq(core.decided + 1)
        self._fetch = _Fetch(source, first, core.now_ms + settings.fetch_timeout_ms)
        frame = FetchEntries(first, settings.fetch_entries_max).frame()
        core.out.send_early(source, frame, Lane.SYNC)

    def on_entries(self, sender: ReplicaId, message: Entries) -> Verdict:
        """Check each entry's certificate and hand its batch out."""
        core, fetch, decided_before = self._core, self._fetch, self._core.decided
        if fetch is not None and (sender, message.first) == (fetch.source, fetch.first):
            self._fetch = None
        elif self._following.is_answer(sender, message.first):
            fetch = None
        else:
            return Verdict.UNSOLICITED
        if not message.entries:
            self._refused.add(sender)
            self.fetch_if_behind(after=sender)
            return Verdict.ACCEPTED
        for data in message.entries:
            try:
                entry = LogEntry.from_bytes(data)
                if entry.seq <= core.decided:
                    continue
                if entry.seq > core.epochs.horizon:
                    break
                self._take(entry)
            except ClusterError as exc:
                core.out.report(Verdict.WRONG_ENTRY, sender, str(exc))
                self._refused.add(sender)
                if fetch is None:
                    self._following.change_source()
                self.fetch_if_behind(after=sender)
                return Verdict.WRONG_ENTRY
        self._normal_case.go_on()
        if fetch is None:
            return Verdict.ACCEPTED
        self._following.on_fetched(decided_before)
        status = self._status_of(sender)
        if status is not None and status.executed > core.decided:
            self.fetch_if_behind(after=self._before(sender))
        return Verdict.ACCEPTED

    def _before(self, replica: ReplicaId) -> ReplicaId:
        """Return whom to name so that ``replica`` is asked next."""
        helpers = self._helpers()
        return helpers[helpers.index(replica) - 1]

    def _take(self, entry: LogEntry) -> None:
        """Hand out one entry.

        Raises:
            RemoteProtocolError: Not what it should be.
            SigningError: Its certificate does not hold.
        """
        core = self._core
        certificate = CommitCertificate.from_bytes(entry.certificate)
        if entry.seq != core.decided + 1 or certificate.seq != entry.seq:
            raise ClusterError(f"entry {entry.seq}, not {core.decided + 1}")
        if batch_digest(entry.batch) != certificate.digest:
            raise ClusterError(f"the batch of entry {entry.seq} is not the certified one")
        check_certificate(certificate, core.epochs.of(entry.seq), core.signatures)
        core.note_decided_view(certificate.epoch, certificate.view)
        for vote in certificate.votes():
            if vote.replica == core.me:
                core.recognise(vote)
        batch = Batch.from_bytes(entry.batch)
        slot = core.log.slots.get(entry.seq)
        if slot is not None:
            self._normal_case.decide(slot, certificate)
            slot.timestamp_ms = max(core.timestamp_ms, batch.timestamp_ms)
        self._normal_case.hand_out(entry.seq, batch, entry.batch, certificate)
        core.wanted.pop(certificate.digest, None)
        self._is_log_gone = False

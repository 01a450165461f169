"""Saying where we are, hearing where others are, and closing the gap.

Nothing is resent on a hunch: a periodic status tells peers what we have, and a peer whose status
stands still while ours does not is sent our votes again. One who lags by whole batches asks for
log entries, whose commit certificates need no trust in the source; one who lags by many, or by
more than anybody's log, has the state of a certified checkpoint fetched.
"""

from dataclasses import dataclass

from bftcluster.errors import ClusterError
from bftcluster.ids import ReplicaId, Seq
from bftcluster.limits import ENTRIES_SIZE_MAX_BYTES, LOG_READS_MAX, STATE_HELPERS_MAX
from bftcluster.pbft.batches import Batch
from bftcluster.pbft.certificates import (
    CommitCertificate,
    check_certificate,
)
from bftcluster.pbft.checkpoints import Checkpoints
from bftcluster.pbft.core import Core
from bftcluster.pbft.events import Lane, LogReadRequest, Outbound, StateFetch
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import (
    Body,
    Entries,
    FetchBody,
    FetchEntries,
    LogEntry,
    StableCheckpoint,
    Status,
)
from bftcluster.pbft.normal_case import NormalCase
from bftcluster.pbft.throttle import Answer
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pbft.view_change import ViewChanger
from bftcluster.pbft.votes import Vote, VoteKind

_BACKLOG_FETCHES_MAX = 4
"""We fetch no further ahead of our executor than this many answers."""


@dataclass(frozen=True, slots=True)
class _Fetch:
    source: ReplicaId
    first: Seq
    deadline_ms: int


class CatchUp:
    """Statuses, retransmission, and fetching what we missed."""

    __slots__ = (
        "_bodies_asked_ms",
        "_body_source",
        "_checkpoints",
        "_core",
        "_fetch",
        "_is_log_gone",
        "_late",
        "_normal_case",
        "_reading",
        "_refused",
        "_state_asked",
        "_state_asked_ms",
        "_status_due_ms",
        "_view_changer",
    )

    def __init__(
        self,
        core: Core,
        normal_case: NormalCase,
        checkpoints: Checkpoints,
        view_changer: ViewChanger,
    ) -> None:
        self._core = core
        self._normal_case = normal_case
        self._checkpoints = checkpoints
        self._view_changer = view_changer
        self._status_due_ms = 0
        self._fetch: _Fetch | None = None
        self._reading: dict[ReplicaId, Seq] = {}
        """Peers for whom the shell reads the log, and from where."""
        self._bodies_asked_ms: int | None = None
        self._body_source = 0
        self._refused: set[ReplicaId] = set()
        """Sources whose log does not reach back to where we are, in this round of asking."""
        self._late: set[ReplicaId] = set()
        """Those that let us wait in vain in this round: dead, or liars."""
        self._is_log_gone = False
        """Nobody who was asked had the entries that we need, and nobody sent any since."""
        self._state_asked = Seq(0)
        """The state we asked the shell to fetch, and when."""
        self._state_asked_ms = 0

    @property
    def deadline_ms(self) -> int:
        """When something here is due."""
        due_ms = self._status_due_ms
        if self._fetch is not None:
            due_ms = min(due_ms, self._fetch.deadline_ms)
        if self._core.wanted:
            asked_ms = self._bodies_asked_ms
            wait_ms = self._core.settings.fetch_timeout_ms
            due_ms = min(due_ms, self._core.now_ms if asked_ms is None else asked_ms + wait_ms)
        return due_ms

    @property
    def is_status_due(self) -> bool:
        """Whether everybody is about to hear from us."""
        return self._core.now_ms >= self._status_due_ms

    def on_time(self) -> None:
        """Do what is due."""
        core = self._core
        if core.now_ms >= self._status_due_ms:
            self.say_status(None)
            self._status_due_ms = core.now_ms + core.settings.status_interval_ms
            if self._fetch is None:
                self._refused.clear()
                self._late.clear()
        if self._fetch is not None and core.now_ms >= self._fetch.deadline_ms:
            late = self._fetch.source
            self._late.add(late)
            self._fetch = None
            self.fetch_if_behind(after=late)
        self._ask_for_bodies()
        self._fetch_state()

    def say_status(self, to: ReplicaId | None) -> None:
        """Send where we are, once that is durable: others tell us of it if we forget it."""
        core = self._core
        status = Status(
            core.epoch, core.view, core.target_view, core.log.low, core.decided, core.executed
        )
        core.out.messages.append(Outbound(to, Lane.SYNC, status.frame()))

    def _ask_for_bodies(self) -> None:
        """Ask one source after the other for batches that slots wait for."""
        core = self._core
        if not core.wanted:
            self._bodies_asked_ms = None
            return
        if self._bodies_asked_ms is None:
            self._bodies_asked_ms = core.now_ms
            self._body_source = core.membership.replicas.index(core.primary)
            if not self._is_reproposal_wanted():
                return  # A fresh batch is usually right behind its PRE-PREPARE.
        elif core.now_ms < self._bodies_asked_ms + core.settings.fetch_timeout_ms:
            return
        self._bodies_asked_ms = core.now_ms
        replicas = core.membership.replicas
        others = replicas[self._body_source :] + replicas[: self._body_source]
        others = tuple(replica for replica in others if replica != core.me)
        if not others:
            return
        source = others[0]
        self._body_source = (replicas.index(source) + 1) % len(replicas)
        for digest in list(core.wanted)[: core.settings.slots_in_flight_max]:
            core.out.send_early(source, FetchBody(digest).frame(), Lane.SYNC)

    def _is_reproposal_wanted(self) -> bool:
        """Whether a NEW-VIEW orders a batch that we do not hold."""
        slots = (self._core.log.slots.get(seq) for seq in self._core.wanted.values())
        return any(slot is not None and slot.reproposed for slot in slots)

    def on_status(self, sender: ReplicaId, status: Status) -> Verdict:
        """Help a peer that stands still, and notice when it is us."""
        core = self._core
        before = self._status_of(sender)
        core.hear(sender, status)
        self._checkpoints.hints.on_status(sender, status)
        if status.executed > core.decided and (before is None or before.executed > core.decided):
            self.fetch_if_behind()
        if status.decided < core.decided:
            self._tell(sender)
        has_stood = before is not None and before.stable == status.stable
        if has_stood and core.may_answer(sender, Answer.CHECKPOINT):
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
        if self._core.may_answer(peer, Answer.STATUS):
            self.say_status(peer)

    def _resend_votes(self, peer: ReplicaId, status: Status) -> None:
        """Send our votes for the next slots that ``peer`` has not decided."""
        core = self._core
        if not core.is_active or status.view != core.view:
            return
        if status.decided >= core.log.top or not core.may_answer(peer, Answer.VOTES):
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
        core, settings = self._core, self._core.settings
        if self._fetch is not None:
            return
        if core.decided >= core.epochs.horizon:
            return
        if core.decided - core.executed > _BACKLOG_FETCHES_MAX * settings.fetch_entries_max:
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
        core.out.state_fetch = StateFetch(target.seq, target.state_root, target.to_bytes(), sources)

    def _ask(self, source: ReplicaId) -> None:
        core, settings = self._core, self._core.settings
        first = Seq(core.decided + 1)
        self._fetch = _Fetch(source, first, core.now_ms + settings.fetch_timeout_ms)
        frame = FetchEntries(first, settings.fetch_entries_max).frame()
        core.out.send_early(source, frame, Lane.SYNC)

    def on_fetch_entries(self, sender: ReplicaId, message: FetchEntries) -> Verdict:
        """Have the log read for a peer; one answer at a time each."""
        core = self._core
        if sender in self._reading or not self._may_read(sender):
            return Verdict.DUPLICATE
        count = min(message.count, core.settings.fetch_entries_max)
        count = min(count, core.executed - message.first + 1)
        if message.first < 1 or count < 1:
            core.out.send_early(sender, Entries(message.first, ()).frame(), Lane.SYNC)
            return Verdict.ACCEPTED
        self._reading[sender] = message.first
        core.out.log_reads.append(LogReadRequest(sender, message.first, count))
        return Verdict.ACCEPTED

    def _may_read(self, sender: ReplicaId) -> bool:
        """Whether there is room for one more: followers leave the voters theirs."""
        voters = self._core.membership.replicas
        followers = sum(peer not in voters for peer in self._reading)
        return sender in voters or followers < LOG_READS_MAX

    def on_log_read(self, to: ReplicaId, entries: tuple[bytes, ...]) -> None:
        """Pass on what the shell has read, as much as fits in a frame."""
        first = self._reading.pop(to)
        size_bytes, fitting = 0, 0
        for entry in entries:
            size_bytes += len(entry)
            if fitting and size_bytes > ENTRIES_SIZE_MAX_BYTES:
                break
            fitting += 1
        frame = Entries(first, entries[:fitting]).frame()
        self._core.out.send_early(to, frame, Lane.SYNC)

    def on_entries(self, sender: ReplicaId, message: Entries) -> Verdict:
        """Check each entry's certificate and hand its batch out."""
        core, fetch = self._core, self._fetch
        if fetch is None or sender != fetch.source or message.first != fetch.first:
            return Verdict.UNSOLICITED
        self._fetch = None
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
                self.fetch_if_behind(after=sender)
                return Verdict.WRONG_ENTRY
        self._normal_case.go_on()
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

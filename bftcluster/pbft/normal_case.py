"""The normal case: PRE-PREPARE, PREPARE, COMMIT (OSDI'99, section 4.2), for many slots at once.

A slot advances when it can: whichever of proposal, batch and votes comes last moves it on.
"""

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest, ReplicaId, Seq
from bftcluster.limits import BATCH_SIZE_MAX_BYTES, UNDECIDED_TIMES_MAX
from bftcluster.pbft.batches import Batch
from bftcluster.pbft.certificates import CommitCertificate, PreparedCertificate
from bftcluster.pbft.core import Core
from bftcluster.pbft.evidence import accuse
from bftcluster.pbft.log import Slot
from bftcluster.pbft.records import BodyKept, Prepared, ProposalAccepted
from bftcluster.pbft.steps import Decided, HaltReason
from bftcluster.pbft.verdicts import Verdict
from bftcluster.pbft.votes import Vote, VoteKind, VoteSet


class NormalCase:
    """Votes on proposals and decides them."""

    __slots__ = ("_core", "_held")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._held = Seq(0)
        """A proposal that waits because too much before it is not decided."""

    def on_vote(self, vote: Vote) -> Verdict:
        """Count one PRE-PREPARE, PREPARE or COMMIT, and act on it.

        The guards run in a fixed order, cheap ones first, signatures last.
        """
        core = self._core
        assert vote.kind is not VoteKind.CHECKPOINT, "checkpoints are counted elsewhere"
        # A commit certificate holds whatever became of its view, so the last COMMITs of a view
        # that we gave up still decide.
        is_last_commit = vote.kind is VoteKind.COMMIT and not core.is_active
        if vote.view != core.view or not (core.is_active or is_last_commit):
            return Verdict.STASHED if vote.view >= core.target_view else Verdict.LATE
        if vote.seq <= core.log.low:
            return Verdict.LATE
        if vote.seq > core.log.high:
            is_near = vote.seq <= core.log.high + core.log.window_size_seqs
            return Verdict.STASHED if is_near else Verdict.OUTSIDE_WATERMARKS
        if vote.kind is VoteKind.COMMIT:
            return self._on_commit(vote)
        if vote.kind is VoteKind.PREPARE:
            return self._on_prepare(vote)
        return self._on_pre_prepare(vote)

    def _on_pre_prepare(self, vote: Vote) -> Verdict:
        core = self._core
        if vote.replica != core.primary:
            return Verdict.NOT_THE_PRIMARY
        slot = core.log.open(vote.seq, core.view, now_ms=core.now_ms)
        if slot.proposal is not None:
            if slot.proposal.digest == vote.digest:
                return Verdict.DUPLICATE
            accuse(core, slot.proposal, vote)
            return Verdict.CONFLICTING
        if vote.seq <= core.view_floor:
            return Verdict.LATE
        if vote.seq <= core.decided and slot.decided is None:
            return Verdict.LATE
        if not core.signatures.is_genuine(vote):
            return Verdict.BAD_SIGNATURE
        slot.proposal = vote
        slot.opened_ms = core.now_ms
        slot.prepares.add_known(vote)
        self.advance(slot)
        return Verdict.ACCEPTED if slot.accepted else Verdict.WAITING

    def _on_prepare(self, vote: Vote) -> Verdict:
        core = self._core
        if vote.replica == core.primary:
            return Verdict.PRIMARY_PREPARED
        slot = core.log.open(vote.seq, core.view, now_ms=core.now_ms)
        verdict = slot.prepares.add(vote)
        if verdict is Verdict.COUNTED and slot.accepted and not slot.is_prepared:
            self.advance(slot)
        elif verdict is Verdict.CONFLICTING:
            accuse(core, slot.prepares.votes[vote.replica], vote)
        return verdict

    def _on_commit(self, vote: Vote) -> Verdict:
        core = self._core
        slot = core.log.open(vote.seq, core.view, now_ms=core.now_ms)
        verdict = slot.commits.add(vote)
        is_open = slot.decided is None or slot.decided.digest != vote.digest
        if verdict is Verdict.COUNTED and is_open:
            self.advance(slot)
        elif verdict is Verdict.CONFLICTING:
            accuse(core, slot.commits.votes[vote.replica], vote)
        return verdict

    def on_body(self, sender: ReplicaId, digest: Digest, body: bytes) -> None:
        """Take the batch that some slot waits for."""
        core = self._core
        seq = core.wanted.pop(digest)
        core.log.bodies.offer(digest, body, sender)
        slot = core.log.slots.get(seq)
        if slot is not None:
            self.advance(slot)

    def propose(self, slot: Slot, batch: Batch, body: bytes, digest: Digest) -> None:
        """Cast our PRE-PREPARE as the primary."""
        core = self._core
        assert core.is_primary, "only the primary proposes"
        assert slot.proposal is None, "one proposal per slot and view"
        core.log.bodies.offer(digest, body, core.me)
        slot.batch = batch
        vote = core.guard.vote(VoteKind.PRE_PREPARE, core.epoch, core.view, slot.seq, digest)
        core.out.broadcast(vote.frame())
        slot.proposal = vote
        slot.prepares.add_known(vote)
        self.advance(slot)

    def resume(self, slot: Slot) -> None:
        """Continue where an earlier life stopped."""
        core = self._core
        slot.opened_ms = core.now_ms
        if slot.accepted and slot.proposal is not None and not slot.is_decided_otherwise:
            body = core.log.bodies.get(slot.proposal.digest)
            assert body is not None, "a batch is durable before its proposal is accepted"
            self._claim(slot, body, self.timestamp_before(slot.seq))
        self.advance(slot)

    def advance(self, slot: Slot) -> None:
        """Take every step that ``slot`` allows, and its successors after it."""
        core = self._core
        work = [slot]
        while work:
            slot = work.pop()
            was_timed, decided_before = slot.timestamp_ms is not None, core.decided
            if not slot.accepted and not slot.refused:
                self._accept(slot)
            if slot.accepted and not slot.is_prepared:
                self._prepare(slot)
            self._commit(slot)
            self._hand_out()
            if not was_timed and slot.timestamp_ms is not None:
                work.extend(self._waiting_at(Seq(slot.seq + 1)))
            if core.decided != decided_before:
                work.extend(self._waiting_at(Seq(core.decided + 1)))
                work.extend(self._waiting_at(self._held))

    def claim_decided(self) -> None:
        """Propose no request again that is in a decided batch which waits for a gap before it."""
        core = self._core
        for slot in core.log.slots.values():
            if slot.decided is None or slot.seq <= core.decided:
                continue
            if (body := core.log.bodies.get(slot.decided.digest)) is not None:
                slot.batch = None
                self._claim(slot, body, None)

    def go_on(self) -> None:
        """Look at the slot after the last one decided, and at what else may have waited for it."""
        slots = self._core.log.slots
        for seq in (Seq(self._core.decided + 1), self._held):
            if seq in slots:
                self.advance(slots[seq])

    def on_executed(self) -> None:
        """Look at a proposal that could not be judged before all before it was executed."""
        for slot in self._waiting_at(Seq(self._core.executed + 1)):
            self.advance(slot)

    def advance_all(self) -> None:
        """Look at every slot again, after something that held many of them back."""
        core = self._core
        for seq in sorted(core.log.slots):
            if seq in core.log.slots:
                self.advance(core.log.slots[seq])

    def _waiting_at(self, seq: Seq) -> list[Slot]:
        """Return the slot whose proposal may have waited for the one before it."""
        slot = self._core.log.slots.get(seq)
        return [slot] if slot is not None and slot.proposal and not slot.accepted else []

    def _accept(self, slot: Slot) -> None:
        """Vote for the proposal once we hold its batch and find it good."""
        core = self._core
        proposal = slot.proposal
        if proposal is None or not core.may_vote(slot.seq):
            return
        if slot.is_decided_otherwise:
            self._refuse(slot, Verdict.CONFLICTING, "was decided otherwise")
            return
        body = core.log.bodies.get(proposal.digest)
        if body is None:
            core.wanted.setdefault(proposal.digest, slot.seq)
            return
        before_ms = self.timestamp_before(slot.seq)
        if before_ms is None and not slot.reproposed:
            return
        if not slot.reproposed and self._has_enough_before(slot.seq):
            self._held = slot.seq
            return
        if not slot.reproposed and not self._is_good(slot, body, before_ms or 0):
            return
        kind = VoteKind.PRE_PREPARE if core.primary == core.me else VoteKind.PREPARE
        if not core.guard.may_vote(kind, core.epoch, core.view, slot.seq, proposal.digest):
            self._refuse(slot, Verdict.CONFLICTING, "we voted for another before")
            return
        slot.accepted = True
        self._claim(slot, body, before_ms)
        slot.accepted_proposal = proposal
        if not core.log.bodies.is_kept(proposal.digest):
            core.out.persist(BodyKept(slot.seq, body).to_bytes())
        core.log.bodies.keep(slot.seq, proposal.digest, body)
        core.out.persist(
            ProposalAccepted(
                proposal.epoch, proposal.view, proposal.seq, proposal.digest, proposal.signature
            ).to_bytes()
        )
        if kind is VoteKind.PREPARE:
            vote = core.guard.vote(kind, core.epoch, core.view, slot.seq, proposal.digest)
            slot.prepares.add_known(vote)
            core.out.broadcast(vote.frame())

    def _has_enough_before(self, seq: Seq) -> bool:
        """Whether more waits for a decision than an honest primary ever proposes at once.

        We hold all of it, and would let it wait again if the view ended.
        """
        core = self._core
        honest_bytes = core.settings.unexecuted_size_max_bytes + BATCH_SIZE_MAX_BYTES
        return core.log.size_bytes(core.decided, seq) > UNDECIDED_TIMES_MAX * honest_bytes

    def _is_good(self, slot: Slot, body: bytes, before_ms: int) -> bool:
        """Whether a fresh proposal is found good; False also while that cannot be judged yet."""
        if slot.batch is not None:
            return True
        try:
            batch = Batch.from_bytes(body)
        except MalformedMessageError as exc:
            verdict, detail = Verdict.BAD_BATCH, str(exc)
        else:
            verdict, detail = self._judge(slot.seq, batch, before_ms)
            if verdict is Verdict.ACCEPTED:
                slot.batch = batch
                return True
        if verdict is not Verdict.WAITING:
            self._refuse(slot, verdict, detail)
        return False

    def _refuse(self, slot: Slot, verdict: Verdict, detail: str) -> None:
        slot.refused = True
        self._core.out.report(verdict, self._core.primary, f"proposal {slot.seq}: {detail}")

    def _judge(self, seq: Seq, batch: Batch, before_ms: int) -> tuple[Verdict, str]:
        """Judge a fresh batch: its view, its time, and every request, or why it has none."""
        core = self._core
        ahead_ms = batch.timestamp_ms - core.wall_ms
        skew_max_ms = core.settings.clock_skew_max_ms
        if batch.view != core.view:
            return Verdict.BAD_BATCH, f"says it is of view {batch.view}"
        if not batch.is_null and batch.timestamp_ms <= before_ms:
            return Verdict.BAD_TIMESTAMP, "not after the batch before"
        if not batch.is_null and not -skew_max_ms <= ahead_ms <= skew_max_ms:
            return Verdict.BAD_TIMESTAMP, f"{ahead_ms} ms ahead of our clock"
        if not batch.requests:
            return self._judge_empty(seq, batch)
        names: set[Digest] = set()
        for request in batch.requests:
            if not core.application.admissible(request):
                return Verdict.INADMISSIBLE, "holds an inadmissible request"
            names.add(core.application.name(request))
        if len(names) < len(batch.requests):
            return Verdict.BAD_BATCH, "holds two variants of one request"
        return Verdict.ACCEPTED, ""

    def _judge_empty(self, seq: Seq, batch: Batch) -> tuple[Verdict, str]:
        """Judge a batch without requests by the state before it, so that all judge alike.

        We wait until we have executed just that: who lags refuses nothing wrongly.
        """
        core = self._core
        if core.executed != seq - 1:
            return Verdict.WAITING, ""
        if batch.is_null and not core.wants_batches:
            return Verdict.BAD_BATCH, "a null batch that the state does not ask for"
        if batch.is_tick and (core.due_ms is None or batch.timestamp_ms < core.due_ms):
            return Verdict.BAD_BATCH, "a tick before anything is due"
        return Verdict.ACCEPTED, ""

    def timestamp_before(self, seq: Seq) -> int | None:
        """Return the time of the last batch before ``seq``, if all before it is known."""
        core = self._core
        if seq <= core.decided + 1:
            return core.timestamp_ms if seq == core.decided + 1 else 0
        before = core.log.slots.get(Seq(seq - 1))
        if before is None or not (before.accepted or before.decided):
            return None
        return before.timestamp_ms

    def _note_timestamp(self, slot: Slot, body: bytes, before_ms: int | None) -> Batch:
        """Parse the batch, and work out the time up to it: a null batch passes on the last one."""
        batch = slot.batch
        if batch is None:
            try:
                batch = Batch.from_bytes(body)
            except MalformedMessageError:
                batch = Batch(0, ())
            slot.batch = batch
        if batch.timestamp_ms or before_ms is not None:
            slot.timestamp_ms = batch.timestamp_ms or before_ms
        return batch

    def _claim(self, slot: Slot, body: bytes, before_ms: int | None) -> None:
        """Propose none of what is in the batch of a slot that is not handed out yet."""
        core, batch = self._core, self._note_timestamp(slot, body, before_ms)
        if slot.seq > core.decided:
            core.pool.claim(batch.requests, primary=core.primary, now_ms=core.now_ms)

    def _prepare(self, slot: Slot) -> None:
        """Become prepared at a quorum, and vote to commit."""
        core = self._core
        proposal = slot.proposal
        assert proposal is not None, "only accepted proposals are prepared"
        if not core.may_vote(slot.seq):
            return
        votes = self._certify(slot.prepares, proposal.digest)
        if votes is None or proposal not in votes:
            return
        slot.prepared = PreparedCertificate.of(proposal, [v for v in votes if v is not proposal])
        core.out.persist(Prepared(slot.prepared).to_bytes())
        vote = core.guard.vote(VoteKind.COMMIT, core.epoch, core.view, slot.seq, proposal.digest)
        slot.commits.add_known(vote)
        core.out.broadcast(vote.frame())

    def _commit(self, slot: Slot) -> None:
        """Decide at a quorum of commits, whether we are prepared or not."""
        digest = slot.commits.popular(self._core.membership.quorum)
        if digest is None or (slot.decided is not None and slot.decided.digest == digest):
            return
        votes = self._certify(slot.commits, digest)
        if votes is not None:
            self.decide(slot, CommitCertificate.of(votes))

    def decide(self, slot: Slot, certificate: CommitCertificate) -> None:
        """Take a verified commit certificate as final."""
        core = self._core
        if slot.decided is not None:
            if slot.decided.digest != certificate.digest:
                exhibits = (slot.decided.to_bytes(), certificate.to_bytes())
                core.stop(HaltReason.CONFLICTING_DECISIONS, *exhibits)
            return
        slot.decided = certificate
        core.progress_ms = core.now_ms
        if slot.is_decided_otherwise:
            if slot.accepted and slot.batch is not None:
                core.pool.release(slot.batch.requests)
            slot.batch = slot.timestamp_ms = None
        if core.log.bodies.get(certificate.digest) is None and slot.seq > core.decided:
            core.wanted.setdefault(certificate.digest, slot.seq)

    def _hand_out(self) -> None:
        """Hand out decided batches in order, as far as there is no gap."""
        core = self._core
        while True:
            slot = core.log.slots.get(Seq(core.decided + 1))
            if slot is None or slot.decided is None:
                return
            body = core.log.bodies.get(slot.decided.digest)
            if body is None:
                return
            batch = self._note_timestamp(slot, body, core.timestamp_ms)
            slot.timestamp_ms = max(core.timestamp_ms, batch.timestamp_ms)
            self.hand_out(slot.seq, batch, body, slot.decided)
            slot.batch = None

    def hand_out(self, seq: Seq, batch: Batch, body: bytes, certificate: CommitCertificate) -> None:
        """Give the next batch to the executor."""
        core = self._core
        assert seq == core.decided + 1, "batches are handed out in order"
        core.decided = seq
        core.progress_ms = core.now_ms
        core.timestamp_ms = max(core.timestamp_ms, batch.timestamp_ms)
        core.pool.settle(batch.requests, now_ms=core.now_ms)
        core.out.decided.append(Decided(seq, certificate.view, body, certificate.to_bytes()))

    def _certify(self, votes: VoteSet, digest: Digest) -> tuple[Vote, ...] | None:
        core = self._core
        return votes.find_certified(
            digest, core.membership.quorum, core.signatures.is_genuine, self._on_forged
        )

    def _on_forged(self, vote: Vote) -> None:
        detail = f"{vote.kind.name.lower()} {vote.seq}"
        self._core.out.report(Verdict.BAD_SIGNATURE, vote.replica, detail)

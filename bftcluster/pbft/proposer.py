"""When a primary proposes, and what."""

from bftcluster.ids import ReplicaId, Seq
from bftcluster.limits import BATCH_REQUESTS_MAX, BATCH_SIZE_MAX_BYTES
from bftcluster.pbft.batches import Batch
from bftcluster.pbft.core import Core
from bftcluster.pbft.lanes import Pending
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import Body, Requests
from bftcluster.pbft.normal_case import NormalCase
from bftcluster.pbft.pool import request_digest
from bftcluster.pbft.steps import Lane
from bftcluster.pbft.verdicts import Verdict


class Proposer:
    """Takes requests in, and turns them into proposals at a pace the cluster can follow."""

    __slots__ = ("_core", "_next", "_normal_case")

    def __init__(self, core: Core, normal_case: NormalCase) -> None:
        self._core = core
        self._normal_case = normal_case
        self._next = Seq(1)

    def submit(self, request: bytes) -> Verdict:
        """Take a request of our own client; the primary gets it, when it has room for it.

        A primary that does not order it in time is answered by ``Suspicion``.
        """
        core = self._core
        verdict = self._judge(request, core.me)
        if verdict is not Verdict.ACCEPTED:
            return verdict
        verdict = core.pool.add(request, sender=core.me, now_ms=core.now_ms)
        pending = core.pool.find(request_digest(request))
        if pending is not None:
            core.pool.owed.want(pending)
        return verdict

    def take_in(self, sender: ReplicaId, requests: tuple[bytes, ...], *, relayed: bool) -> Verdict:
        """Take requests that another replica passed on; ``relayed`` ones put the primary to test.

        A backup passes relayed requests on to the primary, which their sender may not reach. It
        holds those against the primary for which a voter vouches: a follower's word costs nobody
        anything.
        """
        core = self._core
        verdict = Verdict.ACCEPTED
        passed: list[Pending] = []
        for request in requests:
            judged = self._judge(request, sender)
            if judged in (Verdict.INADMISSIBLE, Verdict.POOL_FULL):
                verdict = judged
                break
            if judged is not Verdict.ACCEPTED:
                continue
            added = core.pool.add(request, sender=sender, now_ms=core.now_ms)
            if added is Verdict.POOL_FULL:
                verdict = added
                break
            pending = core.pool.find(request_digest(request))
            if relayed and pending is not None and self._is_passed_on(sender, pending):
                passed.append(pending)
        if core.is_active:
            self._send(core.primary, passed, relayed=False)
        return verdict

    def _is_passed_on(self, sender: ReplicaId, pending: Pending) -> bool:
        core = self._core
        if core.is_primary:
            return False
        if sender in core.membership.replicas:
            return core.pool.owed.vouch(pending, sender, core.now_ms)
        return core.pool.owed.pass_on(pending, core.now_ms)

    def _judge(self, request: bytes, sender: ReplicaId) -> Verdict:
        """Judge a request, which may be costly, once."""
        core = self._core
        digest = request_digest(request)
        if core.pool.is_decided(digest):
            return Verdict.LATE
        if core.pool.find(digest) is not None:
            return Verdict.ACCEPTED
        if not core.pool.has_room(sender, len(request)):
            return Verdict.POOL_FULL
        if not core.application.admissible(request):
            return Verdict.INADMISSIBLE
        return Verdict.ACCEPTED if core.application.is_wanted(request) else Verdict.LATE

    def relay(self, pending: list[Pending]) -> None:
        """Send our overdue requests to everybody: from now on all time the primary."""
        for one in pending:
            one.sent_ms = self._core.now_ms
            one.sendings += 1
        self._send(None, pending, relayed=True)

    def give(self) -> None:
        """Give the primary what our clients want, as far as it has room.

        A primary that must be silent cannot order it: the others are to hold that against it.
        """
        core = self._core
        if core.is_primary and core.may_vote(Seq(core.decided + 1)):
            return
        given = core.pool.owed.give(core.now_ms)
        if core.is_active and not core.is_primary:
            self._send(core.primary, given, relayed=False)

    def give_again(self, pending: list[Pending]) -> None:
        """Give the primary what it is about to be blamed for: it may have been lost on the way."""
        self._send(self._core.primary, pending, relayed=False)

    def hand_over(self) -> None:
        """Give the primary of the view that begins what is undecided."""
        core = self._core
        self._next = Seq(core.view_floor + 1)
        is_primary = core.primary == core.me
        pending = core.pool.owed.start_over(core.now_ms, is_primary=is_primary)
        self._send(core.primary, pending, relayed=False)

    def _send(self, to: ReplicaId | None, pending: list[Pending], *, relayed: bool) -> None:
        part: list[bytes] = []
        size_bytes = 0
        for one in pending:
            full = len(part) == BATCH_REQUESTS_MAX
            if full or (part and size_bytes + len(one.request) > BATCH_SIZE_MAX_BYTES):
                frame = Requests(tuple(part), relayed=relayed).frame()
                self._core.out.send_early(to, frame, Lane.CONSENSUS)
                part, size_bytes = [], 0
            part.append(one.request)
            size_bytes += len(one.request)
        if part:
            frame = Requests(tuple(part), relayed=relayed).frame()
            self._core.out.send_early(to, frame, Lane.CONSENSUS)

    def propose_what_fits(self) -> None:
        """Propose while there is a reason, a free slot, and time to wait no longer."""
        core = self._core
        if not core.is_primary or not self._has_reason():
            return
        self._next = self._first_free()
        while self._has_reason() and self._has_room() and not self._waits_for_more():
            before_ms = self._normal_case.timestamp_before(self._next)
            if before_ms is None or not self._propose(before_ms):
                return

    @property
    def deadline_ms(self) -> int | None:
        """When a batch that waits for more requests is proposed as it is."""
        core = self._core
        if not core.pool.waiting or not core.is_primary or not self._waits_for_more():
            return None
        oldest = next(iter(core.pool.waiting.values()))
        return oldest.since_ms + core.settings.batch_delay_ms

    def _has_reason(self) -> bool:
        return bool(self._core.pool.waiting) or self._is_asked_for_empty()

    def _is_asked_for_empty(self) -> bool:
        """Whether the latest state asks for a batch of no requests: others judge it by that."""
        core = self._core
        return core.is_idle and (core.wants_batches or self._is_tick_due())

    def _is_tick_due(self) -> bool:
        due_ms = self._core.due_ms
        return due_ms is not None and due_ms <= self._core.wall_ms

    def _first_free(self) -> Seq:
        """Return the first sequence number above everything proposed or decided."""
        core = self._core
        first = max(self._next, core.decided + 1, core.view_floor + 1)
        while (slot := core.log.slots.get(Seq(first))) is not None and (
            slot.proposal is not None or slot.decided is not None
        ):
            first += 1
        return Seq(first)

    def _has_room(self) -> bool:
        core, settings = self._core, self._core.settings
        return (
            core.may_vote(self._next)
            and self._next - 1 - core.decided < settings.slots_in_flight_max
            and core.decided - core.executed < settings.execution_backlog_max_seqs
            and self._next <= core.log.low + core.log.window_size_seqs // 2
            and self._next <= core.log.high
            and self._unexecuted_bytes() < settings.unexecuted_size_max_bytes
        )

    def _unexecuted_bytes(self) -> int:
        """Return how many bytes of batches every request of the next one has to wait for."""
        core, size_bytes = self._core, 0
        for seq in range(core.executed + 1, self._next):
            slot = core.log.slots.get(Seq(seq))
            vote = None if slot is None else slot.decided or slot.proposal
            body = None if vote is None else core.log.bodies.get(vote.digest)
            size_bytes += 0 if body is None else len(body)
        return size_bytes

    def _waits_for_more(self) -> bool:
        core, settings = self._core, self._core.settings
        if self._next == core.decided + 1 or settings.batch_delay_ms == 0:
            return False
        waiting = core.pool.waiting
        if not waiting or len(waiting) >= settings.batch_requests_max:
            return False
        oldest = next(iter(waiting.values()))
        return core.now_ms < oldest.since_ms + settings.batch_delay_ms

    def _propose(self, before_ms: int) -> bool:
        """Propose what waits, or nothing if the state asks for that; return whether we did."""
        core, settings = self._core, self._core.settings
        requests = core.pool.take(
            requests_max=settings.batch_requests_max,
            size_max_bytes=settings.batch_size_max_bytes,
            share_max_bytes=settings.batch_share_max_bytes,
            is_wanted=core.application.is_wanted,
        )
        if not requests and not (self._is_asked_for_empty() and self._next == core.decided + 1):
            return False
        is_timed = bool(requests) or self._is_tick_due()
        timestamp_ms = max(before_ms + 1, core.wall_ms) if is_timed else 0
        batch = Batch(timestamp_ms, requests, core.view)
        body = batch.to_bytes()
        core.out.send_early(None, Body(body).frame(), Lane.CONSENSUS)
        slot = core.log.open(self._next, core.view, now_ms=core.now_ms)
        self._next = Seq(self._next + 1)
        self._normal_case.propose(slot, batch, body, batch_digest(body))
        return True

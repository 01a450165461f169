"""Decides when a primary proposes, and which requests go into the batch."""

from typing import Final

from bftcluster.ids import Digest, ReplicaId, Seq
from bftcluster.limits import AGAIN_SIZE_MAX_BYTES, BATCH_REQUESTS_MAX, BATCH_SIZE_MAX_BYTES
from bftcluster.pbft.batches import Batch
from bftcluster.pbft.core import Core
from bftcluster.pbft.lanes import FOLLOWERS, Pending
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import Body, Requests
from bftcluster.pbft.normal_case import NormalCase
from bftcluster.pbft.steps import Lane
from bftcluster.pbft.verdicts import Verdict

_AGAIN_LOOK_MS: Final = 250


class Proposer:
    """Takes requests in, and turns them into proposals at a pace the cluster can follow."""

    __slots__ = ("_again", "_again_bytes", "_again_ms", "_core", "_next", "_normal_case")

    def __init__(self, core: Core, normal_case: NormalCase) -> None:
        self._core = core
        self._normal_case = normal_case
        self._next = Seq(1)
        self._again: dict[Digest, bytes] = {}
        """Requests of our clients that were decided a moment ago: what was refused then may be
        wanted again."""
        self._again_bytes = 0
        self._again_ms = 0
        """When to look at them again."""

    def submit(self, request: bytes) -> Verdict:
        """Take a request of our own client; the primary gets it, when it has room for it.

        A primary that does not order it in time is answered by ``Suspicion``.
        """
        core = self._core
        name = core.application.name(request)
        if core.pool.is_decided(name, core.now_ms):
            if not core.application.admissible(request):
                return Verdict.INADMISSIBLE  # A right one of that name may come, and wait.
            return self._wait_to_submit(request, name)
        pending, verdict = self._bring(request, name, core.me)
        if pending is not None:
            core.pool.debts.want(pending)
        return verdict

    def _wait_to_submit(self, request: bytes, name: Digest) -> Verdict:
        if name not in self._again:
            if self._again_bytes + len(request) > AGAIN_SIZE_MAX_BYTES:
                return Verdict.POOL_FULL
            self._again[name] = request
            self._again_bytes += len(request)
        return Verdict.LATE

    def _submit_again(self) -> None:
        """Submit what is not decided a moment ago any more, the first first."""
        core = self._core
        if not self._again or core.now_ms < self._again_ms:
            return
        self._again_ms = core.now_ms + _AGAIN_LOOK_MS
        for name, request in list(self._again.items()):
            if not core.pool.is_decided(name, core.now_ms):
                del self._again[name]
                self._again_bytes -= len(request)
                self.submit(request)

    def take_in(self, sender: ReplicaId, requests: tuple[bytes, ...], *, relayed: bool) -> Verdict:
        """Take requests that another replica passed on; ``relayed`` ones put the primary to test.

        A backup passes relayed requests on to the primary, which their sender may not reach. It
        holds those against the primary for which a voter vouches: a follower's word costs nobody
        anything.
        """
        core = self._core
        result = Verdict.ACCEPTED
        passed: list[Pending] = []
        for request in requests:
            pending, verdict = self._bring(request, core.application.name(request), sender)
            if verdict is Verdict.POOL_FULL:
                result = verdict  # There may be room for a smaller one.
            elif verdict is Verdict.INADMISSIBLE:
                result = verdict
                break
            elif relayed and pending is not None and self._is_passed_on(sender, pending):
                passed.append(pending)
        if core.is_active:
            self._send(core.primary, passed, relayed=False)
        return result

    def _is_passed_on(self, sender: ReplicaId, pending: Pending) -> bool:
        core = self._core
        if core.is_primary:
            return False
        relayer = sender if sender in core.membership.replicas else FOLLOWERS
        return core.pool.debts.vouch(pending, relayer, core.now_ms)

    def _bring(
        self, request: bytes, name: Digest, sender: ReplicaId
    ) -> tuple[Pending | None, Verdict]:
        """Have the pool take a request, once judged, which may be costly; return it if it waits."""
        core, pool = self._core, self._core.pool
        if pool.is_decided(name, core.now_ms):
            return None, Verdict.LATE
        if pool.find(name) is None:
            if not pool.has_room(sender, len(request)):
                return None, Verdict.POOL_FULL
            if not core.application.admissible(request):
                return None, Verdict.INADMISSIBLE
            if not core.application.is_wanted(request):
                return None, Verdict.LATE
        verdict = pool.add(request, name, sender=sender, now_ms=core.now_ms)
        return pool.find(name), verdict

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
        self._submit_again()
        if core.is_primary and core.may_vote(Seq(core.decided + 1)):
            return
        given = core.pool.debts.give(core.now_ms)
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
        pending = core.pool.debts.start_over(core.now_ms, is_primary=is_primary)
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
            # Every request of the next batch waits for what was proposed before it.
            and core.log.size_bytes(core.executed, self._next) < settings.unexecuted_size_max_bytes
        )

    def _waits_for_more(self) -> bool:
        core, settings = self._core, self._core.settings
        if self._next == core.decided + 1 or settings.batch_delay_ms == 0:
            return False
        waiting = core.pool.waiting
        if not waiting or len(waiting) >= settings.batch_requests_max:
            return False
        oldest = next(iter(waiting.values()))
        return core.now_ms < oldest.since_ms + settings.batch_delay_ms

    def _may_propose(self, request: bytes) -> bool:
        """Whether a request helps, and nobody refuses us for it: we may know more than before."""
        application = self._core.application
        return application.is_wanted(request) and application.admissible(request)

    def _propose(self, before_ms: int) -> bool:
        """Propose what waits, or nothing if the state asks for that; return whether we did."""
        core, settings = self._core, self._core.settings
        requests = core.pool.take(
            requests_max=settings.batch_requests_max,
            size_max_bytes=settings.batch_size_max_bytes,
            share_max_bytes=settings.batch_share_max_bytes,
            may_propose=self._may_propose,
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

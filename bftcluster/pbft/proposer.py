"""When a primary proposes, and what."""

from bftcluster.ids import ReplicaId, Seq
from bftcluster.limits import BATCH_REQUESTS_MAX, BATCH_SIZE_MAX_BYTES
from bftcluster.pbft.batches import Batch
from bftcluster.pbft.core import Core
from bftcluster.pbft.events import Lane
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import Body, Requests
from bftcluster.pbft.normal_case import NormalCase
from bftcluster.pbft.pool import Pending, request_digest
from bftcluster.pbft.verdicts import Verdict


class Proposer:
    """Takes requests in, and turns them into proposals at a pace the cluster can follow."""

    __slots__ = ("_core", "_next", "_normal_case")

    def __init__(self, core: Core, normal_case: NormalCase) -> None:
        self._core = core
        self._normal_case = normal_case
        self._next = Seq(1)

    def submit(self, request: bytes) -> Verdict:
        """Take a request of our own client, and pass it to the primary.

        A primary that does not order it in time is answered by ``Suspicion``.
        """
        core = self._core
        if not self._may_take(request):
            return Verdict.INADMISSIBLE
        verdict = core.pool.add(request, now_ms=core.now_ms, ours=True)
        is_new = verdict in (Verdict.ACCEPTED, Verdict.DUPLICATE)
        if is_new and core.is_active and core.primary != core.me:
            frame = Requests((request,), relayed=False).frame()
            core.out.send_early(core.primary, frame, Lane.CONSENSUS)
        return verdict

    def take_in(self, requests: tuple[bytes, ...], *, relayed: bool) -> Verdict:
        """Take requests that another replica passed on; ``relayed`` ones put the primary to test.

        A backup passes relayed requests on to the primary, which their sender may not reach.
        """
        core = self._core
        verdict = Verdict.ACCEPTED
        fresh = []
        for request in requests:
            if not self._may_take(request):
                return Verdict.INADMISSIBLE
            added = core.pool.add(request, now_ms=core.now_ms, ours=False)
            if added is Verdict.POOL_FULL:
                verdict = added
                break
            if added is Verdict.ACCEPTED:
                fresh.append(request)
            pending = core.pool.find(request_digest(request))
            if relayed and pending is not None and pending.relayed_ms is None:
                pending.relayed_ms = core.now_ms
        if relayed and fresh and core.is_active and core.primary != core.me:
            frame = Requests(tuple(fresh), relayed=False).frame()
            core.out.send_early(core.primary, frame, Lane.CONSENSUS)
        return verdict

    def _may_take(self, request: bytes) -> bool:
        """Judge a request, which may be costly, once."""
        core = self._core
        return core.pool.knows(request_digest(request)) or core.application.admissible(request)

    def relay(self, pending: list[Pending]) -> None:
        """Send our overdue requests to everybody: from now on all time the primary."""
        for one in pending:
            one.sent_ms = self._core.now_ms
            one.sendings += 1
            if one.relayed_ms is None:
                one.relayed_ms = one.sent_ms
        self._send(None, pending, relayed=True)

    def hand_over(self) -> None:
        """Pass our undecided requests to the primary of the view that begins."""
        core = self._core
        self._next = Seq(core.view_floor + 1)
        if core.primary != core.me:
            ours = [pending for pending in core.pool.pending() if pending.ours]
            self._send(core.primary, ours, relayed=False)

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
            if before_ms is None:
                return
            self._propose(before_ms)

    @property
    def deadline_ms(self) -> int | None:
        """When a batch that waits for more requests is proposed as it is."""
        core = self._core
        if not core.pool.waiting or not core.is_primary or not self._waits_for_more():
            return None
        oldest = next(iter(core.pool.waiting.values()))
        return oldest.since_ms + core.settings.batch_delay_ms

    def _has_reason(self) -> bool:
        return bool(self._core.pool.waiting) or self._core.wants_batches

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

    def _propose(self, before_ms: int) -> None:
        core, settings = self._core, self._core.settings
        requests = core.pool.take(
            requests_max=settings.batch_requests_max, size_max_bytes=settings.batch_size_max_bytes
        )
        timestamp_ms = max(before_ms + 1, core.wall_ms) if requests else 0
        batch = Batch(timestamp_ms, requests, core.view)
        body = batch.to_bytes()
        core.out.send_early(None, Body(body).frame(), Lane.CONSENSUS)
        slot = core.log.open(self._next, core.view, now_ms=core.now_ms)
        self._next = Seq(self._next + 1)
        self._normal_case.propose(slot, batch, body, batch_digest(body))

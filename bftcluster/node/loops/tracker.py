"""Carries out what the tracker asks for: fetches, drops, scans and reports."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from itertools import compress
from typing import Final, NoReturn, Protocol, TypeVar

import trio

from bftcluster.blocks.pin_store import PinStore
from bftcluster.cid import Cid, text
from bftcluster.errors import ClusterError, NotReachedError
from bftcluster.ids import PeerId
from bftcluster.ledger.rules.effects import Effect, Reported
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.state.replication import status_of
from bftcluster.node.ingress.peer_reports import PeerReporter
from bftcluster.node.ports import Clock
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.temporary_roots import TemporaryRoots
from bftcluster.pins.events import (
    Acknowledged,
    Actions,
    DropDone,
    DropFailed,
    Event,
    FetchDone,
    FetchFailed,
    Missed,
    NotDesired,
    Recover,
    ReportLine,
    Scan,
    Scanned,
    ScanOf,
    StartDrop,
    StartFetch,
    Stopped,
    TrackerDeadlinePassed,
)
from bftcluster.pins.pace import Pace
from bftcluster.pins.provider_order import provider_order
from bftcluster.pins.scan_pages import desired_page, kept_page, owed
from bftcluster.pins.status import TrackerStatus
from bftcluster.pins.tracker import Tracker
from bftcluster.pins.view import PinInfo, Situation, here
from bftcluster.sync.pin_events import events_of, expect_new

_EFFECTS_MAX: Final = 10_000
_LOOK_RETRY_S: Final = 10.0
T = TypeVar("T")
_log = log_for("tracker")


class PinReads(Protocol):
    """What this peer knows of pins: a ledger, or the duties of a light peer."""

    async def pin(self, cid: Cid) -> PinRecord | None:
        """Return one pin."""
        ...

    async def pins_of(self, cids: Sequence[Cid]) -> Mapping[Cid, PinRecord]:
        """Return those of ``cids`` that are pinned."""
        ...

    async def page(self, after: Cid, limit: int, *, of: Collection[PeerId]) -> list[PinRecord]:
        """Return up to ``limit`` pins behind ``after``, in the order of binary CIDs.

        Args:
            after: The last CID of the page before.
            limit: At most so many.
            of: Whose reports are wanted.
        """
        ...

    def knows_all(self) -> bool:
        """Return whether what is not found is not pinned: before, nothing of the store goes."""
        ...

    async def peers(self) -> Mapping[PeerId, PeerRecord]:
        """Return the admitted peers, as far as they are known."""
        ...

    async def absent(self) -> frozenset[PeerId]:
        """Return who of them is known not to have been heard for a day."""
        ...


class TrackerLoop:
    """Owns the tracker: nothing else steps it."""

    def __init__(
        self,
        *,
        tracker: Tracker,
        store: PinStore,
        reads: PinReads,
        reporter: PeerReporter,
        clock: Clock,
        connected: Callable[[], Sequence[PeerId]],
        temporary_roots: TemporaryRoots,
        guests: Callable[[], Collection[PeerId]] = tuple,
    ) -> None:
        self._tracker = tracker
        self._me = tracker.me
        self._store = store
        self._reads = reads
        self._reporter = reporter
        self._clock = clock
        self._connected = connected
        self._guests = guests
        self._temporary_roots = temporary_roots
        self._effects: list[Effect] = []
        """What the ledger changed and the tracker has yet to hear."""
        self._missed = False
        self._changed = trio.Event()
        self._visits = Pace(tracker.settings.visit_interval_ms)
        self._running: dict[int, trio.CancelScope] = {}
        self._starting: list[tuple[StartFetch, trio.CancelScope]] = []
        self._is_starting = False
        self._nursery: trio.Nursery | None = None
        self._deadline_ms: int | None = None
        self._moved = trio.Event()

    async def run(self) -> None:
        """Track until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._take_in_effects)
            try:
                await self._track()
            finally:
                self._nursery = None  # the executor may yet finish a batch; nothing starts now

    async def _track(self) -> NoReturn:
        self._step(TrackerDeadlinePassed())
        while True:
            self._moved = trio.Event()
            with trio.move_on_after(self._patience_s()):
                await self._moved.wait()
            if self._deadline_ms is not None and self._clock.now_ms() >= self._deadline_ms:
                self._step(TrackerDeadlinePassed())

    def carry_out(self, effects: Iterable[Effect]) -> None:
        """Queue what the ledger changed. Beyond the bound it is looked for by a scan."""
        if len(self._effects) >= _EFFECTS_MAX:
            self._missed = True
            return
        self._effects += effects
        self._changed.set()

    async def _take_in_effects(self) -> NoReturn:
        """Tell the tracker what changed, in order, after one visit to the store for many pins."""
        while True:
            await self._changed.wait()
            await trio.sleep(self._visits.pause_ms(self._clock.now_ms()) / 1000)
            self._changed = trio.Event()
            effects, self._effects = self._effects, []
            events: list[Event] = [Missed()] if self._missed else []
            self._missed = False
            held = await self._held(effects)
            events += events_of(effects, self._me, held=held, is_lent=self._is_upload)
            self._look_after_uploads(effects)
            self._step(*events)

    async def _held(self, effects: Sequence[Effect]) -> Collection[Cid]:
        """Keep those new pins that are here already; return which."""
        new = expect_new(effects, self._me, self._tracker)
        if not new:
            return ()
        self._visits.begin(self._clock.now_ms())
        return await self._pin_present(new)

    async def _pin_present(self, cids: Sequence[Cid]) -> Collection[Cid]:
        """Keep what is here already; return which. What the store cannot keep now is fetched.

        The fetch will fail, too, says why, and is tried again in due time.
        """
        try:
            return await self._store.pin_present(cids)
        except ClusterError as exc:
            _log.warning("the blocks of pins cannot be kept", pins=len(cids), reason=str(exc))
            return ()

    def _look_after_uploads(self, effects: Sequence[Effect]) -> None:
        reported = (effect.cids for effect in effects if isinstance(effect, Reported))
        uploads = [cid for cids in reported for cid in cids if self._is_upload(cid)]
        if uploads and self._nursery is not None:
            self._nursery.start_soon(self._give_up_replicated, uploads)

    async def _give_up_replicated(self, cids: Sequence[Cid]) -> None:
        """Let go of what was added here if enough peers hold it, unless it is ours to hold."""
        pins = await self._reads.pins_of(cids)
        peers, absent = (await self._reads.peers()).values(), await self._reads.absent()
        for cid, record in pins.items():
            if status_of(record, peers, absent=absent).is_replicated:
                self._temporary_roots.give_up(cid)
                if not record.is_owed_by(self._me):
                    self._step(NotDesired(cid=cid))

    def tell(self, *events: Event) -> None:
        """Tell the tracker what is known otherwise than by the effects of batches."""
        self._step(*events)

    def recover(self, cid: Cid) -> None:
        """Retry one CID now, if it failed."""
        self._step(Recover(cid=cid))

    def recover_all(self) -> list[Cid]:
        """Retry everything that failed; return what that is."""
        errors = (TrackerStatus.PIN_ERROR, TrackerStatus.UNPIN_ERROR)
        failed = [item.cid for item in self._tracker.items() if item.status in errors]
        for cid in failed:
            self.recover(cid)
        return failed

    async def infos(self, records: Sequence[PinRecord]) -> list[PinInfo]:
        """Return the status of pins at this peer."""
        kept = await self._store.present([record.cid for record in records])
        return [
            self._info(record, is_present=present)
            for record, present in zip(records, kept, strict=True)
        ]

    def _info(self, record: PinRecord, *, is_present: bool) -> PinInfo:
        situation = Situation(
            is_pinned=True,
            is_desired=record.is_owed_by(self._me),
            is_present=is_present,
            is_reported=self._me in record.holders,
            since_ms=record.timestamp_ms,
        )
        return here(
            record.cid,
            self._me,
            situation,
            self._tracker.item(record.cid),
            settings=self._tracker.settings,
            wall_ms=self._clock.wall_ms(),
        )

    def counts(self) -> tuple[tuple[TrackerStatus, int], ...]:
        """Return how many items have which status; what is settled is not among them."""
        counts = self._tracker.counts()
        return tuple((status, counts[status]) for status in sorted(counts))

    def _step(self, *events: Event) -> None:
        actions = self._tracker.step_all(
            events, now_ms=self._clock.now_ms(), wall_ms=self._clock.wall_ms()
        )
        self._deadline_ms = actions.deadline_ms
        self._moved.set()
        if self._nursery is not None:
            self._start(self._nursery, actions)

    def _start(self, nursery: trio.Nursery, actions: Actions) -> None:
        for cancel in actions.cancels:
            self._running[cancel.ticket].cancel()
        self._starting += [(fetch, self._scope(fetch.ticket)) for fetch in actions.fetches]
        if self._starting and not self._is_starting:
            self._is_starting = True
            nursery.start_soon(self._pin_or_fetch, nursery)
        for drop in actions.drops:
            nursery.start_soon(self._drop, drop)
        if actions.report:
            nursery.start_soon(self._report, actions.report)
        if actions.scan is not None:
            nursery.start_soon(self._scan, actions.scan)

    def _scope(self, ticket: int) -> trio.CancelScope:
        scope = self._running[ticket] = trio.CancelScope()
        return scope

    async def _pin_or_fetch(self, nursery: trio.Nursery) -> None:
        """Keep what is here already, many in one visit to the store, and fetch the rest."""
        while self._starting:
            turn, self._starting = self._starting, []
            cids = [fetch.cid for fetch, _ in turn]
            present = await self._pin_present(cids)
            for fetch, scope in turn:
                if fetch.cid in present:
                    del self._running[fetch.ticket]
                    self._step(FetchDone(cid=fetch.cid, ticket=fetch.ticket, fetched_bytes=0))
                else:
                    nursery.start_soon(self._fetch, fetch, scope)
        self._is_starting = False

    async def _fetch(self, fetch: StartFetch, scope: trio.CancelScope) -> None:
        cid, ticket = fetch.cid, fetch.ticket
        ended: Event = Stopped(cid=cid, ticket=ticket)
        with scope:
            try:
                providers = await self._providers(cid, fetch.attempt)
                fetched_bytes = await self._store.pin(cid, providers)
                ended = FetchDone(cid=cid, ticket=ticket, fetched_bytes=fetched_bytes)
                _log.info("pinned", cid=text(cid), fetched_bytes=fetched_bytes)
            except ClusterError as exc:
                transient = isinstance(exc, NotReachedError)
                _log.info("fetch failed", cid=text(cid), attempt=fetch.attempt, reason=str(exc))
                ended = FetchFailed(cid=cid, ticket=ticket, reason=str(exc), is_transient=transient)
        del self._running[ticket]
        self._step(ended)

    async def _providers(self, cid: Cid, attempt: int) -> list[PeerId]:
        """Return whom to ask: those who reported it first; after a failure, in another order."""
        record = await self._reads.pin(cid)
        online = [peer for peer in self._connected() if peer != self._me]
        likely = () if record is None else (*record.holders, *record.allocations)
        guests = set(self._guests()) if likely else set()
        online += [peer for peer in dict.fromkeys(likely) if peer in guests]
        return provider_order(online, likely, attempt=attempt)

    async def _drop(self, drop: StartDrop) -> None:
        try:
            await self._store.unpin(drop.cid)
        except ClusterError as exc:
            self._step(DropFailed(cid=drop.cid, ticket=drop.ticket, reason=str(exc)))
        else:
            self._step(DropDone(cid=drop.cid, ticket=drop.ticket))

    async def _report(self, lines: tuple[ReportLine, ...]) -> None:
        if await self._reporter.report(lines):
            self._step(Acknowledged(lines=lines))

    async def _scan(self, scan: Scan) -> None:
        read = self._scan_desired if scan.of is ScanOf.DESIRED else self._scan_kept
        self._step(await read(scan))

    async def _scan_desired(self, scan: Scan) -> Scanned:
        records = await self._reads.page(Cid(scan.after), scan.limit, of=(self._me,))
        mine = [record.cid for record in owed(records, self._me)]
        kept = await self._look(lambda: self._store.present(mine))
        return desired_page(scan, records, set(compress(mine, kept)), self._me)

    async def _scan_kept(self, scan: Scan) -> Scanned:
        roots = await self._look(lambda: self._store.roots(scan.after, scan.limit))
        records = await self._reads.pins_of([root.cid for root in roots])
        whole = {root.cid: root.complete for root in roots}
        lent = {cid for cid in whole if not self._reads.knows_all() or self._is_upload(cid)}
        return kept_page(scan, whole, records, self._me, lent=lent)

    async def _look(self, look: Callable[[], Awaitable[T]]) -> T:
        """Return what the store says, however often it has to be asked."""
        while True:
            try:
                return await look()
            except ClusterError as exc:
                _log.warning("the block store cannot be looked at", reason=str(exc))
                await trio.sleep(_LOOK_RETRY_S)

    def _is_upload(self, cid: Cid) -> bool:
        return self._temporary_roots.is_kept(cid, wall_ms=self._clock.wall_ms())

    def _patience_s(self) -> float:
        if self._deadline_ms is None:
            return float("inf")
        return max(0, self._deadline_ms - self._clock.now_ms()) / 1000

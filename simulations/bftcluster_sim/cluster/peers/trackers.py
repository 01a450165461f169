"""The tracker in one life of a simulated process: the real one, on a store made of CIDs.

Does what ``loops.tracker`` and ``ingress.peer_reports`` of ``bftcluster.node`` do: tells it what
the ledger changed, carries out what it asks for, and has its reports ordered like any request.
"""

from collections.abc import Sequence

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.rules.effects import Effect
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.wire.outcomes import Outcome
from bftcluster.pbft import RequestSubmitted
from bftcluster.pins import events
from bftcluster.pins.scan_pages import desired_page, kept_page, owed
from bftcluster.pins.settings import TrackerSettings
from bftcluster.pins.status import TrackerStatus
from bftcluster.pins.tracker import Tracker
from bftcluster.sync.announcements import LOOK_AGAIN_MS, AnnouncementPace, Announcer
from bftcluster.sync.pin_events import events_of, expect_new
from bftcluster_sim.cluster.peers.beacons import BeaconMember
from bftcluster_sim.cluster.peers.processes import Process
from bftcluster_sim.cluster.peers.states import CAPACITY_BYTES

SETTINGS = TrackerSettings(
    fetches_max=2,
    items_max=8,
    retry_min_ms=50,
    retry_max_ms=1_000,
    report_entries_max=4,
    report_delay_ms=20,
    report_interval_ms=200,
    report_retry_ms=2_000,
    reports_max=8,
    scan_page_rows=3,
    scan_interval_ms=5_000,
)
"""So small and short that a short run reaches every bound."""
_JOIN_AGAIN_MS = 2_000
_JOIN_INTERVAL_MS = 300_000


class Tracking:
    """Ends with its process; what is kept stays in the store."""

    def __init__(self, node: Process, member: BeaconMember | None) -> None:
        self._node = node
        self._me = PeerId(node.key)
        self._tracker = Tracker(me=self._me, settings=SETTINGS, entropy=b"%d" % node.life)
        self._running: dict[int, Cid] = {}
        self._awaited: dict[bytes, tuple[events.ReportLine, ...]] = {}
        """Reports that are on their way, and their lines."""
        self._announcer = Announcer(
            node.signer,
            node.world.founding.cluster_id,
            f"peer{node.index}",
            b"" if member is None else member.registration,
        )
        self._pace = AnnouncementPace(attempt_ms=_JOIN_AGAIN_MS)
        self._joining = b""
        """The announcement that is on its way."""
        self._deadline_ms: int | None = None
        node.call_later(0, lambda: self._step(events.TrackerDeadlinePassed()))
        node.call_later(0, self._join)

    @property
    def is_settled(self) -> bool:
        """Whether the tracker knows of nothing to do."""
        return self._tracker.is_settled

    def carry_out(self, effects: Sequence[Effect]) -> None:
        """Tell the tracker what the ledger changed."""
        held = [cid for cid in expect_new(effects, self._me, self._tracker) if self._holds(cid)]
        heard = events_of(effects, self._me, held=held)
        if heard:
            self._step(*heard)

    def resolve(self, request: bytes, outcome: Outcome) -> None:
        """Take note of what became of a request, if it is one of ours."""
        if request == self._joining:
            self._pace.end(self._node.now_ms, again_ms=_JOIN_INTERVAL_MS)
        lines = self._awaited.pop(request, None)
        if lines is not None and outcome.is_accepted:
            self._step(events.Acknowledged(lines=lines))

    def _step(self, *heard: events.Event) -> None:
        node = self._node
        now_ms = node.now_ms
        actions = self._tracker.step_all(heard, now_ms=now_ms, wall_ms=node.wall_ms)
        self._start(actions)
        self._deadline_ms = deadline_ms = actions.deadline_ms
        if deadline_ms is not None:
            node.call_at(max(deadline_ms, now_ms + 1), lambda: self._tick(deadline_ms))

    def _tick(self, deadline_ms: int) -> None:
        if deadline_ms == self._deadline_ms:
            self._step(events.TrackerDeadlinePassed())

    def _start(self, actions: events.Actions) -> None:
        node = self._node
        for cancel in actions.cancels:
            self._end(events.Stopped(cid=cancel.cid, ticket=cancel.ticket))
        for fetch in actions.fetches:
            self._running[fetch.ticket] = fetch.cid
            delay_ms = 0 if self._holds(fetch.cid) else node.world.fetch_delay_ms()
            node.call_later(delay_ms, lambda fetch=fetch: self._fetch(fetch))  # type: ignore[misc]
        for drop in actions.drops:
            self._running[drop.ticket] = drop.cid
            node.call_later(1, lambda drop=drop: self._drop(drop))  # type: ignore[misc]
        if actions.report:
            self._report(actions.report)
        if actions.scan is not None:
            page = self._page(actions.scan)
            node.call_later(1, lambda: self._step(page))

    def _end(
        self, event: events.FetchDone | events.FetchFailed | events.DropDone | events.Stopped
    ) -> None:
        """Tell how an operation ended, in a turn of its own, unless it was cancelled."""
        if self._running.pop(event.ticket, None) is not None:
            self._node.call_later(0, lambda: self._step(event))

    def _fetch(self, fetch: events.StartFetch) -> None:
        if fetch.ticket not in self._running:
            return
        cid, ticket, blocks = fetch.cid, fetch.ticket, self._node.blocks
        reason = "" if self._holds(cid) else self._node.world.fetch_problem()
        if blocks.is_full and not self._holds(cid):
            self._end(events.FetchFailed(cid=cid, ticket=ticket, reason="full", is_transient=False))
        elif reason:
            self._end(events.FetchFailed(cid=cid, ticket=ticket, reason=reason, is_transient=True))
        else:
            blocks.keep(cid)
            self._end(events.FetchDone(cid=cid, ticket=ticket, fetched_bytes=1))

    def _drop(self, drop: events.StartDrop) -> None:
        self._node.blocks.drop(drop.cid)
        self._end(events.DropDone(cid=drop.cid, ticket=drop.ticket))

    def _holds(self, cid: Cid) -> bool:
        return self._node.blocks.has(cid)

    # Scans

    def _page(self, scan: events.Scan) -> events.Scanned:
        state, me = self._node.state, self._me
        if scan.of is events.ScanOf.DESIRED:
            records = state.pins(scan.after, scan.limit, of=me)
            present = {pin.cid for pin in owed(records, me) if self._holds(pin.cid)}
            return desired_page(scan, records, present, me)
        roots = {cid: self._holds(cid) for cid in self._node.blocks.roots(scan.after, scan.limit)}
        return kept_page(scan, roots, state.pins_of(list(roots), of=me), me)

    # Our voice in the order

    def _report(self, lines: tuple[events.ReportLine, ...]) -> None:
        node = self._node
        held = [line.cid for line in lines if line.status is TrackerStatus.PINNED]
        node.world.on_said(node, held)
        request = self._announcer.report(
            lines, free_bytes=self._free_bytes, recorded=self._recorded, wall_ms=node.wall_ms
        )
        self._awaited[request] = lines
        self._submit(request)

    def _join(self) -> None:
        """Announce ourselves, or look again whether it is time to."""
        node = self._node
        record = self._record
        joined = None if record is None else record.joined_ms > 0
        pause_ms = self._pace.pause_ms(node.now_ms, has_joined=joined)
        if not pause_ms:
            self._pace.begin(node.now_ms)
            self._joining = self._announcer.join(
                (),
                capacity_bytes=CAPACITY_BYTES,
                free_bytes=self._free_bytes,
                recorded=self._recorded,
                wall_ms=node.wall_ms,
                is_registered=record is not None and bool(record.registration),
            )
            self._submit(self._joining)
        node.call_later(pause_ms or LOOK_AGAIN_MS, self._join)

    def _submit(self, request: bytes) -> None:
        self._node.world.integrity.asked.add(request)
        self._node.take(RequestSubmitted(request))

    @property
    def _free_bytes(self) -> int:
        return CAPACITY_BYTES - len(self._node.blocks.kept)

    @property
    def _recorded(self) -> int:
        record = self._record
        return 0 if record is None else record.counter

    @property
    def _record(self) -> PeerRecord | None:
        return queries.peer_of(self._node.state.database, self._me)

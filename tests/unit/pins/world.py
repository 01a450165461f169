"""A ledger and a block store just real enough for a tracker to work against."""

from collections.abc import Iterable

from bftcluster.cid import Cid, of_block
from bftcluster.ids import PeerId
from bftcluster.pins import events
from bftcluster.pins.settings import TrackerSettings
from bftcluster.pins.status import TrackerStatus
from bftcluster.pins.tracker import Tracker

ME = PeerId(b"m" * 32)
WALL_MS = 1_700_000_000_000
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


def cid(number: int) -> Cid:
    return of_block(b"block %d" % number)


def small(**changes: int) -> TrackerSettings:
    """Return bounds that a test can reach."""
    values = {
        "fetches_max": 2,
        "items_max": 8,
        "reports_max": 8,
        "scan_page_rows": 2,
        "report_delay_ms": 1_000,
    }
    return TrackerSettings(**(values | changes))


def desired(number: int, *, age_ms: int = 0) -> events.Desired:
    """Return the event that pin ``number`` is desired since ``age_ms``."""
    return events.Desired(cid=cid(number), since_ms=WALL_MS - age_ms)


def pinned(number: int) -> events.ReportLine:
    """Return the line that says so."""
    return events.ReportLine(cid(number), TrackerStatus.PINNED)


class World:
    """Steps a tracker, and answers its scans at once from ``desired``, ``kept`` and ``holding``."""

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.tracker = Tracker(me=ME, settings=settings or TrackerSettings(), entropy=b"seed")
        self.desired: dict[Cid, int] = {}
        self.kept: set[Cid] = set()
        self.holding: set[Cid] = set()
        self.now_ms = 0
        self.running: dict[Cid, events.StartFetch | events.StartDrop] = {}
        self.reports: list[tuple[events.ReportLine, ...]] = []
        self.cancelled: list[Cid] = []
        self.deadline_ms: int | None = None
        self.scans: list[events.Scan] = []

    @property
    def wall_ms(self) -> int:
        return WALL_MS + self.now_ms

    def start(self) -> "World":
        self.step(events.TrackerDeadlinePassed())
        return self

    def step(self, event: events.Event) -> events.Actions:
        """Step, and go on stepping while there are pages to answer; return the first actions."""
        first = actions = self.step_once(event)
        while actions.scan is not None:
            actions = self.step_once(self.page(actions.scan))
        return first

    def step_once(self, event: events.Event) -> events.Actions:
        actions = self.tracker.step(event, now_ms=self.now_ms, wall_ms=self.wall_ms)
        for operation in (*actions.fetches, *actions.drops):
            assert operation.cid not in self.running, "one operation for a CID at a time"
            self.running[operation.cid] = operation
        for cancel in actions.cancels:
            assert self.running[cancel.cid].ticket == cancel.ticket
            self.cancelled.append(cancel.cid)
        if actions.report:
            self.reports.append(actions.report)
        if actions.scan is not None:
            self.scans.append(actions.scan)
        self.deadline_ms = actions.deadline_ms
        return actions

    def page(self, scan: events.Scan) -> events.Scanned:
        walked: Iterable[Cid] = self.desired if scan.of is events.ScanOf.DESIRED else self.kept
        behind = sorted(key for key in walked if key > scan.after)
        page = behind[: scan.limit]
        return events.Scanned(
            observations=tuple(self.observe(key) for key in page),
            next_after=page[-1] if len(behind) > len(page) else None,
        )

    def observe(self, key: Cid) -> events.Observation:
        return events.Observation(
            cid=key,
            is_desired=key in self.desired,
            is_present=key in self.kept,
            is_reported=key in self.holding,
            since_ms=self.desired.get(key, 0),
        )

    def tick_at_deadline(self) -> events.Actions:
        assert self.deadline_ms is not None
        self.now_ms = max(self.now_ms, self.deadline_ms)
        return self.step(events.TrackerDeadlinePassed())

    def wait(self, ms: int) -> events.Actions:
        self.now_ms += ms
        return self.step(events.TrackerDeadlinePassed())

    def fetched(self, key: Cid) -> events.Actions:
        operation = self.running.pop(key)
        assert isinstance(operation, events.StartFetch)
        self.kept.add(key)
        return self.step(events.FetchDone(cid=key, ticket=operation.ticket, fetched_bytes=10))

    def failed(
        self, key: Cid, reason: str = "no provider", *, transient: bool = True
    ) -> events.Actions:
        operation = self.running.pop(key)
        assert isinstance(operation, events.StartFetch)
        return self.step(
            events.FetchFailed(
                cid=key, ticket=operation.ticket, reason=reason, is_transient=transient
            )
        )

    def dropped(self, key: Cid) -> events.Actions:
        operation = self.running.pop(key)
        assert isinstance(operation, events.StartDrop)
        self.kept.discard(key)
        return self.step(events.DropDone(cid=key, ticket=operation.ticket))

    def acknowledge(self, lines: tuple[events.ReportLine, ...]) -> events.Actions:
        for line in lines:
            if line.status is TrackerStatus.PINNED:
                self.holding.add(line.cid)
            else:
                self.holding.discard(line.cid)
        return self.step(events.Acknowledged(lines=lines))

    def status(self, key: Cid) -> TrackerStatus | None:
        item = self.tracker.item(key)
        return None if item is None else item.status

"""Makes what this peer holds what the ledger wants it to hold.

Sans-IO: ``step`` takes an event and returns what to do. A status is never stored: it follows from
what is desired, what is present, and the work in memory (ipfs-cluster, ``pintracker/stateless``).
What is settled is in the ledger and in the store, so memory follows the work and not the pinset.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.limits import REPORT_ERROR_MAX_BYTES
from bftcluster.pins.events import (
    Acknowledged,
    Actions,
    CancelFetch,
    Desired,
    DropDone,
    DropFailed,
    Event,
    FetchDone,
    FetchFailed,
    Lost,
    Missed,
    NotDesired,
    Observation,
    Present,
    Recover,
    RecoverAll,
    ReportLine,
    Scanned,
    Stopped,
    TrackerDeadlinePassed,
)
from bftcluster.pins.items import Goal, Item, Phase
from bftcluster.pins.reports import Reports
from bftcluster.pins.retry import delay_ms
from bftcluster.pins.scans import Scanner
from bftcluster.pins.settings import TrackerSettings
from bftcluster.pins.status import TrackerStatus
from bftcluster.pins.work import Work


class Tracker:
    """The work of one peer. The first scan finds what there is to do: begin with a deadline."""

    def __init__(self, *, me: PeerId, settings: TrackerSettings, entropy: bytes) -> None:
        """Start with nothing in memory.

        Args:
            me: This peer.
            settings: Bounds and periods.
            entropy: Up to 64 bytes that spread retries; equal bytes give equal runs.
        """
        self.me = me
        self.settings = settings
        self._entropy = entropy + me
        self._work = Work(settings)
        self._reports = Reports(settings)
        self._scanner = Scanner(settings)
        self._cancels: list[CancelFetch] = []
        self._now_ms = 0
        self._wall_ms = 0
        self.fetched_bytes = 0
        """Since the start."""

    def step(self, event: Event, *, now_ms: int, wall_ms: int) -> Actions:
        """Take ``event`` in and return what to do.

        Args:
            event: What happened.
            now_ms: Monotonic, for deadlines.
            wall_ms: Unix, for what people read and for the age of a pin.
        """
        return self.step_all((event,), now_ms=now_ms, wall_ms=wall_ms)

    def step_all(self, events: Iterable[Event], *, now_ms: int, wall_ms: int) -> Actions:
        """Take in what happened at the same time, in order, and return what to do."""
        self._now_ms, self._wall_ms = now_ms, wall_ms
        for event in events:
            self._take(event)
        return self._advance()

    def expect(self, cids: Iterable[Cid]) -> None:
        """Know that news about ``cids`` is on its way, newer than a page that is being read."""
        for cid in cids:
            self._scanner.touch(cid)

    def item(self, cid: Cid) -> Item | None:
        """Return the work on ``cid``, if there is any. Not to be changed."""
        return self._work.get(cid)

    def items(self) -> Iterator[Item]:
        """Yield all work; the caller does not step meanwhile."""
        return iter(self._work)

    def counts(self) -> Mapping[TrackerStatus, int]:
        """Return how many items have which status. What is settled is not among them."""
        return Counter(item.status for item in self._work)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is known to be left to do, and nothing to be looked for."""
        return not (len(self._work) or len(self._reports) or self._scanner.is_running)

    def _take(self, event: Event) -> None:
        match event:
            case Desired() | NotDesired() | Present() | Lost():
                self._on_truth(event)
            case FetchDone() | FetchFailed() | DropDone() | DropFailed() | Stopped():
                self._on_end(event)
            case Recover():
                self._recover(event.cid)
            case RecoverAll():
                for cid in [item.cid for item in self._work]:
                    self._recover(cid)
                self._scanner.want()
            case Acknowledged():
                self._reports.acknowledge(event.lines)
            case Scanned():
                self._on_scanned(event)
            case Missed():
                self._scanner.want()
            case TrackerDeadlinePassed():
                pass
            case _:
                assert_never(event)

    # What the ledger and the store say

    def _on_truth(self, event: Desired | NotDesired | Present | Lost) -> None:
        self._scanner.touch(event.cid)
        match event:
            case Desired(is_held=True) if self._work.get(event.cid) is None:
                self._report(ReportLine(event.cid, TrackerStatus.PINNED))
            case Desired():
                self._want(event.cid, Goal.HELD, event.since_ms)
                if event.is_held:
                    self._on_present(event.cid)
            case NotDesired():
                self._reports.withdraw(event.cid)
                self._want(event.cid, Goal.GONE, self._wall_ms)
            case Present():
                self._on_present(event.cid)
            case Lost():
                self._report(ReportLine(event.cid, TrackerStatus.UNPINNED))
                self._want(event.cid, Goal.HELD, event.since_ms)
            case _:
                assert_never(event)

    def _want(self, cid: Cid, goal: Goal, since_ms: int) -> None:
        """Aim for ``goal``; the opposite operation is waited for, a fetch cancelled as well."""
        item = self._work.get(cid)
        if item is None:
            item = Item(cid=cid, goal=goal, since_ms=since_ms, changed_ms=self._wall_ms)
            if not self._work.add(item, wall_ms=self._wall_ms):
                self._scanner.want()
            return
        item.since_ms = since_ms
        is_turned = item.goal is not goal
        if is_turned:
            item.goal, item.error, item.changed_ms = goal, "", self._wall_ms
            item.is_error_reported = False
        match item.phase:
            case Phase.RUNNING if is_turned:
                item.phase = Phase.STOPPING
                if goal is Goal.GONE:
                    self._cancels.append(CancelFetch(cid=cid, ticket=item.ticket))
            case Phase.RUNNING | Phase.STOPPING:
                item.is_renewed = goal is Goal.HELD
            case Phase.QUEUED | Phase.WAITING:
                self._work.queue(item, wall_ms=self._wall_ms)
            case _:
                assert_never(item.phase)

    def _on_present(self, cid: Cid) -> None:
        """Somebody else brought it, an import for instance: save the fetch, if it has not begun."""
        item = self._work.get(cid)
        if item is None or item.goal is not Goal.HELD:
            return
        if item.phase in {Phase.QUEUED, Phase.WAITING}:
            self._work.settle(item)
            self._report(ReportLine(cid, TrackerStatus.PINNED))

    def _on_scanned(self, page: Scanned) -> None:
        touched = self._scanner.answer(page.next_after, now_ms=self._now_ms)
        if touched is None:
            return
        for seen in page.observations:
            if seen.cid not in touched and self._work.get(seen.cid) is None:
                self._on_observed(seen)

    def _on_observed(self, seen: Observation) -> None:
        if seen.is_desired and not seen.is_present:
            if seen.is_reported:
                self._report(ReportLine(seen.cid, TrackerStatus.UNPINNED))
            self._want(seen.cid, Goal.HELD, seen.since_ms)
        elif seen.is_desired and not seen.is_reported:
            self._report(ReportLine(seen.cid, TrackerStatus.PINNED))
        elif seen.is_present and not seen.is_desired:
            self._want(seen.cid, Goal.GONE, self._wall_ms)

    # How operations end

    def _on_end(self, event: FetchDone | FetchFailed | DropDone | DropFailed | Stopped) -> None:
        item, goal = self._work.end(event.cid, event.ticket)
        self._scanner.touch(event.cid)
        match event:
            case FetchDone():
                assert goal is Goal.HELD, "a fetch was asked for"
                self.fetched_bytes += event.fetched_bytes
                self._on_success(item, goal)
            case DropDone():
                assert goal is Goal.GONE, "a drop was asked for"
                self._on_success(item, goal)
            case FetchFailed():
                self._on_failure(item, goal, event.reason, is_transient=event.is_transient)
            case DropFailed():
                self._on_failure(item, goal, event.reason, is_transient=True)
            case Stopped():
                self._work.queue(item, wall_ms=self._wall_ms)
            case _:
                assert_never(event)

    def _on_success(self, item: Item, reached: Goal) -> None:
        if item.goal is not reached or item.is_renewed:
            self._work.queue(item, wall_ms=self._wall_ms)
            return
        self._work.settle(item)
        if reached is Goal.HELD:
            self._report(ReportLine(item.cid, TrackerStatus.PINNED))

    def _on_failure(self, item: Item, aimed: Goal, reason: str, *, is_transient: bool) -> None:
        if item.goal is not aimed or item.phase is Phase.STOPPING:
            self._work.queue(item, wall_ms=self._wall_ms)
            return
        item.is_renewed = False
        pause_ms = self.settings.retry_max_ms
        if is_transient:
            pause_ms = delay_ms(self.settings, self._entropy, item.cid, item.attempts)
        due_ms = self._now_ms + pause_ms
        self._work.wait(item, error=reason, due_ms=due_ms, wall_ms=self._wall_ms)
        is_lasting = not is_transient or item.attempts >= self.settings.error_report_attempts
        if aimed is Goal.HELD and is_lasting and not item.is_error_reported:
            item.is_error_reported = True
            error = reason.encode(errors="replace")[:REPORT_ERROR_MAX_BYTES].decode(errors="ignore")
            self._report(ReportLine(item.cid, TrackerStatus.PIN_ERROR, error))

    def _recover(self, cid: Cid) -> None:
        item = self._work.get(cid)
        if item is not None and item.phase is Phase.WAITING:
            self._work.queue(item, wall_ms=self._wall_ms)

    def _report(self, line: ReportLine) -> None:
        if not self._reports.add(line, now_ms=self._now_ms):
            self._scanner.want()

    def _advance(self) -> Actions:
        """Start what can start, and say when to come back."""
        self._work.queue_due(now_ms=self._now_ms, wall_ms=self._wall_ms)
        cancels, self._cancels = tuple(self._cancels), []
        report = self._reports.take(now_ms=self._now_ms)
        return Actions(
            fetches=self._work.begin_fetches(wall_ms=self._wall_ms),
            drops=self._work.begin_drops(wall_ms=self._wall_ms),
            cancels=cancels,
            report=report,
            scan=self._scanner.ask(now_ms=self._now_ms, has_room=self._has_room()),
            deadline_ms=self._deadline_ms(),
        )

    def _has_room(self) -> bool:
        """Return whether a page of surprises fits, with as much again for what events bring."""
        return (
            2 * len(self._work) <= self.settings.items_max
            and 2 * len(self._reports) <= self.settings.reports_max
        )

    def _deadline_ms(self) -> int | None:
        times = (self._work.next_ms, self._reports.deadline_ms, self._scanner.deadline_ms)
        return min((time for time in times if time is not None), default=None)

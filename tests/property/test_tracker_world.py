"""Any order of pins, unpins, failures, losses, stale pages and lost reports ends in agreement."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bftcluster.pins import events
from bftcluster.pins.items import Goal, Phase
from bftcluster.pins.status import TrackerStatus
from tests.unit.pins.world import DAY_MS, WALL_MS, World, cid, small

CIDS = st.integers(0, 9).map(cid)


class TrackerWorld(RuleBasedStateMachine):
    """Pages are read when they are asked for and arrive later; reports may never arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(small(items_max=6, reports_max=6, report_entries_max=3))
        self.page: events.Scanned | None = None
        self.reports: list[tuple[events.ReportLine, ...]] = []
        self.step(events.TrackerDeadlinePassed())

    def step(self, event: events.Event) -> events.Actions:
        world = self.world
        actions = world.step_once(event)
        if actions.scan is not None:
            assert self.page is None, "one page at a time"
            self.page = world.page(actions.scan)
        if actions.report:
            assert len(actions.report) <= 3
            self.reports.append(actions.report)
        assert actions.deadline_ms is None or actions.deadline_ms > world.now_ms
        return actions

    @rule(key=CIDS, age_ms=st.sampled_from([0, 2 * DAY_MS]))
    def pin(self, key, age_ms: int) -> None:
        self.world.desired[key] = WALL_MS - age_ms
        self.step(events.Desired(cid=key, since_ms=WALL_MS - age_ms))

    @rule(key=CIDS)
    def pin_what_is_here(self, key) -> None:
        """The store is asked before the tracker hears of the pin, if there is no work on it."""
        is_held = self.world.tracker.item(key) is None
        if is_held:
            self.world.kept.add(key)
        self.world.desired[key] = WALL_MS
        self.step(events.Desired(cid=key, since_ms=WALL_MS, is_held=is_held))

    @rule(key=CIDS)
    def unpin(self, key) -> None:
        self.world.desired.pop(key, None)
        self.world.holding.discard(key)
        self.step(events.NotDesired(cid=key))

    @precondition(lambda self: self.world.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.world.running)))
        operation = self.world.running.pop(key)
        ends: list[events.Event] = [events.Stopped(cid=key, ticket=operation.ticket)]
        if isinstance(operation, events.StartFetch):
            ends.append(events.FetchDone(cid=key, ticket=operation.ticket, fetched_bytes=1))
            ends += [
                events.FetchFailed(
                    cid=key, ticket=operation.ticket, reason="no", is_transient=transient
                )
                for transient in (True, False)
            ]
        else:
            ends.append(events.DropDone(cid=key, ticket=operation.ticket))
            ends.append(events.DropFailed(cid=key, ticket=operation.ticket, reason="no"))
        self.finish(data.draw(st.sampled_from(ends)))

    def finish(self, event: events.Event) -> None:
        if isinstance(event, events.FetchDone):
            self.world.kept.add(event.cid)
        if isinstance(event, events.DropDone):
            self.world.kept.discard(event.cid)
        self.step(event)

    @precondition(lambda self: self.page is not None)
    @rule()
    def answer(self) -> None:
        page, self.page = self.page, None
        assert page is not None
        self.step(page)

    @precondition(lambda self: self.reports)
    @rule(arrives=st.booleans())
    def order_report(self, arrives: bool) -> None:
        lines = self.reports.pop(0)
        if arrives:
            self.hear(lines)

    def hear(self, lines: tuple[events.ReportLine, ...]) -> None:
        for line in lines:
            if line.cid in self.world.desired and line.status is TrackerStatus.PINNED:
                self.world.holding.add(line.cid)
            else:
                self.world.holding.discard(line.cid)
        self.step(events.Acknowledged(lines=lines))

    @rule(key=CIDS, is_noticed=st.booleans())
    def lose(self, key, is_noticed: bool) -> None:
        if key in self.world.kept and key in self.world.desired and key not in self.world.running:
            self.world.kept.discard(key)
            if is_noticed:
                self.step(events.Lost(cid=key, since_ms=self.world.desired[key]))

    @rule(key=CIDS)
    def import_it(self, key) -> None:
        if key not in self.world.running:
            self.world.kept.add(key)
            self.step(events.Present(cid=key))

    @rule(key=CIDS, all_of_them=st.booleans())
    def recover(self, key, all_of_them: bool) -> None:
        self.step(events.RecoverAll() if all_of_them else events.Recover(cid=key))

    @rule(ms=st.sampled_from([1, 1_000, 10_000, 720_000, 1_800_000]))
    def wait(self, ms: int) -> None:
        self.world.now_ms += ms
        self.step(events.TrackerDeadlinePassed())

    @invariant()
    def memory_and_concurrency_are_bounded(self) -> None:
        items = list(self.world.tracker.items())
        assert len(items) <= 6
        running = list(self.world.running.values())
        assert sum(isinstance(operation, events.StartFetch) for operation in running) <= 2
        assert sum(isinstance(operation, events.StartDrop) for operation in running) <= 1
        busy = {item.cid for item in items if item.phase in {Phase.RUNNING, Phase.STOPPING}}
        assert busy == set(self.world.running)

    @invariant()
    def an_item_aims_for_what_is_desired(self) -> None:
        for item in self.world.tracker.items():
            assert (item.goal is Goal.HELD) == (item.cid in self.world.desired)

    def teardown(self) -> None:
        """Heal: everything succeeds, and a scan comes round; then all must agree."""
        for _ in range(3):
            self.settle()
            self.world.now_ms += 12 * 60_000
            self.step(events.TrackerDeadlinePassed())
        self.settle()
        assert self.world.kept == set(self.world.desired)
        assert self.world.holding == set(self.world.desired)

    def settle(self) -> None:
        for _ in range(500):
            if self.page is not None:
                self.answer()
            elif self.world.running:
                key = min(self.world.running)
                operation = self.world.running.pop(key)
                self.finish(
                    events.FetchDone(cid=key, ticket=operation.ticket, fetched_bytes=1)
                    if isinstance(operation, events.StartFetch)
                    else events.DropDone(cid=key, ticket=operation.ticket)
                )
            elif self.reports:
                self.hear(self.reports.pop(0))
            elif self.world.tracker.is_settled:
                return
            else:
                assert self.world.deadline_ms is not None, "something is left to wait for"
                self.world.now_ms = max(self.world.now_ms, self.world.deadline_ms)
                self.step(events.TrackerDeadlinePassed())
        raise AssertionError("it never settles")


TrackerWorld.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestTrackerWorld = TrackerWorld.TestCase

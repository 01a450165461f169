"""The tracker: what a scan finds that no event told."""

import pytest

from bftcluster.pins.events import (
    DropDone,
    Missed,
    NotDesired,
    Present,
    RecoverAll,
    ReportLine,
    Scanned,
    ScanOf,
    TrackerDeadlinePassed,
)
from bftcluster.pins.status import TrackerStatus
from tests.unit.pins.world import MINUTE_MS, WALL_MS, World, cid, desired, pinned, small


def test_a_start_finds_what_there_is_to_do() -> None:
    world = World(small(items_max=20))
    for number in range(5):
        world.desired[cid(number)] = WALL_MS
    world.kept |= {cid(2), cid(3), cid(7)}
    world.holding |= {cid(3), cid(4)}

    world.start()
    world.wait(1_000)

    items = {item.cid: item.status for item in world.tracker.items()}
    assert set(items) == {cid(0), cid(1), cid(4), cid(7)}
    assert items[cid(7)] is TrackerStatus.UNPINNING
    lost = ReportLine(cid(4), TrackerStatus.UNPINNED)
    assert set(world.reports[0]) == {pinned(2), lost}
    assert [scan.of for scan in world.scans] == [ScanOf.DESIRED] * 3 + [ScanOf.KEPT] * 2


def test_a_scan_comes_again_after_its_interval() -> None:
    world = World(small()).start()
    scans = len(world.scans)
    assert world.deadline_ms == 12 * MINUTE_MS
    world.desired[cid(1)] = WALL_MS

    world.wait(12 * MINUTE_MS - 1)
    assert len(world.scans) == scans
    world.tick_at_deadline()

    assert cid(1) in world.running


def test_a_scan_that_is_due_waits_for_room_without_asking_to_be_woken() -> None:
    world = World(small(items_max=4)).start()
    for number in (1, 2, 3):
        world.step(desired(number))

    assert world.wait(12 * MINUTE_MS).scan is None
    assert world.deadline_ms is None

    world.fetched(cid(1))
    assert world.scans[-1].of is ScanOf.KEPT, "it has begun, and ended"
    assert world.deadline_ms is not None


def test_a_page_says_nothing_about_what_happened_since_it_was_asked_for() -> None:
    world = World(small())
    world.desired = {cid(1): WALL_MS, cid(2): WALL_MS}
    asked = world.step_once(TrackerDeadlinePassed())
    assert asked.scan is not None
    page = world.page(asked.scan)
    del world.desired[cid(1)]
    world.step_once(NotDesired(cid=cid(1)))
    world.running.pop(cid(1), None)

    world.step(page)

    assert cid(2) in world.running
    item = world.tracker.item(cid(1))
    assert item is not None
    assert item.status is TrackerStatus.UNPINNING


def test_a_page_does_not_bring_back_what_was_dropped_meanwhile() -> None:
    world = World(small())
    world.desired[cid(1)] = WALL_MS
    asked = world.step_once(TrackerDeadlinePassed())
    assert asked.scan is not None
    page = world.page(asked.scan)
    del world.desired[cid(1)]
    world.step_once(NotDesired(cid=cid(1)))
    drop = world.running.pop(cid(1))
    world.step_once(DropDone(cid=cid(1), ticket=drop.ticket))

    world.step(page)

    assert world.tracker.item(cid(1)) is None


def test_a_page_says_nothing_about_a_pin_that_news_is_awaited_of() -> None:
    world = World(small())
    world.kept = {cid(1)}
    world.step_once(TrackerDeadlinePassed())
    asked = world.step_once(Scanned(observations=(), next_after=None))
    assert asked.scan is not None
    page = world.page(asked.scan)
    world.tracker.expect([cid(1)])

    actions = world.step(page)

    assert actions.drops == ()


def test_what_was_missed_is_found_by_a_scan() -> None:
    world = World(small()).start()
    world.desired[cid(1)] = WALL_MS

    world.step(Missed())

    assert set(world.running) == {cid(1)}


def test_a_page_that_took_too_long_is_read_again() -> None:
    world = World(small(scan_touched_max=1))
    world.desired = {cid(1): WALL_MS}
    asked = world.step_once(TrackerDeadlinePassed())
    for number in (7, 8):
        world.step_once(Present(cid=cid(number)))

    again = world.step_once(Scanned(observations=(), next_after=None))

    assert again.scan == asked.scan


def test_a_page_nobody_asked_for_is_our_bug() -> None:
    world = World(small()).start()

    with pytest.raises(AssertionError):
        world.step(Scanned(observations=(), next_after=None))


def test_a_scan_does_not_disturb_the_work_in_memory() -> None:
    world = World(small()).start()
    world.desired[cid(1)] = WALL_MS
    world.step(desired(1))
    world.failed(cid(1), transient=False)

    world.step(RecoverAll())
    world.failed(cid(1), transient=False)
    world.wait(12 * MINUTE_MS)

    assert world.status(cid(1)) is TrackerStatus.PIN_ERROR

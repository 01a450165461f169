"""The tracker: what the ledger hears, once or until it has."""

from bftcluster.pins.events import (
    Acknowledged,
    Lost,
    ReportLine,
)
from bftcluster.pins.status import TrackerStatus
from tests.unit.pins.world import WALL_MS, World, cid, desired, pinned, small


def hold(world: World, *numbers: int) -> None:
    for number in numbers:
        world.step(desired(number))
        world.fetched(cid(number))


def test_lines_are_gathered_until_one_is_old_enough() -> None:
    world = World(small()).start()
    for number in (1, 2):
        hold(world, number)
        world.wait(400)
    assert world.reports == []

    world.wait(200)

    assert world.reports == [(pinned(1), pinned(2))]


def test_the_first_report_leaves_soon_and_the_next_one_an_interval_later() -> None:
    world = World(small(report_delay_ms=50, report_interval_ms=2_000)).start()
    world.step(desired(1))
    world.fetched(cid(1))
    world.wait(50)
    assert world.reports == [(pinned(1),)]
    world.acknowledge(world.reports[0])

    for number in (2, 3):
        hold(world, number)
        world.wait(900)
    assert len(world.reports) == 1
    world.wait(200)

    assert world.reports[1:] == [(pinned(2), pinned(3))]


def test_a_full_report_does_not_wait() -> None:
    world = World(small(report_entries_max=2)).start()
    hold(world, 1, 2)

    assert world.reports == [(pinned(1), pinned(2))]


def test_one_report_at_a_time_and_the_rest_follows_the_acknowledgement() -> None:
    world = World(small(report_entries_max=2)).start()
    hold(world, 1, 2, 3, 4)
    assert len(world.reports) == 1

    world.acknowledge(world.reports[0])

    assert world.reports[1:] == [(pinned(3), pinned(4))]


def test_a_report_without_acknowledgement_is_sent_again_with_the_newest_news() -> None:
    world = World(small()).start()
    hold(world, 1, 2)
    world.wait(1_000)
    world.step(Lost(cid=cid(2), since_ms=WALL_MS))

    world.wait(10_000)

    lost = ReportLine(cid(2), TrackerStatus.UNPINNED)
    assert world.reports == [(pinned(1), pinned(2)), (pinned(1), lost)]
    world.step(Acknowledged(lines=(pinned(2),)))
    world.wait(10_000)
    assert world.reports[2] == (pinned(1), lost), "old news does not acknowledge the new"


def test_the_same_line_is_not_sent_twice_while_it_is_on_its_way() -> None:
    world = World(small()).start()
    for _ in range(2):
        world.step(desired(1))
        world.fetched(cid(1))
        world.wait(1_000)

    assert world.reports == [(pinned(1),)]


def test_a_line_that_was_heard_before_it_was_sent_again_is_not() -> None:
    world = World(small()).start()
    world.step(desired(1))
    world.fetched(cid(1))

    world.step(Acknowledged(lines=(pinned(1),)))
    world.wait(1_000)

    assert world.reports == []


def test_reports_that_do_not_fit_are_found_by_the_next_scan() -> None:
    world = World(small(reports_max=4, items_max=20)).start()
    for number in range(7):
        world.desired[cid(number)] = WALL_MS
        world.step(desired(number))
        world.fetched(cid(number))

    for _ in range(5):
        world.wait(10_000)
        world.acknowledge(world.reports[-1])

    assert world.holding == set(world.desired)
    assert world.tracker.is_settled

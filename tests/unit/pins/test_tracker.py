"""The tracker: what becomes of one pin, and of a changed mind."""

import pytest

from bftcluster.pins import events
from bftcluster.pins.status import TrackerStatus
from tests.unit.pins.world import MINUTE_MS, WALL_MS, World, cid, desired, pinned, small


def test_a_desired_pin_is_fetched_kept_and_reported() -> None:
    world = World().start()

    actions = world.step(desired(1))
    assert [(fetch.cid, fetch.attempt) for fetch in actions.fetches] == [(cid(1), 1)]
    assert world.status(cid(1)) is TrackerStatus.PINNING

    world.fetched(cid(1))
    assert world.status(cid(1)) is None
    assert world.reports == []

    world.wait(1_000)
    assert world.reports == [(pinned(1),)]
    assert not world.tracker.is_settled
    world.acknowledge(world.reports[0])
    assert world.tracker.is_settled
    assert world.tracker.fetched_bytes == 10


def test_a_pin_no_longer_desired_is_dropped_and_not_spoken_of() -> None:
    world = World().start()
    world.step(desired(1))
    world.fetched(cid(1))

    actions = world.step(events.NotDesired(cid=cid(1)))

    assert [drop.cid for drop in actions.drops] == [cid(1)]
    assert world.status(cid(1)) is TrackerStatus.UNPINNING
    world.dropped(cid(1))
    world.wait(5_000)
    assert world.reports == []
    assert world.tracker.is_settled


def test_a_failed_fetch_is_retried_later_and_later() -> None:
    world = World().start()
    world.step(desired(1))
    pauses = []
    for attempt in range(1, 15):
        fetch = world.running[cid(1)]
        assert fetch.attempt == attempt
        failed_ms = world.now_ms
        world.failed(cid(1))
        assert world.status(cid(1)) is TrackerStatus.PIN_ERROR
        while cid(1) not in world.running:
            for report in world.reports:
                world.acknowledge(report)
            world.tick_at_deadline()
        pauses.append(world.now_ms - failed_ms)

    longest = [min(2_000 << attempt, 30 * MINUTE_MS) for attempt in range(14)]
    assert all(most // 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))
    assert len({pause % 1000 for pause in pauses}) > 5, "half of the pause is jitter"


def test_what_waiting_cannot_mend_is_retried_rarely_and_reported_at_once() -> None:
    world = World().start()
    world.step(desired(1))

    world.failed(cid(1), "larger than the quota ü" * 20, transient=False)
    world.wait(1_000)

    (report,) = world.reports
    assert report[0].status is TrackerStatus.PIN_ERROR
    assert len(report[0].error.encode()) <= 128
    world.acknowledge(report)
    world.wait(29 * MINUTE_MS)
    assert cid(1) not in world.running
    world.wait(MINUTE_MS)
    assert cid(1) in world.running


def test_the_ledger_hears_of_a_lasting_failure_once_and_of_the_recovery() -> None:
    world = World().start()
    world.step(desired(1))
    for _ in range(5):
        world.failed(cid(1))
        world.wait(40 * MINUTE_MS)
        for report in world.reports:
            world.acknowledge(report)
    assert world.reports == [(events.ReportLine(cid(1), TrackerStatus.PIN_ERROR, "no provider"),)]

    world.fetched(cid(1))
    world.wait(1_000)

    assert world.reports[-1] == (pinned(1),)


def test_a_failed_drop_is_retried_and_not_reported() -> None:
    world = World().start()
    world.step(events.NotDesired(cid=cid(1)))
    drop = world.running.pop(cid(1))

    world.step(events.DropFailed(cid=cid(1), ticket=drop.ticket, reason="disk"))
    assert world.status(cid(1)) is TrackerStatus.UNPIN_ERROR
    world.tick_at_deadline()

    assert isinstance(world.running[cid(1)], events.StartDrop)
    for _ in range(5):
        drop = world.running.pop(cid(1))
        world.step(events.DropFailed(cid=cid(1), ticket=drop.ticket, reason="disk"))
        world.wait(30 * MINUTE_MS)
    assert world.reports == []


def test_recover_retries_at_once_and_keeps_the_count() -> None:
    world = World().start()
    world.step(desired(1))
    world.failed(cid(1))

    actions = world.step(events.Recover(cid=cid(1)))

    assert [fetch.attempt for fetch in actions.fetches] == [2]
    assert world.step(events.Recover(cid=cid(1))).fetches == (), "it runs already"
    assert world.step(events.Recover(cid=cid(9))).fetches == (), "nothing failed"


def test_recover_all_retries_all_and_scans() -> None:
    world = World().start()
    for number in (1, 2):
        world.step(desired(number))
        world.failed(cid(number))
    world.desired[cid(3)] = WALL_MS

    world.step(events.RecoverAll())

    assert set(world.running) == {cid(1), cid(2), cid(3)}


def test_desiring_what_failed_retries_it_at_once() -> None:
    world = World().start()
    world.step(desired(1))
    world.failed(cid(1))

    assert len(world.step(desired(1)).fetches) == 1


def test_unpinning_while_fetching_cancels_and_drops_once_it_has_ended() -> None:
    world = World().start()
    world.step(desired(1))

    actions = world.step(events.NotDesired(cid=cid(1)))
    assert world.cancelled == [cid(1)]
    assert actions.drops == ()
    assert world.status(cid(1)) is TrackerStatus.UNPIN_QUEUED

    fetch = world.running.pop(cid(1))
    actions = world.step(events.Stopped(cid=cid(1), ticket=fetch.ticket))
    assert [drop.cid for drop in actions.drops] == [cid(1)]


def test_a_fetch_that_ended_before_it_could_be_cancelled_is_dropped_all_the_same() -> None:
    world = World().start()
    world.step(desired(1))
    world.step(events.NotDesired(cid=cid(1)))

    actions = world.fetched(cid(1))

    assert [drop.cid for drop in actions.drops] == [cid(1)]
    assert world.reports == []


def test_a_cancelled_fetch_that_failed_is_not_an_error() -> None:
    world = World().start()
    world.step(desired(1))
    world.step(events.NotDesired(cid=cid(1)))

    world.failed(cid(1), transient=False)

    assert world.status(cid(1)) is TrackerStatus.UNPINNING


def test_pinning_while_dropping_fetches_once_the_drop_has_ended() -> None:
    world = World().start()
    world.step(events.NotDesired(cid=cid(1)))
    world.step(desired(1))
    assert world.cancelled == [], "a drop is short"
    assert world.status(cid(1)) is TrackerStatus.PIN_QUEUED

    actions = world.dropped(cid(1))

    assert [fetch.cid for fetch in actions.fetches] == [cid(1)]


def test_a_mind_changed_twice_fetches_again_whatever_the_first_fetch_did() -> None:
    for end in ("fetched", "stopped", "failed"):
        world = World().start()
        world.step(desired(1))
        world.step(events.NotDesired(cid=cid(1)))
        world.step(desired(1))
        assert world.cancelled == [cid(1)], "cancelled once"

        if end == "fetched":
            actions = world.fetched(cid(1))
        elif end == "failed":
            actions = world.failed(cid(1))
        else:
            fetch = world.running.pop(cid(1))
            actions = world.step(events.Stopped(cid=cid(1), ticket=fetch.ticket))
        assert len(actions.fetches) == 1
        world.fetched(cid(1))
        assert world.status(cid(1)) is None


def test_a_pin_that_changed_while_it_was_fetched_is_fetched_again() -> None:
    world = World().start()
    world.step(desired(1))
    world.step(desired(1))

    assert len(world.fetched(cid(1)).fetches) == 1
    assert world.fetched(cid(1)).fetches == ()


def test_a_drop_asked_for_twice_is_done_once() -> None:
    world = World().start()
    world.step(events.NotDesired(cid=cid(1)))
    world.step(events.NotDesired(cid=cid(1)))

    assert world.dropped(cid(1)).drops == ()
    assert world.tracker.is_settled


def test_a_queued_pin_that_is_not_desired_any_more_is_dropped_instead() -> None:
    world = World(small(fetches_max=1)).start()
    world.step(desired(1))
    world.step(desired(2))

    actions = world.step(events.NotDesired(cid=cid(2)))

    assert [drop.cid for drop in actions.drops] == [cid(2)]
    assert world.cancelled == []
    assert world.fetched(cid(1)).fetches == ()


def test_an_operation_ends_once() -> None:
    world = World().start()
    world.step(desired(1))
    ticket = world.running[cid(1)].ticket
    world.fetched(cid(1))

    with pytest.raises(AssertionError):
        world.step(events.FetchDone(cid=cid(1), ticket=ticket, fetched_bytes=0))


def test_an_import_saves_a_fetch_that_has_not_begun() -> None:
    world = World(small(fetches_max=1)).start()
    world.step(desired(1))
    world.step(desired(2))

    world.step(events.Present(cid=cid(2)))

    assert world.status(cid(2)) is None
    world.wait(1_000)
    assert world.reports == [(pinned(2),)]


def test_an_import_changes_nothing_for_what_is_fetched_dropped_or_unknown() -> None:
    world = World().start()
    world.step(desired(1))
    world.step(events.NotDesired(cid=cid(2)))

    for number in (1, 2, 3):
        world.step(events.Present(cid=cid(number)))

    assert set(world.running) == {cid(1), cid(2)}
    assert world.tracker.item(cid(3)) is None


def test_what_is_held_already_is_reported_and_not_fetched() -> None:
    world = World().start()

    actions = world.step(events.Desired(cid=cid(1), since_ms=WALL_MS, is_held=True))

    assert (actions.fetches, world.status(cid(1))) == ((), None)
    world.wait(1_000)
    assert world.reports == [(pinned(1),)]


def test_what_is_held_already_is_fetched_no_more_and_what_is_being_fetched_is_fetched_again() -> (
    None
):
    world = World(small(fetches_max=1)).start()
    world.step(desired(1))
    world.step(desired(2))

    for number in (1, 2):
        world.step(events.Desired(cid=cid(number), since_ms=WALL_MS, is_held=True))

    assert set(world.running) == {cid(1)}
    assert world.status(cid(2)) is None
    assert [fetch.cid for fetch in world.fetched(cid(1)).fetches] == [cid(1)]


def test_what_is_held_and_unwanted_at_once_is_dropped_and_not_reported() -> None:
    world = World().start()
    held = events.Desired(cid=cid(1), since_ms=WALL_MS, is_held=True)

    actions = world.tracker.step_all(
        (held, events.NotDesired(cid=cid(1))), now_ms=0, wall_ms=WALL_MS
    )

    assert [drop.cid for drop in actions.drops] == [cid(1)]
    assert world.wait(10_000).report == ()


def test_what_was_lost_is_reported_and_fetched_again() -> None:
    world = World().start()

    actions = world.step(events.Lost(cid=cid(1), since_ms=WALL_MS))

    assert len(actions.fetches) == 1
    world.wait(1_000)
    assert world.reports == [(events.ReportLine(cid(1), TrackerStatus.UNPINNED),)]

"""The tracker: who is next, and how much at once."""

from bftcluster.pins.events import (
    NotDesired,
    Recover,
)
from bftcluster.pins.status import TrackerStatus
from tests.unit.pins.world import DAY_MS, WALL_MS, World, cid, desired, small


def test_only_so_many_run_at_once_in_order_of_arrival() -> None:
    world = World(small(fetches_max=2, items_max=20)).start()
    for number in range(5):
        world.step(desired(number))
    assert list(world.running) == [cid(0), cid(1)]
    assert world.tracker.counts() == {TrackerStatus.PINNING: 2, TrackerStatus.PIN_QUEUED: 3}

    world.fetched(cid(1))

    assert list(world.running) == [cid(0), cid(2)]
    assert len(list(world.tracker.items())) == 4


def test_only_so_many_drops_run_at_once() -> None:
    world = World(small(drops_max=1)).start()
    world.step(NotDesired(cid=cid(1)))
    world.step(NotDesired(cid=cid(2)))
    assert list(world.running) == [cid(1)]

    world.dropped(cid(1))

    assert list(world.running) == [cid(2)]


def test_young_pins_go_first_but_the_last_slot_is_for_the_old() -> None:
    world = World(small(fetches_max=3, items_max=20)).start()
    for number in (0, 1, 2):
        world.step(desired(number))
    for number in (10, 11):
        world.step(desired(number, age_ms=2 * DAY_MS))
    world.step(desired(3))
    world.step(desired(4))

    world.fetched(cid(0))
    assert list(world.running) == [cid(1), cid(2), cid(10)]
    world.fetched(cid(1))
    world.fetched(cid(2))
    assert set(world.running) == {cid(10), cid(11), cid(3)}


def test_a_pin_tried_often_waits_behind_the_young() -> None:
    world = World(small(fetches_max=2, items_max=20)).start()
    world.step(desired(1))
    for _ in range(6):
        world.failed(cid(1))
        world.step(Recover(cid=cid(1)))
    world.failed(cid(1))
    for number in (2, 3, 4):
        world.step(desired(number))

    world.step(Recover(cid=cid(1)))
    world.fetched(cid(2))

    assert set(world.running) == {cid(3), cid(1)}


def test_what_does_not_fit_is_found_by_the_next_scan() -> None:
    world = World(small(fetches_max=1, items_max=4)).start()
    for number in range(7):
        world.desired[cid(number)] = WALL_MS
        world.step(desired(number))
    assert len(list(world.tracker.items())) == 4
    assert not world.tracker.is_settled

    for _ in range(7):
        (running,) = world.running
        world.fetched(running)
        world.wait(1_000)
        world.acknowledge(world.reports[-1])

    assert world.kept == set(world.desired)
    assert world.tracker.is_settled


def test_retries_of_two_peers_do_not_coincide() -> None:
    deadlines = set()
    for seed in range(8):
        world = World()
        world.tracker._entropy = bytes([seed])
        world.start().step(desired(1))
        world.failed(cid(1))
        deadlines.add(world.deadline_ms)

    assert len(deadlines) > 5

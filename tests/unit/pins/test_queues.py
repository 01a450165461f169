"""Queues and timetable: order, and leaving from the middle."""

from bftcluster.pins.queues import Queue, Timetable
from tests.unit.pins.world import cid


def test_a_queue_keeps_the_first_place_and_lets_anyone_leave() -> None:
    queue = Queue()
    for number in (1, 2, 3, 1):
        queue.push(cid(number))
    queue.discard(cid(2))
    queue.discard(cid(9))

    assert len(queue) == 2
    assert [queue.pop(), queue.pop()] == [cid(1), cid(3)]


def test_a_timetable_forgets_the_times_it_was_given_before() -> None:
    timetable = Timetable()
    timetable.put(cid(1), 10)
    timetable.put(cid(2), 20)
    timetable.put(cid(1), 30)
    assert timetable.next_ms == 20
    timetable.discard(cid(2))

    assert timetable.next_ms == 30
    assert timetable.pop_due(29) == []
    assert timetable.pop_due(30) == [cid(1)]
    assert timetable.next_ms is None


def test_a_timetable_pops_in_order_of_time_and_skips_what_left() -> None:
    timetable = Timetable()
    for number, due_ms in ((1, 30), (2, 10), (3, 20)):
        timetable.put(cid(number), due_ms)
    timetable.discard(cid(3))

    assert timetable.pop_due(100) == [cid(2), cid(1)]


def test_a_timetable_that_is_changed_forever_does_not_grow() -> None:
    timetable = Timetable()
    for due_ms in range(1000):
        timetable.put(cid(1), due_ms)

    assert len(timetable) == 1
    assert len(timetable._heap) < 20
    assert timetable.next_ms == 999

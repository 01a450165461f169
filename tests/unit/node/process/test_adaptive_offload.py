"""Quick work is done in place; slow work never holds up the event loop twice."""

import threading

import pytest
import trio

from bftcluster.node.process.adaptive_offload import QUICK_S, AdaptiveOffload
from bftcluster.node.process.threads import Workers

MAIN = threading.main_thread()


class Disk:
    """Work that takes as long as it is told, on a clock of its own."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.takes_s = 0.0

    def work(self) -> threading.Thread:
        self.now_s += self.takes_s
        return threading.current_thread()


async def test_the_first_work_is_done_in_a_thread_until_its_speed_is_known() -> None:
    disk = Disk()
    offload = AdaptiveOffload(Workers(1), lambda: disk.now_s)

    assert await offload.run(disk.work) is not MAIN
    assert await offload.run(disk.work) is MAIN


async def test_work_that_was_slow_once_goes_to_a_thread_for_a_while() -> None:
    disk = Disk()
    offload = AdaptiveOffload(Workers(1), lambda: disk.now_s)
    for _ in range(2):
        await offload.run(disk.work)
    disk.takes_s = 10 * QUICK_S
    assert await offload.run(disk.work) is MAIN

    disk.takes_s = QUICK_S / 10
    where = [await offload.run(disk.work) for _ in range(40)]

    assert where[0] is not MAIN
    assert where[-1] is MAIN
    assert 20 < sum(thread is not MAIN for thread in where) < 25


async def test_slow_work_is_not_tried_in_place_as_long_as_it_is_slow() -> None:
    disk = Disk()
    disk.takes_s = 2 * QUICK_S
    offload = AdaptiveOffload(Workers(1), lambda: disk.now_s)

    where = [await offload.run(disk.work) for _ in range(100)]

    assert MAIN not in where


async def test_work_that_was_begun_is_ended_although_the_caller_is_cancelled() -> None:
    ended: list[str] = []
    offload = AdaptiveOffload(Workers(1))

    with trio.CancelScope() as scope:

        def work() -> None:
            trio.from_thread.run_sync(scope.cancel)
            ended.append("yes")

        await offload.run(work)
        ended.append("and its result was used")

    assert ended == ["yes", "and its result was used"]


async def test_what_the_work_raises_is_raised() -> None:
    def fail() -> None:
        raise OSError(28, "no space left on device")

    offload = AdaptiveOffload(Workers(1))
    for _ in range(2):
        with pytest.raises(OSError, match="no space"):
            await offload.run(fail)

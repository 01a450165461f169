"""Each kind of work has threads of its own."""

import dataclasses
import threading
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from bftcluster.node.process.threads import Threads, Workers
from bftcluster.storage.engine import READERS_MAX

KINDS = [field.name for field in dataclasses.fields(Threads)]


@pytest.fixture
async def stuck(nursery: trio.Nursery) -> AsyncIterator[Threads]:
    """Threads of which all work without end, but those for consensus."""
    threads, end = Threads(), threading.Event()
    for kind in KINDS:
        workers: Workers = getattr(threads, kind)
        if workers is not threads.consensus:
            for _ in range(2 * workers.threads_max):
                nursery.start_soon(workers.run, end.wait)
    await wait_all_tasks_blocked()
    yield threads
    end.set()


async def test_consensus_finds_a_thread_while_all_others_are_busy(stuck: Threads) -> None:
    with trio.fail_after(5):
        assert await stuck.consensus.run(lambda: "executed") == "executed"

    busy = [kind for kind in KINDS if getattr(stuck, kind).working]
    assert busy == [kind for kind in KINDS if kind != "consensus"]


async def test_work_whose_task_is_cancelled_in_line_never_begins(stuck: Threads) -> None:
    begun: list[str] = []
    with trio.move_on_after(0):
        await stuck.reading.run(begun.append, "walk")

    assert begun == []


async def test_long_work_learns_that_nobody_waits_for_it_any_more() -> None:
    turns, begun = 0, trio.Event()

    def walk() -> None:
        nonlocal turns
        while True:
            turns += 1
            trio.from_thread.check_cancelled()
            trio.from_thread.run_sync(begun.set)

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Workers(1).run, walk)
            await begun.wait()
            nursery.cancel_scope.cancel()

    assert turns


def test_whoever_reads_the_ledger_finds_a_connection_free() -> None:
    threads = Threads()
    readers = (threads.consensus, threads.upkeep, threads.lists, threads.rest)

    total = sum(workers.threads_max for workers in readers)

    assert total + 1 <= READERS_MAX, "one for the event loop"

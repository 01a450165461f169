"""Requests of clients on their way in: who judges them, and that each has its answer."""

import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from bftcluster.api.ports import Wait
from bftcluster.codec import encode
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.ingress.inbox import OrderInbox
from bftcluster.node.ingress.submissions import Submissions
from bftcluster.node.process.threads import Workers
from bftcluster.pbft import Event
from tests.unit.ledger.world import World, cid_of

LONG = encode([0] * 100_000)
SHORT = encode([0])


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(inbox=OrderInbox(external_max=1000), verifier=World().verifier)


@dataclass
class Busy:
    """A judge who has something else to do until ``free`` is set."""

    judges: Workers
    free: threading.Event


@pytest.fixture
async def busy(nursery: trio.Nursery) -> AsyncIterator[Busy]:
    busy = Busy(Workers(1), threading.Event())
    nursery.start_soon(busy.judges.run, busy.free.wait)
    await wait_all_tasks_blocked()
    yield busy
    busy.free.set()


async def codes(gateway: Gateway, judges: Workers, *requests: bytes) -> list[str]:
    outcomes = await Submissions(gateway, judges).submit(requests, wait=Wait.NONE, timeout_ms=1000)
    return [outcome.code for outcome in outcomes]


async def test_long_requests_wait_for_a_thread_to_judge_them_and_a_short_one_does_not(
    gateway: Gateway, busy: Busy, nursery: trio.Nursery
) -> None:
    answers: list[list[str]] = []

    async def client() -> None:
        answers.append(await codes(gateway, busy.judges, *[LONG] * 3))

    nursery.start_soon(client)
    await wait_all_tasks_blocked()

    assert await codes(gateway, busy.judges, SHORT) == ["invalid"]
    assert answers == []
    busy.free.set()
    with trio.fail_after(5):
        while not answers:
            await wait_all_tasks_blocked(0.01)
    assert answers == [["invalid"] * 3]


async def test_of_one_client_few_long_requests_are_judged_before_others_have_their_turn(
    gateway: Gateway, busy: Busy, nursery: trio.Nursery
) -> None:
    order: list[str] = []

    async def client(name: str, count: int) -> None:
        await codes(gateway, busy.judges, *[LONG] * count)
        order.append(name)

    nursery.start_soon(client, "many", 20)
    await wait_all_tasks_blocked()
    nursery.start_soon(client, "one", 1)
    await wait_all_tasks_blocked()
    busy.free.set()

    with trio.fail_after(10):
        while len(order) < 2:
            await wait_all_tasks_blocked(0.01)
    assert order == ["one", "many"]


async def test_short_requests_are_judged_a_few_at_a_time_and_clients_take_turns(
    gateway: Gateway, nursery: trio.Nursery
) -> None:
    pin = World().submit(PinOperation(cid=cid_of(1))).to_bytes()
    submissions = Submissions(gateway, Workers(1))
    order: list[str] = []
    passes = 0

    async def client(name: str, count: int) -> None:
        await submissions.submit([pin] * count, wait=Wait.NONE, timeout_ms=1000)
        order.append(name)

    async def others() -> None:
        nonlocal passes
        while len(order) < 2:
            await trio.lowlevel.checkpoint()
            passes += 1

    nursery.start_soon(client, "many", 100)
    await trio.lowlevel.checkpoint()
    nursery.start_soon(client, "one", 1)
    await others()

    assert order == ["one", "many"]
    assert passes >= 100 * len(pin) // 4096


async def test_each_request_of_many_has_its_own_answer(gateway: Gateway) -> None:
    world = World()
    good = world.submit(PinOperation(cid=cid_of(1))).to_bytes()
    requests = [LONG, good, SHORT, LONG, LONG, good, *[SHORT] * 250, good]

    found = await codes(gateway, Workers(1), *requests)

    expected = ["accepted" if request is good else "invalid" for request in requests]
    assert found == expected


async def test_a_peer_that_takes_nothing_says_why_to_each() -> None:
    world = World()
    good = world.submit(PinOperation(cid=cid_of(1))).to_bytes()
    inbox = OrderInbox[Event](external_max=1000)
    full = Gateway(inbox=inbox, verifier=world.verifier, closed=lambda: "the log is full")

    outcomes = await Submissions(full, Workers(1)).submit(
        [good, SHORT], wait=Wait.COMMITTED, timeout_ms=1000
    )

    assert [(one.code, one.detail) for one in outcomes] == [("invalid", "the log is full")] * 2

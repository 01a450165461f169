"""The replica's inbox: back-pressure for the world, none for ourselves."""

import trio
import trio.testing

from bftcluster.node.ingress.inbox import EVENTS_PER_TURN_MAX, SHARE_MAX_BYTES, OrderInbox


async def test_events_come_out_in_the_order_they_came_in():
    inbox: OrderInbox[str] = OrderInbox(external_max=10)
    await inbox.put("from a peer")
    inbox.put_nowait("our own")
    await inbox.put("from a client")

    assert await inbox.take(timeout_s=1) == ["from a peer", "our own", "from a client"]
    assert len(inbox) == 0


async def test_nothing_in_time_is_an_empty_turn(autojump_clock: trio.testing.MockClock):
    inbox: OrderInbox[int] = OrderInbox(external_max=1)

    assert await inbox.take(timeout_s=30) == []
    assert trio.current_time() == 30


async def test_a_waiting_turn_ends_with_the_first_event(autojump_clock: trio.testing.MockClock):
    inbox: OrderInbox[int] = OrderInbox(external_max=1)
    async with trio.open_nursery() as nursery:

        async def later() -> None:
            await trio.sleep(3)
            inbox.put_nowait(7)

        nursery.start_soon(later)
        assert await inbox.take(timeout_s=30) == [7]
        assert trio.current_time() == 3


async def test_a_flood_from_outside_waits_for_room_and_our_own_never_does(
    autojump_clock: trio.testing.MockClock,
):
    inbox: OrderInbox[int] = OrderInbox(external_max=3)
    entered: list[int] = []

    async def flood() -> None:
        for number in range(5):
            await inbox.put(number)
            entered.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flood)
        await trio.sleep(1)
        inbox.put_nowait(100)

        assert entered == [0, 1, 2]
        assert await inbox.take(timeout_s=1) == [0, 1, 2, 100]
        await trio.sleep(1)
        assert entered == [0, 1, 2, 3, 4]
        assert await inbox.take(timeout_s=1) == [3, 4]


async def test_a_turn_is_bounded_and_the_rest_stays():
    inbox: OrderInbox[int] = OrderInbox(external_max=1)
    for number in range(EVENTS_PER_TURN_MAX + 5):
        inbox.put_nowait(number)

    assert len(await inbox.take(timeout_s=1)) == EVENTS_PER_TURN_MAX
    assert await inbox.take(timeout_s=1) == list(range(EVENTS_PER_TURN_MAX, len(range(261))))


async def test_a_consumer_that_answers_itself_never_waits_for_the_flood(
    autojump_clock: trio.testing.MockClock,
):
    inbox: OrderInbox[str] = OrderInbox(external_max=2)
    seen: list[str] = []

    async def flood() -> None:
        for _ in range(50):
            await inbox.put("theirs")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flood)
        with trio.move_on_after(5):
            while True:
                for event in await inbox.take(timeout_s=1):
                    seen.append(event)
                    if event == "theirs":
                        inbox.put_nowait("ours")

    assert (seen.count("theirs"), seen.count("ours")) == (50, 50)


async def test_giving_up_while_waiting_for_room_leaves_nothing_behind(
    autojump_clock: trio.testing.MockClock,
):
    inbox: OrderInbox[int] = OrderInbox(external_max=1)
    await inbox.put(1)

    with trio.move_on_after(1) as scope:
        await inbox.put(2)

    assert scope.cancelled_caught
    assert await inbox.take(timeout_s=1) == [1]
    await inbox.put(3)
    assert await inbox.take(timeout_s=1) == [3]


async def test_a_sender_that_has_its_share_waits_and_holds_up_nobody(
    autojump_clock: trio.testing.MockClock,
):
    inbox: OrderInbox[str] = OrderInbox(external_max=100)
    taken: list[str] = []

    async def send(sender: str, size_bytes: int) -> None:
        for number in range(3):
            await inbox.put(f"{sender}{number}", sender=sender, size_bytes=size_bytes)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, "long", SHARE_MAX_BYTES + 1)
        await trio.sleep(1)
        nursery.start_soon(send, "half", SHARE_MAX_BYTES // 2)
        await trio.sleep(1)
        nursery.start_soon(send, "none", 0)
        await trio.sleep(1)
        taken += await inbox.take(timeout_s=1)
        assert taken == ["long0", "half0", "half1", "none0", "none1", "none2"]
        await trio.sleep(1)
        assert sorted(await inbox.take(timeout_s=1)) == ["half2", "long1"]
        await trio.sleep(1)
        assert await inbox.take(timeout_s=1) == ["long2"]

"""What a full queue does, and what leaves in one write."""

import pytest
import trio
import trio.testing

from bftcluster.errors import PeerUnreachableError
from bftcluster.limits import WRITE_BATCH_SIZE_MAX_BYTES
from bftcluster.net.outbox import StreamOutbox
from bftcluster.net.streams import QueuePolicy, WhenFull


def outbox(when_full: WhenFull, frames_max: int = 3, size_max_bytes: int = 1 << 20) -> StreamOutbox:
    return StreamOutbox(
        QueuePolicy(
            when_full=when_full,
            frames_max=frames_max,
            size_max_bytes=size_max_bytes,
            window_bytes=1 << 20,
        )
    )


async def full_outbox() -> StreamOutbox:
    """One that waits for room, with the one frame that it has room for."""
    box = outbox(WhenFull.WAIT, frames_max=1)
    await box.put(b"a")
    return box


async def test_frames_queued_together_leave_in_one_write_in_order() -> None:
    box = outbox(WhenFull.DROP_OLDEST)
    for frame in (b"a", b"b", b"c"):
        assert box.put_nowait(frame)

    assert await box.take() == b"abc"
    assert (len(box), box.size) == (0, 0)


async def test_one_write_has_a_limit_and_a_larger_frame_leaves_alone() -> None:
    box = outbox(WhenFull.DROP_OLDEST, frames_max=9, size_max_bytes=1 << 30)
    half = bytes(WRITE_BATCH_SIZE_MAX_BYTES // 2)
    large = bytes(WRITE_BATCH_SIZE_MAX_BYTES + 1)
    for frame in (half, half, b"x", large, b"y"):
        box.put_nowait(frame)

    assert [await box.take() for _ in range(4)] == [half + half, b"x", large, b"y"]


async def test_a_full_queue_of_superseded_frames_drops_the_oldest_and_counts_it() -> None:
    box = outbox(WhenFull.DROP_OLDEST)

    kept = [box.put_nowait(frame) for frame in (b"1", b"2", b"3", b"4", b"5")]

    assert kept == [True, True, True, False, False]
    assert box.dropped == 2
    assert await box.take() == b"345"


async def test_a_queue_is_full_by_bytes_as_well() -> None:
    box = outbox(WhenFull.DROP_OLDEST, size_max_bytes=10)

    box.put_nowait(b"12345678")
    box.put_nowait(b"abc")
    box.put_nowait(b"larger than the whole queue")

    assert box.dropped == 2
    assert await box.take() == b"larger than the whole queue"


async def test_a_full_queue_that_waits_takes_nothing_without_waiting() -> None:
    box = outbox(WhenFull.WAIT, frames_max=1)

    assert box.put_nowait(b"a")
    assert not box.put_nowait(b"b")

    assert box.dropped == 1
    assert await box.take() == b"a"


async def test_a_sender_waits_for_room() -> None:
    box = await full_outbox()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(box.put, b"b")
        await trio.testing.wait_all_tasks_blocked()
        assert len(box) == 1

        assert await box.take() == b"a"
        assert await box.take() == b"b"


async def test_a_sender_that_waits_is_told_when_the_link_is_lost() -> None:
    box = await full_outbox()
    with pytest.RaisesGroup(PeerUnreachableError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(box.put, b"b")
            await trio.testing.wait_all_tasks_blocked()
            box.clear()


async def test_a_cancelled_sender_leaves_nothing_behind() -> None:
    box = await full_outbox()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(box.put, b"never")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert await box.take() == b"a"
    assert len(box) == 0


async def test_a_frame_queued_without_waking_the_writer_waits_until_it_is_woken() -> None:
    box = outbox(WhenFull.DROP_OLDEST)
    taken: list[bytes] = []

    async def write() -> None:
        taken.append(await box.take())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        box.put_nowait(b"a", wake=False)
        await trio.testing.wait_all_tasks_blocked()
        assert taken == []

        box.wake()

    assert taken == [b"a"]

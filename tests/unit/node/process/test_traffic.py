"""What the exchange of blocks may send and receive: no day has more than it may."""

import pytest
import trio
from trio.testing import MockClock

from bftcluster.blocks.exchange.exchange_messages import Blocks, End, EndStatus, Want, to_frame
from bftcluster.cid import of_block
from bftcluster.errors import RefusedError
from bftcluster.node.process.traffic import DAY_MS, Traffic
from bftcluster.shell_limits import WANT_CIDS_MAX

MB = 1_000_000
START_MS = 1_800_000_000_000


class WallClock:
    """The virtual clock's seconds, as unix time."""

    def now_ms(self) -> int:
        return self.wall_ms()

    def wall_ms(self) -> int:
        return START_MS + int(trio.current_time() * 1000)


def bounded(**limits: int) -> Traffic:
    traffic = Traffic(WallClock())
    traffic.set_limits(limits)
    return traffic


async def sent_in_a_day(traffic: Traffic) -> int:
    sent, end_s = 0, trio.current_time() + DAY_MS / 1000
    while trio.current_time() < end_s:
        try:
            await traffic.send(MB)
            sent += MB
        except RefusedError:
            await trio.sleep(600)
    return sent


async def test_no_day_has_more_than_it_may(autojump_clock: MockClock) -> None:
    traffic = bounded(day_up=100 * MB)

    first, second = await sent_in_a_day(traffic), await sent_in_a_day(traffic)

    assert 90 * MB < first <= 101 * MB
    assert 45 * MB < second <= 51 * MB


async def test_without_a_bound_nothing_waits(autojump_clock: MockClock) -> None:
    traffic = bounded(day_down=MB)

    await traffic.send(1000 * MB)

    assert trio.current_time() == 0


async def test_questions_go_out_when_all_is_used_up(autojump_clock: MockClock) -> None:
    traffic = bounded(day_up=2 * MB)
    await traffic.send(MB)

    with pytest.raises(RefusedError):
        await traffic.send(MB)
    cids = tuple(of_block(bytes([n // 256, n % 256])) for n in range(WANT_CIDS_MAX))
    want = to_frame(Want(request=1, window_bytes=1, leaf_budget_bytes=0, cids=cids))
    end = to_frame(End(request=1, status=EndStatus.SERVED, absent=cids))
    await traffic.send_frame(want)
    await traffic.send_frame(end)
    with pytest.raises(RefusedError):
        await traffic.send_frame(to_frame(Blocks(request=1, blocks=((cids[0], b"\0\0"),))))

    assert trio.current_time() == 0
    assert traffic.buckets["day_up"].owed_bytes == MB + len(want) + len(end)


async def test_what_comes_too_fast_is_read_later(autojump_clock: MockClock) -> None:
    traffic = bounded(day_down=100 * MB)

    await traffic.receive(50 * MB)
    assert trio.current_time() == 0
    await traffic.receive(20_000)

    assert trio.current_time() == pytest.approx(20_000 / (50 * MB / 86_400), rel=0.01)


async def test_a_month_bounds_what_days_leave_open(autojump_clock: MockClock) -> None:
    traffic = bounded(day_up=100 * MB, month_up=200 * MB)

    days = [await sent_in_a_day(traffic) for _ in range(30)]

    assert sum(days) <= 202 * MB


async def test_a_restart_forgets_nothing(autojump_clock: MockClock) -> None:
    before = bounded(day_up=2 * MB)
    await before.send(MB)

    after = bounded(day_up=2 * MB)
    after.remember(before.to_bytes())

    with pytest.raises(RefusedError):
        await after.send(MB)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"day_up": 1}', b'{"day_up": ["x", 1]}', b"\xff"])
async def test_a_damaged_memory_is_as_good_as_none(data: bytes) -> None:
    traffic = bounded(day_up=2 * MB)

    traffic.remember(data)

    assert traffic.wait_s("up", MB) == 0


async def test_a_clock_that_is_set_back_refills_nothing() -> None:
    [bucket] = bounded(day_up=2 * MB).buckets.values()
    bucket.spend(MB, START_MS)

    assert bucket.wait_s(MB, START_MS - DAY_MS) == pytest.approx(DAY_MS / 1000)
    assert bucket.wait_s(MB, START_MS + DAY_MS) == 0

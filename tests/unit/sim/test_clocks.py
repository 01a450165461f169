"""Clocks that run too fast, too slow or wrong; time itself goes on."""

import pytest

from bftcluster_sim.cluster.environment.clocks import PeerClock, VirtualClock


@pytest.mark.parametrize("rate_permille", [50, 900, 999, 1000, 1001, 1100, 10_000])
def test_a_timer_fires_at_the_first_instant_at_which_its_time_has_come(rate_permille: int) -> None:
    clock = PeerClock(rate_permille=rate_permille, offset_ms=12_345)

    for deadline_ms in range(12_345, 12_600, 7):
        true_ms = clock.true_ms(deadline_ms)
        assert clock.now_ms(true_ms) >= deadline_ms
        assert true_ms == 0 or clock.now_ms(true_ms - 1) < deadline_ms


def test_drift_adds_up_and_skew_does_not() -> None:
    fast = PeerClock(rate_permille=1100)
    wrong = PeerClock(skew_ms=-5_000)

    assert [fast.now_ms(t) for t in (0, 1_000, 10_000)] == [0, 1_100, 11_000]
    assert [wrong.wall_ms(t, 100_000) for t in (0, 10_000)] == [95_000, 105_000]
    assert [wrong.now_ms(t) for t in (0, 10_000)] == [0, 10_000]


def test_the_origin_of_the_monotonic_clock_does_not_reach_the_wall_clock() -> None:
    assert PeerClock(offset_ms=999).wall_ms(10, 100) == PeerClock().wall_ms(10, 100)


def test_a_wall_clock_may_jump_back_and_a_monotonic_one_does_not() -> None:
    clock = PeerClock()
    before = clock.wall_ms(1_000, 0), clock.now_ms(1_000)

    clock.skew_ms = -500

    after = clock.wall_ms(1_001, 0), clock.now_ms(1_001)
    assert after[0] < before[0]
    assert after[1] > before[1]


def test_what_is_planned_happens_in_order_of_time_and_then_of_planning() -> None:
    clock, seen = VirtualClock(), list[tuple[int, str]]()
    for at_ms, name in ((5, "b"), (1, "a"), (5, "c"), (9, "d")):
        clock.call_at(at_ms, lambda name=name: seen.append((clock.now_ms, name)))

    clock.run_until(5)

    assert seen == [(1, "a"), (5, "b"), (5, "c")]
    assert (clock.now_ms, clock.next_ms, clock.events) == (5, 9, 3)


def test_what_is_planned_for_the_past_happens_now_and_time_never_goes_back() -> None:
    clock, seen = VirtualClock(), list[int]()
    clock.run_until(100)

    clock.call_at(1, lambda: seen.append(clock.now_ms))
    assert clock.step()
    assert not clock.step()

    assert seen == [100]

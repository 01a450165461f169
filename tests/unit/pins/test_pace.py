"""How often the tracker visits the store for new pins."""

from bftcluster.pins.pace import Pace


def test_the_first_after_a_pause_does_not_wait() -> None:
    pace = Pace(100)
    assert pace.pause_ms(7) == 0

    pace.begin(7)

    assert pace.pause_ms(107) == 0
    assert pace.pause_ms(5_000) == 0


def test_what_comes_soon_after_waits_for_the_rest_of_the_interval_and_no_longer() -> None:
    pace = Pace(100)
    pace.begin(1_000)

    assert [pace.pause_ms(now_ms) for now_ms in (1_000, 1_040, 1_099)] == [100, 60, 1]
    pace.begin(1_100)

    assert pace.pause_ms(1_110) == 90

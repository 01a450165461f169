"""A peer announces itself until it was heard, again after a while, and sooner if others wait."""

import pytest

from bftcluster.ids import ClusterId
from bftcluster.ledger.wire.requests import Join, parse_request
from bftcluster.limits import LIGHT_HEARD_PERIODS
from bftcluster.sync.announcements import (
    LOOK_AGAIN_MS,
    AnnouncementPace,
    Announcer,
    announced_every_ms,
    hurry_ms,
    light_announced_every_ms,
)
from tests.unit.ledger.world import PEERS

INTERVAL_MS, ATTEMPT_MS = 300_000, 15_000


@pytest.fixture
def pace() -> AnnouncementPace:
    return AnnouncementPace(attempt_ms=ATTEMPT_MS)


def test_whom_the_cluster_does_not_know_waits_and_then_announces_itself_at_once(
    pace: AnnouncementPace,
) -> None:
    assert pace.pause_ms(0, has_joined=None) == LOOK_AGAIN_MS
    assert pace.pause_ms(LOOK_AGAIN_MS, has_joined=False) == 0


def test_what_is_not_ordered_is_said_again(pace: AnnouncementPace) -> None:
    pace.begin(0)

    assert pace.pause_ms(0, has_joined=False, hurry_ms=1) == LOOK_AGAIN_MS
    assert pace.pause_ms(ATTEMPT_MS - 1, has_joined=False) == 1
    assert pace.pause_ms(ATTEMPT_MS, has_joined=False) == 0


def test_what_was_ordered_is_said_again_after_the_interval(pace: AnnouncementPace) -> None:
    pace.begin(0)
    pace.end(10, again_ms=INTERVAL_MS)

    assert pace.pause_ms(ATTEMPT_MS, has_joined=True) == LOOK_AGAIN_MS
    assert pace.pause_ms(10 + INTERVAL_MS, has_joined=True) == 0


def test_who_was_removed_and_came_back_announces_itself_before_the_interval_is_over(
    pace: AnnouncementPace,
) -> None:
    pace.begin(0)
    pace.end(0, again_ms=INTERVAL_MS)

    assert (
        pace.pause_ms(ATTEMPT_MS - 1, has_joined=False) == 1
    )  # what it was told may be on its way
    assert pace.pause_ms(ATTEMPT_MS, has_joined=False) == 0
    assert pace.pause_ms(ATTEMPT_MS, has_joined=None) == LOOK_AGAIN_MS


def test_a_change_that_waits_brings_the_next_one_forward_once(pace: AnnouncementPace) -> None:
    pace.begin(0)
    pace.end(0, again_ms=INTERVAL_MS)

    assert pace.pause_ms(1_000, has_joined=True, hurry_ms=80) == 80
    assert pace.pause_ms(1_050, has_joined=True, hurry_ms=80) == 30
    assert pace.pause_ms(1_080, has_joined=True, hurry_ms=80) == 0


@pytest.mark.parametrize(
    ("wanted_s", "period_s", "peers", "every_s"),
    [(300, 3600, 1, 300), (300, 3600, 7, 300), (300, 3600, 8, 600), (300, 3600, 1000, 1200),
     (86_400, 3600, 4, 1200), (300, 9, 4, 3)],
)  # fmt: skip
def test_a_peer_announces_itself_three_times_a_period_and_of_many_each_no_more_often(
    wanted_s: int, period_s: int, peers: int, every_s: int
) -> None:
    every_ms = announced_every_ms(wanted_s * 1000, period_ms=period_s * 1000, peers=peers)

    assert every_ms == every_s * 1000


@pytest.mark.parametrize(("period_s", "every_s"), [(3600, 4 * 3600), (10, 40), (86_400, 6 * 3600)])
def test_a_light_peer_announces_itself_three_times_in_the_periods_for_which_it_counts(
    period_s: int, every_s: int
) -> None:
    assert light_announced_every_ms(period_s * 1000) == every_s * 1000
    assert 3 * every_s <= LIGHT_HEARD_PERIODS * period_s


def test_where_days_are_short_nobody_is_absent_between_two_announcements() -> None:
    every_ms = announced_every_ms(300_000, period_ms=3_600_000, peers=8, day_ms=20_000)

    assert every_ms == 5_000


def test_only_voters_hurry_and_only_while_a_change_waits() -> None:
    assert hurry_ms(4, votes=True, is_awaited=True) == 80
    assert hurry_ms(4, votes=False, is_awaited=True) is None
    assert hurry_ms(4, votes=True, is_awaited=False) is None


def test_counters_rise_over_announcements_whatever_the_clock_does() -> None:
    announcer = Announcer(PEERS[0], ClusterId(bytes(32)), "peer")

    def counter(recorded: int, wall_ms: int) -> int:
        space = {"capacity_bytes": 2, "free_bytes": 1}
        request = parse_request(announcer.join((), recorded=recorded, wall_ms=wall_ms, **space))
        assert isinstance(request, Join)
        return request.counter

    counters = [counter(*told) for told in ((0, 1_000), (1_000, 1_000), (1_001, 10), (5_000, 10))]
    assert counters == [1_000, 1_001, 1_002, 5_001]


def test_a_peer_says_of_itself_what_its_operator_wrote() -> None:
    tags = {"region": "eu", "disk": "ssd"}
    announcer = Announcer(PEERS[0], ClusterId(bytes(32)), "peer", tags=tags)

    request = parse_request(
        announcer.join((), capacity_bytes=2, free_bytes=1, recorded=0, wall_ms=1)
    )

    assert isinstance(request, Join)
    assert request.tags == (("disk", "ssd"), ("region", "eu"))

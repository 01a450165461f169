"""Who likely has content is asked first, and somebody else after a failure."""

from bftcluster.ids import PeerId
from bftcluster.pins.provider_order import provider_order

ALICE, BOB, CAROL = (PeerId(bytes((number,)) * 32) for number in range(3))
ONLINE = [ALICE, BOB, CAROL]


def test_who_likely_has_it_is_asked_first_and_the_others_too() -> None:
    assert provider_order(ONLINE, {CAROL}) == [CAROL, ALICE, BOB]


def test_after_a_failure_another_of_those_that_likely_have_it_is_first() -> None:
    firsts = [provider_order(ONLINE, {ALICE, BOB}, attempt=attempt)[0] for attempt in (1, 2, 3, 4)]

    assert firsts == [ALICE, BOB, ALICE, ALICE]


def test_who_is_not_online_is_not_asked() -> None:
    assert provider_order([], {ALICE}, attempt=7) == []

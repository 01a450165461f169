from bftcluster.allocation.roster import BY_SPACE, Measure, Roster
from tests.unit.allocation.crowds import moved, peer, picks, roster_of, seeds

EU = ("region", "eu")


def test_newcomers_get_no_more_than_a_twentieth_of_the_pins() -> None:
    roster = roster_of(10)
    for number in range(10, 110):
        roster.update(peer(number), 1000, is_newcomer=True)
    newcomers = {peer(number) for number in range(10, 110)}

    chosen = picks(roster, 3000, copies=3)

    with_one = sum(1 for each in chosen if newcomers & set(each))
    assert all(len(newcomers & set(each)) <= 1 for each in chosen)
    assert 0.04 < with_one / 3000 < 0.06


def test_few_newcomers_get_what_they_weigh() -> None:
    roster = roster_of(99)
    roster.update(peer(99), 1000, is_newcomer=True)

    with_one = sum(1 for each in picks(roster, 3000) if peer(99) in each)

    assert 0.005 < with_one / 3000 < 0.016


def test_newcomers_hold_what_nobody_else_can() -> None:
    roster = roster_of(2)
    for number in (2, 3, 4):
        roster.update(peer(number), 5, is_newcomer=True)

    assert all(len(each) == 5 for each in picks(roster, 50, copies=5))
    assert all(each[:2] != [peer(2), peer(3)] for each in picks(roster, 50, copies=2))
    assert len(roster) == 5


def test_who_is_vetted_is_a_newcomer_no_more() -> None:
    roster = roster_of(3)
    roster.update(peer(9), 1000, is_newcomer=True)
    roster.update(peer(9), 1000)

    assert picks(roster, 100, copies=2) == picks(_and_nine(), 100, copies=2)


def _and_nine() -> Roster:
    roster = roster_of(3)
    roster.update(peer(9), 1000)
    return roster


def test_a_measure_compares_what_it_says() -> None:
    roster = Roster()
    for number in range(6):
        tags = (EU,) if number < 2 else ()
        roster.update(peer(number), 1, space=1 << 20 if number == 5 else 1, tags=tags)
    roster.update(peer(6), 0, space=1 << 20, tags=(EU,))

    by_space = [roster.pick(seed, 1, measure=BY_SPACE)[0] for seed in seeds(50)]
    of_tag = {roster.pick(seed, 1, measure=Measure(tags=(EU,)))[0] for seed in seeds(50)}

    assert by_space.count(peer(5)) == 50
    assert of_tag == {peer(0), peer(1)}
    assert roster.count(Measure(tags=(EU,))) == 2


def test_a_measure_that_was_asked_for_follows_later_changes() -> None:
    roster = roster_of(4)
    assert roster.count(Measure(tags=(EU,))) == 0

    roster.update(peer(1), 10, tags=(EU,))
    assert roster.pick(b"pin", 2, measure=Measure(tags=(EU,))) == [peer(1)]

    roster.remove(peer(1))
    assert roster.count(Measure(tags=(EU,))) == 0
    assert peer(1) not in roster


def test_many_measures_are_forgotten_and_made_again() -> None:
    roster = roster_of(4)
    roster.update(peer(1), 10, tags=(EU,))

    for number in range(200):
        assert roster.count(Measure(tags=(("n", str(number)),))) == 0

    assert len(roster._views) < 70
    assert roster.count(Measure(tags=(EU,))) == 1


def test_holders_that_are_full_still_count_for_their_domain() -> None:
    roster = roster_of(4, domain=lambda n: f"d{n % 2}")
    roster.update(peer(0), 0, domain="d0")

    for seed in seeds(40):
        assert roster.pick(seed, 1, held=[peer(0)])[0] in {peer(1), peer(3)}


def test_the_same_update_twice_changes_nothing() -> None:
    roster = roster_of(5)
    before = picks(roster, 20, copies=3)

    roster.update(peer(2), 1000)
    roster.remove(peer(77))

    assert moved(before, picks(roster, 20, copies=3)) == 0

import pytest

from bftcluster.allocation.roster import Roster
from bftcluster.ledger.rules.holders.allocation import NotEnoughPeers
from bftcluster.ledger.rules.holders.strategies import STRATEGIES, Wish
from tests.unit.allocation.crowds import peer

EU, SSD = ("region", "eu"), ("disk", "ssd")


def roster() -> Roster:
    known = Roster()
    for number in range(8):
        tags = ((EU,) if number < 2 else ()) + ((SSD,) if number in {1, 2} else ())
        known.update(
            peer(number),
            1 if number == 7 else 1000,
            space=1 << 23 if number == 7 else 1,
            tags=tags,
            domain=f"d{number % 2}",
        )
    return known


def wish(number: int = 1, *, least: int = 2, most: int = 3, **options: object) -> Wish:
    return Wish(seed=b"%d" % number, least=least, most=most, **options)


def test_the_strategies_have_the_names_that_a_pin_may_say() -> None:
    assert sorted(STRATEGIES) == ["balanced", "everywhere", "freespace", "tags"]


@pytest.mark.parametrize("name", ["balanced", "freespace", "tags"])
def test_a_strategy_keeps_what_is_allocated(name: str) -> None:
    kept = (peer(3), peer(4))

    assert STRATEGIES[name].allocate(roster(), wish(current=kept)) == tuple(sorted(kept))


def test_balanced_goes_by_weight_and_freespace_by_space_alone() -> None:
    known = roster()
    by_weight = [STRATEGIES["balanced"].allocate(known, wish(n, least=1, most=1)) for n in range(9)]
    by_space = [STRATEGIES["freespace"].allocate(known, wish(n, least=1, most=1)) for n in range(9)]

    assert (peer(7),) not in by_weight
    assert by_space == [(peer(7),)] * 9


def test_those_with_the_first_wanted_tag_come_first_and_others_fill_up() -> None:
    known = roster()
    for number in range(20):
        asked = wish(number, least=4, most=4, tags=(EU, SSD))
        chosen = STRATEGIES["tags"].allocate(known, asked)
        assert isinstance(chosen, tuple)
        assert {peer(0), peer(1), peer(2)} < set(chosen)
        assert len(chosen) == 4


def test_everywhere_names_nobody() -> None:
    assert STRATEGIES["everywhere"].allocate(Roster(), wish()) == ()


def test_a_refusal_names_the_tag_that_nobody_has() -> None:
    refusal = STRATEGIES["tags"].allocate(roster(), wish(tags=(EU, ("region", "mars"))))

    assert str(refusal) == (
        "not enough peers to allocate CID. Needed at least: 2. Wanted at most: 3. "
        "Available candidates: 8. No candidate has the tag region=mars."
    )


def test_a_refusal_names_how_many_peers_are_missing() -> None:
    refusal = STRATEGIES["balanced"].allocate(roster(), wish(least=9, most=9))

    assert refusal == NotEnoughPeers(needed=9, wanted=9, candidates=8, room=(1 << 23) + 7)


def test_a_refusal_names_how_many_failure_domains_are_missing() -> None:
    refusal = STRATEGIES["balanced"].allocate(roster(), wish(domains_min=3))

    assert str(refusal).endswith(" Failure domains needed: 3. Available: 2.")
    assert isinstance(STRATEGIES["balanced"].allocate(roster(), wish(domains_min=2)), tuple)

from collections import Counter
from functools import cache
from itertools import permutations
from random import Random

import pytest

from bftcluster.allocation.roster import Roster
from bftcluster.allocation.straws import FAN_MAX, SEED_WORDS, Contest, Straw, add, carry, key_of
from bftcluster.allocation.tree import Place, StrawTree, place_of
from bftcluster.ids import PeerId
from bftcluster.reputation.arithmetic import NEVER, WEIGHT_MAX, cost, mix32
from bftcluster.reputation.logarithms import log2_table
from tests.unit.allocation.crowds import (
    chi_square,
    chi_square_most,
    moved,
    peer,
    picks,
    roster_of,
    seeds,
)

WORDS = [mix32(number, 1) for number in range(SEED_WORDS)]


def shape_of(straw: Straw) -> object:
    """Return all that a draw depends on."""
    below = [shape_of(child) for child in straw.children]
    return (straw.name, straw.word, straw.weight, straw.total, straw.members, below)


def tree_of(weights: dict[int, int], domains: int = 3, operators: int = 7) -> StrawTree:
    tree = StrawTree()
    for number, weight in weights.items():
        tree.update(_place(number, domains, operators), weight)
    return tree


def _place(number: int, domains: int = 3, operators: int = 7) -> Place:
    return place_of(peer(number), f"d{number % domains}", f"o{number % operators}")


@pytest.mark.parametrize("count", [FAN_MAX - 1, FAN_MAX + 1, 600])
def test_a_crowd_of_any_size_is_chosen_from_in_proportion_to_weights(count: int) -> None:
    roster = roster_of(count, weight=lambda number: 100 << number % 4, domain=lambda _: "one")

    counts: Counter[str] = Counter()
    for (first,) in picks(roster, 3000):
        counts[str(INDEX[first] % 4)] += 1

    classes = Counter({str(n % 4): 0 for n in range(count)})
    for number in range(count):
        classes[str(number % 4)] += 100 << number % 4
    assert chi_square(counts, dict(classes)) < 4


def test_each_peer_of_a_tree_gets_its_share() -> None:
    weights = {number: 50 + 37 * number for number in range(30)}
    tree = tree_of(weights)
    counts: Counter[str] = Counter()

    for number in range(6000):
        words = [mix32(number, word) for word in WORDS]
        counts[str(INDEX[tree.pick(words, 1, ())[0]])] += 1

    assert chi_square(counts, {str(n): weight for n, weight in weights.items()}) < 1.8


def test_the_tree_is_the_same_in_whatever_order_its_peers_came_and_went() -> None:
    random = Random(3)
    weights = {number: random.choice([1, 7, 1000, WEIGHT_MAX]) for number in range(300)}
    grown, shrunk = tree_of(weights, 25), StrawTree()
    order = list(range(500))
    random.shuffle(order)
    for number in order:
        shrunk.update(_place(number, 2, 40), 5)
        shrunk.pick(WORDS, 1, ())
        shrunk.update(_place(number, 25), weights.get(number, 9))
    random.shuffle(order)

    for number in order:
        shrunk.pick(WORDS, 1, ())
        shrunk.update(_place(number, 25), weights.get(number, 0))

    assert (grown.weight, len(grown)) == (shrunk.weight, len(shrunk))
    assert shape_of(grown._root) == shape_of(shrunk._root)
    assert sorted(grown._operators) == sorted(shrunk._operators)


@pytest.mark.parametrize("left", [1, FAN_MAX, FAN_MAX + 1, 200])
def test_a_crowd_that_was_larger_is_as_if_it_had_never_been(left: int) -> None:
    grown = tree_of(dict.fromkeys(range(left), 11), 1, 1)
    shrunk = tree_of(dict.fromkeys(range(700), 11), 1, 1)
    assert any(each.is_parted for each in shrunk._operators[_place(0, 1, 1).operator].values())

    for number in range(699, left - 1, -1):
        shrunk.update(_place(number, 1, 1), 0)

    assert shape_of(grown._root) == shape_of(shrunk._root)


def test_the_bound_that_saves_a_logarithm_changes_no_winner() -> None:
    random = Random(4)
    table = log2_table()
    for turn in range(300):
        crowd = Straw(b"", key_of(b"crowd", b"%d" % turn), level=0)
        for number in range(random.randrange(2, 30)):
            child = Straw(b"%02d" % number, key_of(b"child", b"%d %d" % (turn, number)), level=1)
            add(crowd, child)
            carry(child, random.choice([1, 2, 3, 500, WEIGHT_MAX >> 6]))
        seed = random.getrandbits(32)

        won = Contest(crowd, [seed] * SEED_WORDS).winner()

        bids = [cost(mix32(seed, c.word), c.weight, table) for c in crowd.children]
        assert won is crowd.children[bids.index(min(bids))]


@pytest.mark.parametrize("draw", [0, 1, 255, 256, 257, 291, 512, 1 << 16, 1 << 31, (1 << 32) - 1])
def test_the_bound_is_never_above_the_cost(draw: int) -> None:
    below = (1 << 32) - 1 - draw

    assert (((1 << 32) - below) >> 8 << 24) <= cost(below, 1, log2_table()) < NEVER


def test_of_equal_draws_the_lowest_name_wins() -> None:
    crowd = Straw(b"", key_of(b"crowd", b""), level=0)
    for name in (b"b", b"a", b"c"):
        child = Straw(name, key_of(b"same", b""), level=1)
        add(crowd, child)
        carry(child, 10)

    won = Contest(crowd, WORDS).winner()

    assert won is not None
    assert won.name == b"a"


def test_copies_are_in_distinct_domains_then_of_distinct_operators_then_at_distinct_peers() -> None:
    domain, operator = (lambda n: f"d{n % 3}"), (lambda n: f"o{n % 6}")
    roster = roster_of(24, domain=domain, operator=operator)

    for chosen in picks(roster, 200, copies=24):
        numbers = [INDEX[each] for each in chosen]
        assert len({domain(n) for n in numbers[:3]}) == 3
        assert len({operator(n) for n in numbers[:6]}) == 6
        assert len(set(numbers)) == 24


def test_an_operator_of_several_domains_is_chosen_once_while_there_are_others() -> None:
    roster = roster_of(8, domain=lambda n: f"d{n % 2}", operator=lambda n: f"o{n // 4}")

    for first, second in picks(roster, 100, copies=2):
        assert INDEX[first] // 4 != INDEX[second] // 4
        assert INDEX[first] % 2 != INDEX[second] % 2


def test_no_domain_has_more_than_a_twentieth_where_there_are_twenty() -> None:
    roster = roster_of(60, weight=lambda n: WEIGHT_MAX if n < 2 else 100, domain=str)

    counts = Counter(first for (first,) in picks(roster, 12_000))

    for number in (0, 1):
        assert 0.042 < counts[peer(number)] / 12_000 < 0.058
    others = {str(n): 100 for n in range(2, 60)}
    assert chi_square(Counter({str(n): counts[peer(n)] for n in range(2, 60)}), others) < 1.7


def test_domains_are_limited_no_more_when_there_are_too_few_of_them() -> None:
    roster = roster_of(20, weight=lambda n: 10_000 if n == 0 else 100, domain=str)
    limited = Counter(first for (first,) in picks(roster, 2000))

    roster.remove(peer(19))

    free = Counter(first for (first,) in picks(roster, 2000))
    assert limited[peer(0)] < 160
    assert free[peer(0)] > 1500


@pytest.mark.parametrize("weight", [0, -1])
def test_who_weighs_nothing_is_never_chosen(weight: int) -> None:
    roster = roster_of(5, weight=lambda n: weight if n == 2 else 1)

    assert len(roster) == 4
    assert all(peer(2) not in chosen for chosen in picks(roster, 50, copies=5))


def test_the_lightest_beside_the_heaviest_is_chosen_last() -> None:
    roster = roster_of(3, weight=lambda n: 1 if n == 0 else WEIGHT_MAX << 40)

    assert all(chosen.index(peer(0)) == 2 for chosen in picks(roster, 200, copies=3))


def test_a_change_in_one_crowd_moves_no_more_than_its_share() -> None:
    """Schindelhauer and Schomaker's bound: who comes with a weight of w takes w of w + W."""
    before = roster_of(40, weight=lambda n: 500 + n)
    weight = sum(500 + n for n in range(40))
    after = roster_of(40, weight=lambda n: 500 + n)
    after.update(peer(99), 700)

    rate = moved(picks(before, 2000, copies=3), picks(after, 2000, copies=3))

    assert rate < 1.1 * 3 * 700 / (700 + weight)


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize(
    ("domain", "operator", "levels"),
    [("new", "new", 1), ("d1", "new", 2), ("d1", "d1 o1", 3)],
)
def test_drawn_anew_a_tree_moves_a_newcomers_share_once_on_each_level_where_it_has_siblings(
    domain: str, operator: str, levels: int, copies: int
) -> None:
    """Levels draw independently: of the pins of W, `w / (W + w)` come to its domain.

    Of those that the domain had, `W_d / W * w / (W_d + w)` go from other operators to its own, and
    likewise below. Each is at most `w / (W + w)`; only the first is inherent, and of the first the
    part that does not end at the newcomer moves to its siblings. Stored allocations do not move.
    """
    after = _tree_of_levels()
    after.update(peer(9000), 100_000, domain=domain, operator=operator)
    bound = copies * 100_000 / (1000 * 1000 + 100_000)

    rate = moved(_before(copies), picks(after, 2500, copies))

    assert rate < 1.1 * levels * bound


def test_every_level_of_a_tree_is_shared_as_its_weights_are() -> None:
    """At one in a thousand, on each level."""
    weights = [500 + 7 * number for number in range(60)]
    roster = roster_of(
        60,
        weight=weights.__getitem__,
        domain=lambda n: f"d{n % 5}",
        operator=lambda n: f"d{n % 5} o{n % 15}",
    )
    chosen = [INDEX[first] for (first,) in picks(roster, 12_000)]

    for level in (5, 15, 60):
        shares: Counter[str] = Counter()
        for number, weight in enumerate(weights):
            shares[str(number % level)] += weight
        counts = Counter(str(number % level) for number in chosen)
        assert chi_square(counts, dict(shares)) < chi_square_most(level)


def test_three_copies_are_shared_as_by_three_draws_without_those_that_won_before() -> None:
    """The heavy have less than three times their share, as nobody wins twice."""
    weights = [100, 100, 100, 200, 200, 400, 400, 800, 1600, 100]
    whole = sum(weights)
    expected = dict.fromkeys(map(str, range(10)), 0.0)
    for first, second, third in permutations(range(10), 3):
        left = whole - weights[first]
        chance = weights[first] * weights[second] * weights[third]
        chance /= whole * left * (left - weights[second])
        for number in (first, second, third):
            expected[str(number)] += chance

    chosen = picks(roster_of(10, weight=weights.__getitem__), 8000, copies=3)

    counts = Counter(str(INDEX[each]) for three in chosen for each in three)
    shares = {name: round(chance * 1e9) for name, chance in expected.items()}
    assert chi_square(counts, shares) < chi_square_most(10)
    assert expected["8"] < 0.75 * 3 * 1600 / whole


@cache
def _before(copies: int) -> list[list[PeerId]]:
    return picks(_tree_of_levels(), 2500, copies)


def _tree_of_levels() -> Roster:
    return roster_of(
        1000, domain=lambda n: f"d{n % 10}", operator=lambda n: f"d{n % 10} o{n // 10 % 10}"
    )


def test_the_copies_of_a_peer_that_leaves_are_all_that_moves_where_they_are_stored() -> None:
    roster = _tree_of_levels()
    before = picks(roster, 600, copies=3)
    roster.remove(peer(1))

    for seed, chosen in zip(seeds(600), before, strict=True):
        kept = [each for each in chosen if each != peer(1)]
        again = kept + roster.pick(seed, 3 - len(kept), held=kept)
        assert set(again) == set(chosen) or peer(1) in chosen
        assert len({INDEX[each] % 10 for each in again}) == 3


INDEX: dict[PeerId, int] = {peer(number): number for number in range(1000)}

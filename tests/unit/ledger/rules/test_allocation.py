import hashlib
import math

import pytest

from bftcluster.ids import PeerId
from bftcluster.ledger.rules.allocation import NotEnoughPeers, allocate
from bftcluster.ledger.state.roster import Roster, negative_log2
from bftcluster.ledger.state.weights import weight_of
from tests.unit.ledger.world import cid_of

MIB = 1 << 20
PEERS = [PeerId(hashlib.sha256(bytes((number,))).digest()) for number in range(20)]


def roster_of(weights: dict[PeerId, int], groups: dict[PeerId, str] | None = None) -> Roster:
    roster = Roster(b"seed")
    for peer, mebibytes in weights.items():
        roster.update(peer, weight_of(mebibytes * MIB), (groups or {}).get(peer, ""))
    return roster


EQUAL = roster_of(dict.fromkeys(PEERS, 100))


@pytest.mark.parametrize("number", [0, 1, 2, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_the_integer_logarithm_is_the_logarithm(number: int) -> None:
    exact = 64 - math.log2(number + 1)

    assert abs(negative_log2(number) / 2**40 - exact) < 3e-7


def test_the_integer_logarithm_never_rises() -> None:
    numbers = [int.from_bytes(hashlib.sha256(bytes((i,))).digest()[:8], "big") for i in range(200)]
    numbers = sorted([*numbers, 0, (1 << 64) - 1])

    logarithms = [negative_log2(number) for number in numbers]

    assert logarithms == sorted(logarithms, reverse=True)
    assert (logarithms[0], logarithms[-1]) == (64 << 40, 0)


def test_the_draws_are_the_same_on_every_machine_for_ever() -> None:
    """Pinned: another result would let peers of different versions disagree."""
    ranked = EQUAL.rank_all(cid_of(1))

    digest = hashlib.sha256(b"".join(ranked)).hexdigest()
    assert digest == "e5a25529c987f4598537e537b80147d5f577da7a270dbae3032b695f9f69ece7"


def test_the_order_in_which_peers_came_does_not_matter() -> None:
    backwards = roster_of(dict.fromkeys(reversed(PEERS), 100))

    assert backwards.rank_all(cid_of(1)) == EQUAL.rank_all(cid_of(1))


def test_peers_are_chosen_in_proportion_to_their_free_space() -> None:
    roster = roster_of({PEERS[0]: 100, PEERS[1]: 200, PEERS[2]: 700})
    counts = dict.fromkeys(PEERS[:3], 0)

    for number in range(5000):
        counts[roster.rank_all(cid_of(number))[0]] += 1

    shares = [counts[peer] / 5000 for peer in PEERS[:3]]
    assert shares == pytest.approx([0.1, 0.2, 0.7], abs=0.025)


def test_a_peer_that_leaves_moves_only_what_it_held() -> None:
    fewer = roster_of(dict.fromkeys(PEERS[1:], 100))

    for number in range(300):
        best = EQUAL.rank_all(cid_of(number))[0]
        if best != PEERS[0]:
            assert fewer.rank_all(cid_of(number))[0] == best


def test_a_peer_that_fills_up_is_no_candidate_until_it_has_room_again() -> None:
    roster = roster_of(dict.fromkeys(PEERS[:2], 100))

    roster.update(PEERS[0], 0)
    roster.update(PEERS[5], 0)
    assert PEERS[0] not in roster
    assert len(roster) == 1

    roster.update(PEERS[0], weight_of(1))
    assert PEERS[0] in roster


def test_as_many_distinct_peers_as_possible_up_to_the_maximum_are_chosen() -> None:
    three = allocate(cid_of(1), EQUAL, least=1, most=3)
    few = allocate(cid_of(1), roster_of(dict.fromkeys(PEERS[:2], 1)), least=1, most=3)

    assert isinstance(three, tuple)
    assert len(set(three)) == 3
    assert three == tuple(sorted(EQUAL.rank_all(cid_of(1))[:3]))
    assert few == tuple(sorted(PEERS[:2]))


def test_too_few_candidates_are_counted() -> None:
    roster = roster_of(dict.fromkeys(PEERS[:3], 1))

    refusal = allocate(cid_of(1), roster, least=4, most=6, current=PEERS[2:3])

    assert refusal == NotEnoughPeers(needed=3, wanted=5, candidates=2)


def test_between_minimum_and_maximum_nothing_moves() -> None:
    current = PEERS[3:5]

    assert allocate(cid_of(1), EQUAL, least=2, most=5, current=current) == tuple(sorted(current))


def test_only_what_is_missing_is_added() -> None:
    current = PEERS[3:5]

    grown = allocate(cid_of(1), EQUAL, least=3, most=4, current=current)

    assert isinstance(grown, tuple)
    assert set(current) < set(grown)
    assert len(grown) == 4


def test_a_full_peer_keeps_what_it_holds() -> None:
    roster = roster_of(dict.fromkeys(PEERS[1:], 100))

    grown = allocate(cid_of(1), roster, least=2, most=2, current=[PEERS[0]])

    assert isinstance(grown, tuple)
    assert PEERS[0] in grown


def test_the_worst_draws_go_when_there_are_too_many() -> None:
    ranked = EQUAL.rank_all(cid_of(1))

    kept = allocate(cid_of(1), EQUAL, least=1, most=2, current=ranked[4:8])

    assert kept == tuple(sorted(ranked[4:6]))


def test_full_peers_go_first_when_there_are_too_many() -> None:
    roster = roster_of(dict.fromkeys(PEERS[1:3], 100))

    kept = allocate(cid_of(1), roster, least=1, most=2, current=PEERS[:3])

    assert kept == tuple(sorted(PEERS[1:3]))


def test_of_peers_that_are_all_full_the_lowest_keys_stay() -> None:
    nobody = roster_of({})

    kept = allocate(cid_of(1), nobody, least=1, most=6, current=PEERS[:12])

    assert kept == tuple(sorted(PEERS[:12])[:6])


def test_preferred_peers_stay_when_there_are_too_many() -> None:
    for peer in PEERS[:4]:
        kept = allocate(cid_of(1), EQUAL, least=1, most=1, current=PEERS[:4], preferred=[peer])

        assert kept == (peer,)


def test_preferred_peers_come_first_as_far_as_they_are_candidates() -> None:
    stranger = PeerId(bytes(32))

    chosen = allocate(cid_of(1), EQUAL, least=2, most=2, preferred=[stranger, PEERS[7]])

    assert isinstance(chosen, tuple)
    assert PEERS[7] in chosen
    assert stranger not in chosen


def test_a_group_gets_a_second_copy_only_when_every_group_has_one() -> None:
    groups = {peer: "left" if index < 4 else "right" for index, peer in enumerate(PEERS[:5])}
    roster = roster_of(dict.fromkeys(PEERS[:6], 100), groups)

    two = [allocate(cid_of(n), roster, least=3, most=3) for n in range(30)]
    four = allocate(cid_of(1), roster, least=4, most=4)

    for chosen in two:
        assert isinstance(chosen, tuple)
        assert {groups.get(peer, "alone") for peer in chosen} == {"left", "right", "alone"}
    assert isinstance(four, tuple)
    assert len(four) == 4


def test_groups_that_hold_it_already_come_last() -> None:
    groups = {PEERS[0]: "left", PEERS[1]: "left", PEERS[2]: "right"}
    roster = roster_of(dict.fromkeys(PEERS[:3], 100), groups)

    for number in range(20):
        chosen = allocate(cid_of(number), roster, least=2, most=2, current=[PEERS[0]])
        assert chosen == tuple(sorted((PEERS[0], PEERS[2])))


def test_a_peer_can_leave_its_group() -> None:
    groups = {PEERS[0]: "left", PEERS[1]: "left"}
    roster = roster_of(dict.fromkeys(PEERS[:2], 100), groups)
    roster.update(PEERS[0], weight_of(100 * MIB))
    roster.update(PEERS[1], weight_of(100 * MIB))

    ranked = roster.rank_all(cid_of(1))

    assert roster.spread(ranked, ()) is ranked

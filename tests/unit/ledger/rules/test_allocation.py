import hashlib

import pytest

from bftcluster.allocation.roster import Roster
from bftcluster.ids import PeerId
from bftcluster.ledger.rules.holders.allocation import NotEnoughPeers, allocate, pin_seed
from bftcluster.ledger.state.weights import units_of
from tests.unit.ledger.world import cid_of

MIB = 1 << 20
PEERS = [PeerId(hashlib.sha256(bytes((number,))).digest()) for number in range(20)]


def roster_of(weights: dict[PeerId, int], groups: dict[PeerId, str] | None = None) -> Roster:
    roster = Roster()
    for peer, mebibytes in weights.items():
        domain = (groups or {}).get(peer, "")
        roster.update(peer, units_of(mebibytes * MIB), domain=domain)
    return roster


def seed_of(number: int) -> bytes:
    return pin_seed(b"seed", cid_of(number))


def ranked(roster: Roster, number: int) -> list[PeerId]:
    return roster.pick(seed_of(number), len(roster))


EQUAL = roster_of(dict.fromkeys(PEERS, 100))


def test_the_draws_are_the_same_on_every_machine_for_ever() -> None:
    """Pinned: another result would let peers of different versions disagree."""
    digest = hashlib.sha256(b"".join(ranked(EQUAL, 1))).hexdigest()
    assert digest == "e2f7b973153b90350952cdaf94beb5fa0f2d98b351a07ced0ff3e7416de4a9e9"


def test_the_order_in_which_peers_came_does_not_matter() -> None:
    backwards = roster_of(dict.fromkeys(reversed(PEERS), 100))

    assert ranked(backwards, 1) == ranked(EQUAL, 1)


def test_peers_are_chosen_in_proportion_to_their_free_space() -> None:
    roster = roster_of({PEERS[0]: 100, PEERS[1]: 200, PEERS[2]: 700})
    counts = dict.fromkeys(PEERS[:3], 0)

    for number in range(5000):
        counts[ranked(roster, number)[0]] += 1

    shares = [counts[peer] / 5000 for peer in PEERS[:3]]
    assert shares == pytest.approx([0.1, 0.2, 0.7], abs=0.025)


def test_a_peer_that_leaves_moves_only_what_it_held() -> None:
    fewer = roster_of(dict.fromkeys(PEERS[1:], 100))

    for number in range(300):
        best = ranked(EQUAL, number)[0]
        if best != PEERS[0]:
            assert ranked(fewer, number)[0] == best


def test_a_peer_that_fills_up_is_no_candidate_until_it_has_room_again() -> None:
    roster = roster_of(dict.fromkeys(PEERS[:2], 100))

    roster.update(PEERS[0], 0)
    roster.update(PEERS[5], 0)
    assert PEERS[0] not in roster
    assert len(roster) == 1

    roster.update(PEERS[0], units_of(1))
    assert PEERS[0] in roster


def test_as_many_distinct_peers_as_possible_up_to_the_maximum_are_chosen() -> None:
    three = allocate(seed_of(1), EQUAL, least=1, most=3)
    few = allocate(seed_of(1), roster_of(dict.fromkeys(PEERS[:2], 1)), least=1, most=3)

    assert isinstance(three, tuple)
    assert len(set(three)) == 3
    assert three == tuple(sorted(ranked(EQUAL, 1)[:3]))
    assert few == tuple(sorted(PEERS[:2]))


def test_too_few_candidates_are_counted() -> None:
    roster = roster_of(dict.fromkeys(PEERS[:3], 1))

    refusal = allocate(seed_of(1), roster, least=4, most=6, current=PEERS[2:3])

    assert refusal == NotEnoughPeers(needed=3, wanted=5, candidates=2, room=3)


def test_between_minimum_and_maximum_nothing_moves() -> None:
    current = PEERS[3:5]

    assert allocate(seed_of(1), EQUAL, least=2, most=5, current=current) == tuple(sorted(current))


def test_only_what_is_missing_is_added() -> None:
    current = PEERS[3:5]

    grown = allocate(seed_of(1), EQUAL, least=3, most=4, current=current)

    assert isinstance(grown, tuple)
    assert set(current) < set(grown)
    assert len(grown) == 4


def test_a_full_peer_keeps_what_it_holds() -> None:
    roster = roster_of(dict.fromkeys(PEERS[1:], 100))

    grown = allocate(seed_of(1), roster, least=2, most=2, current=[PEERS[0]])

    assert isinstance(grown, tuple)
    assert PEERS[0] in grown


def test_the_worst_draws_go_when_there_are_too_many() -> None:
    best_first = ranked(EQUAL, 1)

    kept = allocate(seed_of(1), EQUAL, least=1, most=2, current=best_first[4:8])

    assert kept == tuple(sorted(best_first[4:6]))


def test_full_peers_go_first_when_there_are_too_many() -> None:
    roster = roster_of(dict.fromkeys(PEERS[1:3], 100))

    kept = allocate(seed_of(1), roster, least=1, most=2, current=PEERS[:3])

    assert kept == tuple(sorted(PEERS[1:3]))


def test_of_peers_that_are_all_full_the_lowest_keys_stay() -> None:
    nobody = roster_of({})

    kept = allocate(seed_of(1), nobody, least=1, most=6, current=PEERS[:12])

    assert kept == tuple(sorted(PEERS[:12])[:6])


def test_preferred_peers_stay_when_there_are_too_many() -> None:
    for peer in PEERS[:4]:
        kept = allocate(seed_of(1), EQUAL, least=1, most=1, current=PEERS[:4], preferred=[peer])

        assert kept == (peer,)


def test_preferred_peers_come_first_as_far_as_they_are_candidates() -> None:
    stranger = PeerId(bytes(32))

    chosen = allocate(seed_of(1), EQUAL, least=2, most=2, preferred=[stranger, PEERS[7]])

    assert isinstance(chosen, tuple)
    assert PEERS[7] in chosen
    assert stranger not in chosen


def test_a_group_gets_a_second_copy_only_when_every_group_has_one() -> None:
    groups = {peer: "left" if index < 4 else "right" for index, peer in enumerate(PEERS[:5])}
    roster = roster_of(dict.fromkeys(PEERS[:6], 100), groups)

    two = [allocate(seed_of(n), roster, least=3, most=3) for n in range(30)]
    four = allocate(seed_of(1), roster, least=4, most=4)

    for chosen in two:
        assert isinstance(chosen, tuple)
        assert {groups.get(peer, "alone") for peer in chosen} == {"left", "right", "alone"}
    assert isinstance(four, tuple)
    assert len(four) == 4


def test_groups_that_hold_it_already_come_last() -> None:
    groups = {PEERS[0]: "left", PEERS[1]: "left", PEERS[2]: "right"}
    roster = roster_of(dict.fromkeys(PEERS[:3], 100), groups)

    for number in range(20):
        chosen = allocate(seed_of(number), roster, least=2, most=2, current=[PEERS[0]])
        assert chosen == tuple(sorted((PEERS[0], PEERS[2])))


def test_a_peer_can_leave_its_group() -> None:
    groups = {PEERS[0]: "left", PEERS[1]: "left"}
    roster = roster_of(dict.fromkeys(PEERS[:2], 100), groups)
    roster.update(PEERS[0], units_of(100 * MIB))
    roster.update(PEERS[1], units_of(100 * MIB))

    alone = roster_of(dict.fromkeys(PEERS[:2], 100))
    assert [ranked(roster, n) for n in range(20)] == [ranked(alone, n) for n in range(20)]

"""Who loses a view sits out for a while: as many as the cluster bears, and not for ever."""

from dataclasses import replace

import pytest

from bftcluster.ids import Epoch, ReplicaId, Seq, View
from bftcluster.ledger.state.membership_rows import next_membership
from bftcluster.ledger.state.primary_penalties import MARKS_MAX, Turns, read_turns, turns_to_value
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.membership import Membership
from tests.unit.ledger.rules.test_membership import contradiction
from tests.unit.ledger.world import PEERS, World, genesis_of, peer_id

INTERVAL = 4
TERM = 16 * INTERVAL
"""Of somebody with two marks."""


@pytest.fixture
def world() -> World:
    """Four replicas, and a checkpoint every four batches."""
    return World(genesis_of(checkpoint_interval=INTERVAL))


def names(n: int) -> tuple[ReplicaId, ...]:
    return tuple(ReplicaId(bytes([number]) * 32) for number in range(n))


def voters(*numbers: int) -> tuple[ReplicaId, ...]:
    return tuple(ReplicaId(peer_id(PEERS[number])) for number in numbers)


def run_to(world: World, seq: int, *, view: int = 0) -> None:
    while world.ledger.head.seq < seq:
        world.run(view=view)


def barred(world: World) -> list[tuple[int, set[int]]]:
    """Return from which batch on who of the peers is barred, for each epoch but the first."""
    number_of = {peer: number for number, peer in enumerate(voters(*range(len(PEERS))))}
    return [
        (start.first, {number_of[replica] for replica in start.membership.barred})
        for start in world.ledger.epochs[1:]
    ]


def lost(turns: Turns) -> list[tuple[int, int]]:
    return [(lapse.replica[0], lapse.marks) for lapse in turns.lapses]


def test_a_view_from_which_nothing_came_costs_its_primary_a_term(world: World) -> None:
    run_to(world, 1)
    run_to(world, 2 * INTERVAL, view=2)
    run_to(world, TERM + 2 * INTERVAL)

    assert barred(world) == [(2 * INTERVAL + 1, {1}), (TERM + 2 * INTERVAL + 1, set())]


def test_a_primary_that_served_and_lost_its_view_once_stays_in_the_round(world: World) -> None:
    run_to(world, 1)
    run_to(world, 5 * INTERVAL, view=1)

    assert barred(world) == []


def test_a_primary_that_serves_a_little_each_time_sits_out_too(world: World) -> None:
    for view in range(6):
        world.run(view=view)
    run_to(world, 2 * INTERVAL, view=5)

    # In view 4 it was the turn of peer 0 again.
    assert barred(world) == [(3 * INTERVAL + 1, {0})]


def test_the_round_goes_on_with_the_primary_that_works(world: World) -> None:
    run_to(world, INTERVAL, view=2)

    membership = world.ledger.epochs[-1].membership

    assert membership.barred == {*voters(1)}
    primaries = [membership.primary(View(view)) for view in range(4)]
    assert primaries == [*voters(2, 3, 0), *voters(2)]


def test_a_replica_that_votes_no_more_hands_its_turn_to_the_next(world: World) -> None:
    admit(world, 4)
    run_to(world, 3 * INTERVAL)
    world.do(world.submit(AdmitPeer(peer=peer_id(PEERS[0]), name="0", addresses=(), votes=False)))
    run_to(world, 4 * INTERVAL)

    assert world.ledger.epochs[-1].membership.replicas == voters(1, 2, 3, 4)


def test_a_newcomer_has_its_turn_last(world: World) -> None:
    run_to(world, 1, view=2)
    admit(world, 4)
    run_to(world, INTERVAL, view=2)

    assert world.ledger.epochs[-1].membership.replicas == voters(2, 3, 0, 1, 4)


def admit(world: World, number: int) -> None:
    operation = AdmitPeer(peer=peer_id(PEERS[number]), name="new", addresses=(), votes=True)
    assert world.do(world.submit(operation)).is_accepted


def test_the_state_root_covers_who_lost_a_view(world: World) -> None:
    other = World(genesis_of(checkpoint_interval=INTERVAL))
    for each, view in ((world, 1), (other, 2)):
        each.run(view=view)
        run_to(each, INTERVAL)

    assert world.last is not None
    assert other.last is not None
    assert world.ledger.head == other.ledger.head
    assert world.last.roots != other.last.roots


def test_a_restart_forgets_no_lapse(world: World) -> None:
    world.run(view=2)
    world.reopen()
    run_to(world, INTERVAL)

    assert barred(world) == [(2 * INTERVAL + 1, {1})]


def test_views_are_counted_anew_in_each_epoch(world: World) -> None:
    run_to(world, 2 * INTERVAL, view=2)
    assert barred(world) == [(2 * INTERVAL + 1, {1})]

    world.run(view=2)
    run_to(world, 3 * INTERVAL)

    # The round went on with peer 2 in view 0 and peer 3 in view 1: nothing came from that.
    assert barred(world)[-1] == (4 * INTERVAL + 1, {3})


def test_a_liar_goes_before_those_who_lost_a_view(world: World) -> None:
    world.run(view=2)
    world.do(contradiction(world, PEERS[3]))
    run_to(world, INTERVAL, view=2)

    assert barred(world) == [(2 * INTERVAL + 1, {3})]


def test_the_primary_that_works_is_not_stopped_for_what_it_lost_before() -> None:
    current = Membership(Epoch(0), names(4))
    lost_most, lost_less, *_ = current.replicas

    def following(accused: set[ReplicaId]) -> Membership | None:
        out = [lost_most, lost_less]
        return next_membership(current, [], accused, sitting_out=out, last_primary=lost_most)

    works, lied = following(set()), following({lost_most})
    assert works is not None
    assert lied is not None
    assert works.barred == {lost_less}
    assert lied.barred == {lost_most}


@pytest.mark.parametrize(("n", "last"), [(4, {2}), (5, {3}), (6, {4}), (7, {4, 5})])
def test_no_more_than_f_sit_out_and_those_are_the_last_to_lose(n: int, last: set[int]) -> None:
    world = World(genesis_of(checkpoint_interval=INTERVAL, peers=PEERS[:n]))

    run_to(world, INTERVAL, view=n - 1)

    assert barred(world) == [(2 * INTERVAL + 1, last)]


def test_a_term_doubles_with_each_mark_up_to_a_bound() -> None:
    membership = Membership(Epoch(0), names(4))
    turns, terms = Turns(), []
    for seq in range(1, MARKS_MAX + 3):
        turns = replace(turns, view=View(4 * seq)).after(View(4 * seq + 1), Seq(seq), membership)
        term = range(1, 2000)
        terms.append(sum(turns.sitting_out(Seq(seq + n * INTERVAL), INTERVAL) != [] for n in term))

    assert terms == [0, 15, 31, 63, 127, 255, 511, 1023, 1023, 1023]


def test_a_view_from_which_nothing_came_counts_twice() -> None:
    turns = Turns().after(View(3), Seq(1), Membership(Epoch(0), names(4)))

    assert lost(turns) == [(0, 1), (1, 2), (2, 2)]


def test_who_lost_more_sits_out_rather_than_who_lost_something_later() -> None:
    membership = Membership(Epoch(0), names(7))
    turns = Turns().after(View(2), Seq(1), membership)
    turns = turns.after(View(6), Seq(2), membership).after(View(7), Seq(3), membership)
    turns = turns.after(View(8), Seq(4), membership)

    assert lost(turns) == [(1, 2), (2, 1), (3, 2), (4, 2), (5, 2), (6, 1), (0, 2)]
    assert [each[0] for each in turns.sitting_out(Seq(8), INTERVAL)] == [0, 5, 4, 3, 1]
    later = turns.after(View(9), Seq(5), membership)
    assert [each[0] for each in later.sitting_out(Seq(8), INTERVAL)] == [1, 0, 5, 4, 3]


def test_a_lapse_is_forgotten_after_a_second_term_without_another() -> None:
    membership = Membership(Epoch(0), names(4))
    turns = Turns().after(View(2), Seq(1), membership)
    end = Seq(1 + 2 * TERM)

    remembered = turns.at_checkpoint(Seq(end - 1), INTERVAL, membership.replicas)
    forgotten = turns.at_checkpoint(end, INTERVAL, membership.replicas)

    assert lost(remembered) == [(1, 2)]
    assert lost(forgotten) == []
    assert lost(replace(remembered, view=View(5)).after(View(6), end, membership)) == [(1, 3)]


def test_what_a_replica_lost_is_forgotten_when_it_votes_no_more() -> None:
    membership = Membership(Epoch(0), names(4))
    turns = Turns().after(View(2), Seq(1), membership)

    assert lost(turns.at_checkpoint(Seq(4), INTERVAL, names(4)[1:])) == [(1, 2)]


def test_a_whole_round_of_lost_views_is_held_against_nobody() -> None:
    everybody = Membership(Epoch(0), names(4))
    but_one = Membership(Epoch(1), names(4), frozenset(names(1)))

    assert lost(Turns().after(View(3), Seq(1), everybody)) == [(0, 1), (1, 2), (2, 2)]
    assert Turns().after(View(4), Seq(1), everybody) == Turns(view=View(4))
    assert Turns().after(View(3), Seq(1), but_one) == Turns(view=View(3))


def test_a_batch_of_an_earlier_view_and_a_filled_gap_tell_nothing() -> None:
    membership = Membership(Epoch(0), names(4))
    turns = Turns().after(View(1), Seq(1), membership)

    assert turns.after(View(1), Seq(2), membership) == turns
    assert turns.after(View(0), Seq(2), membership) == turns


def test_the_row_holds_all_of_it_and_is_absent_while_nobody_lost_a_view() -> None:
    membership = Membership(Epoch(0), names(4))
    turns = Turns().after(View(3), Seq(9), membership)

    assert read_turns(turns_to_value(turns)) == turns
    assert turns_to_value(Turns()) is None
    assert read_turns(None) == Turns()

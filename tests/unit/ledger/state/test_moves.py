"""Moves are looked at in the order in which they began, whatever a restart finds."""

from bftcluster.ids import PeerId
from bftcluster.ledger.rules.reallocation import begin_move
from bftcluster.ledger.state.progress.moves import MOVE_PREFIX, Move, MoveQueue
from tests.unit.ledger.state.test_reopened import assert_reopens_alike
from tests.unit.ledger.world import World

GONE = [PeerId(bytes([number]) * 32) for number in (9, 3, 6)]
"""Peers that are no members any more: their pins are looked at although they have none."""


def test_a_move_that_begins_again_goes_behind_all_others() -> None:
    world = World()
    state = world.ledger._state
    for peer in (*GONE, GONE[1]):
        begin_move(state, peer)
    world.store.flush(state.take_delta())

    assert [move.peer for move in state.moves] == [GONE[0], GONE[2], GONE[1]]
    assert_reopens_alike(world)


def test_moves_end_one_after_the_other() -> None:
    world = World()
    state = world.ledger._state
    for peer in GONE:
        begin_move(state, peer)

    left = []
    while state.moves.first is not None:
        world.run()
        left.append([move.peer for move in state.moves])
        assert_reopens_alike(world)

    assert left == [GONE[1:], GONE[2:], []]


def test_a_row_is_of_one_peer_however_many_there_are() -> None:
    queue = MoveQueue(())
    sizes = {
        len(queue.set(Move(peer=PeerId(number.to_bytes(32, "big")), slot=number))[1])
        for number in range(24, 250)
    }

    assert max(sizes) < 40
    assert len(queue) == 226


def test_what_lies_behind_the_rows_is_left_alone() -> None:
    queue = MoveQueue([(MOVE_PREFIX + bytes(8), _row()), (b"members/turns", b"x")])

    assert [move.slot for move in queue] == [5]


def _row() -> bytes:
    return MoveQueue(()).set(Move(peer=GONE[0], slot=5))[1]

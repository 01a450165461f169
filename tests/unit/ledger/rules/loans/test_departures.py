"""Who does not vote goes by its own word, and what it held is given to others before."""

from dataclasses import replace

import pytest

from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.effects import PeerChanged
from bftcluster.ledger.state.membership_rows import Change
from bftcluster.ledger.state.shares import HOUR_MS
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.limits import (
    LEAVE_GRACE_MS,
    LEAVE_SAID_AHEAD_MAX_MS,
    LEAVE_SAID_MAX_MS,
    PEER_REQUESTS_PER_HOUR_MAX,
    SHARE_USED_UP_PACE_MS,
)
from tests.unit.ledger.departures import (
    admit,
    duties,
    holders,
    pin,
    remove,
    settle,
    world_of,
)
from tests.unit.ledger.invitees import departure, is_in, record_of
from tests.unit.ledger.state.test_reopened import recover, recovery_of
from tests.unit.ledger.world import PEERS, World, peer_id, resigned

LEAVER = PEERS[4]


@pytest.fixture
def world() -> World:
    """Seven peers that hold pins, three of which do not vote."""
    world = world_of(7)
    pin(world, range(12), 2)
    assert duties(world, LEAVER)
    return world


def test_what_it_held_goes_to_others_while_it_is_there(world: World) -> None:
    held = duties(world, LEAVER)

    assert world.do(departure(world, LEAVER)).code is OutcomeCode.COMMITTED
    settle(world)

    assert is_in(world, LEAVER)
    assert duties(world, LEAVER) == held
    for number in range(12):
        others = set(holders(world, number)) - {peer_id(LEAVER)}
        assert len(others) == 2


def test_it_is_given_nothing_more(world: World) -> None:
    held = duties(world, LEAVER)
    world.do(departure(world, LEAVER))

    pin(world, range(100, 130), 2)

    assert duties(world, LEAVER) == held


def test_its_second_word_lets_it_go(world: World) -> None:
    world.do(departure(world, LEAVER))
    settle(world)

    assert world.do(departure(world, LEAVER, is_final=True)).code is OutcomeCode.COMMITTED

    settle(world)
    assert not is_in(world, LEAVER)
    assert not duties(world, LEAVER)
    world.run(after_ms=LEAVE_GRACE_MS + 1)


def test_it_goes_at_once_if_it_says_so(world: World) -> None:
    assert world.do(departure(world, LEAVER, is_final=True)).code is OutcomeCode.COMMITTED

    assert not is_in(world, LEAVER)


def test_it_goes_when_its_time_is_over(world: World) -> None:
    world.do(departure(world, LEAVER))
    world.run(after_ms=LEAVE_GRACE_MS - 1)
    assert is_in(world, LEAVER)
    world.reopen()

    world.run(after_ms=60_001)

    assert not is_in(world, LEAVER)


def test_who_votes_does_not_go_by_itself(world: World) -> None:
    word = departure(world, PEERS[0], is_final=True)

    assert world.do(word).code is OutcomeCode.INVALID_OPERATION
    assert world.verifier.refusal(word.to_bytes()).code is OutcomeCode.INVALID_OPERATION
    assert is_in(world, PEERS[0])


def test_an_old_word_does_not_send_away_who_was_let_in_again(world: World) -> None:
    word = departure(world, LEAVER, is_final=True)
    world.do(word)
    admit(world, LEAVER)

    assert world.do(word, after_ms=LEAVE_SAID_MAX_MS).code is OutcomeCode.EXPIRED
    assert world.verifier.refusal(word.to_bytes()).code is OutcomeCode.EXPIRED
    assert is_in(world, LEAVER)


def test_a_word_from_the_future_is_early(world: World) -> None:
    ahead_ms = world.now_ms + LEAVE_SAID_AHEAD_MAX_MS + 2
    word = departure(world, LEAVER, said_ms=ahead_ms)

    assert world.do(word).code is OutcomeCode.NOT_YET_VALID


def test_words_from_the_future_are_heard_for_an_hours_share_alone(world: World) -> None:
    ahead_ms = world.now_ms + LEAVE_SAID_AHEAD_MAX_MS + HOUR_MS
    words = [departure(world, LEAVER, said_ms=ahead_ms + number) for number in range(3)]
    assert world.verifier.refusal(words[0].to_bytes()) is None
    world.do(words[0])
    record = record_of(world, LEAVER)
    assert record.spent.requests
    used_up = replace(
        record.spent, hour=world.now_ms // HOUR_MS, requests=PEER_REQUESTS_PER_HOUR_MAX
    )
    key = (Space.PEER, peer_id(LEAVER))
    world.store.flush({key: replace(record, spent=used_up).to_value()})
    world.reopen()
    row = world.store.get(*key)

    assert world.verifier.refusal(words[1].to_bytes()).code is OutcomeCode.TOO_MUCH
    assert world.do(words[1]).code is OutcomeCode.TOO_MUCH
    assert world.do(words[2], after_ms=SHARE_USED_UP_PACE_MS).code is OutcomeCode.TOO_MUCH

    assert world.store.get(*key) == row
    assert world.do(departure(world, LEAVER)).is_accepted


def test_nobody_sends_another_away(world: World) -> None:
    forged = resigned(departure(world, LEAVER), bytes(64))

    assert world.do(forged).code is OutcomeCode.BAD_SIGNATURE
    assert not world.verifier.admissible(forged.to_bytes())


def test_to_say_it_twice_changes_nothing(world: World) -> None:
    world.do(departure(world, LEAVER))
    again = departure(world, LEAVER)

    assert world.verifier.refusal(again.to_bytes()).code is OutcomeCode.ALREADY
    assert world.do(again).code is OutcomeCode.ALREADY


def test_who_leaves_is_let_in_again_when_it_has_left(world: World) -> None:
    world.do(departure(world, LEAVER))
    with pytest.raises(AssertionError):
        admit(world, LEAVER)
    remove(world, LEAVER)

    admit(world, LEAVER)

    assert is_in(world, LEAVER)
    world.run(after_ms=LEAVE_GRACE_MS + 60_001)
    assert is_in(world, LEAVER)


def test_who_is_let_in_to_vote_while_it_leaves_stays_and_keeps_what_it_holds(world: World) -> None:
    """Which a recovery alone can do."""
    world.do(departure(world, LEAVER))
    settle(world)
    while world.ledger.head.seq % world.genesis.checkpoint_interval:
        world.run(after_ms=0)

    recover(world, recovery_of(world, leaving=1, coming=(peer_id(LEAVER),)))

    assert record_of(world, LEAVER).goes_ms == 0
    assert not world.store.iterate(Space.DEADLINE, b"", 10)
    assert [move.peer for move in world.ledger._state.moves][-1:] == [peer_id(LEAVER)]
    settle(world)
    world.run(after_ms=LEAVE_GRACE_MS + 60_001)
    assert is_in(world, LEAVER)


def test_what_it_holds_counts_again_if_its_vote_is_under_way_when_its_time_is_over(
    world: World,
) -> None:
    world.do(departure(world, LEAVER))
    settle(world)
    state = world.ledger._state
    state.set_changes([Change(peer=peer_id(LEAVER), votes=True)])
    world.store.flush(state.take_delta())

    applied = world.run(after_ms=LEAVE_GRACE_MS + 60_001)

    assert record_of(world, LEAVER).goes_ms == 0
    assert PeerChanged(peer_id(LEAVER)) in applied.effects
    settle(world)
    assert all(len(holders(world, number)) == 2 for number in range(12))

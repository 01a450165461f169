"""A period judges a bounded number of peers in each batch, and all by what was before it began."""

from dataclasses import replace

from bftcluster.ids import PeerId
from bftcluster.ledger.rules.effects import PeerRemoved
from bftcluster.ledger.rules.periods import period_due_ms
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.limits import (
    EVICTED_PER_BATCH_MAX,
    JUDGED_PER_BATCH_MAX,
    LIGHT_HEARD_PERIODS,
)
from bftcluster.reputation import AuditOutcome, PeerReputation, Standing
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.departures import admit, crowd_of, world_of
from tests.unit.ledger.rules.test_evidence import evidence
from tests.unit.ledger.standing_world import audited, next_period
from tests.unit.ledger.state.test_reopened import assert_reopens_alike
from tests.unit.ledger.world import GIB, PEERS, TERMS, World, genesis_of, peer_id

CROWD = 3 * JUDGED_PER_BATCH_MAX
BATCHES = 4
LATE = max(PEERS[:4], key=peer_id)
"""The founder whose turn comes last: behind most of the crowd."""


def crowded(numbers: range = range(CROWD)) -> World:
    """Return a world of four founders and a crowd whose ids spread among theirs."""
    world = world_of(4)
    crowd_of(world, [number * 61 for number in numbers])
    return world


def reputation_of(world: World, peer: PeerId) -> PeerReputation:
    found = queries.reputation_of(world.store, peer)
    assert found is not None
    return found


def record_of(world: World, peer: SigningKey) -> PeerRecord:
    found = queries.peer_of(world.store, peer_id(peer))
    assert found is not None
    return found


def judged(world: World) -> int:
    """Return how many are judged for the period of the last batch."""
    period = world.ledger.head.period
    return sum(each.judged == period for each in queries.reputations(world.store).values())


def end_turn(world: World, after_ms: int = 0) -> int:
    """Run batches until everybody had a turn; return how many."""
    batches = 0
    while not world.ledger._state.period_turn.is_over:
        world.run(after_ms=after_ms)
        batches += 1
        assert batches < 100, "it comes to an end"
    return batches


def test_each_batch_judges_a_bounded_number_and_asks_for_the_next() -> None:
    world = crowded()
    counts = []

    next_period(world)
    while world.ledger.wants_batches:
        counts.append(judged(world))
        assert_reopens_alike(world)
        world.run(after_ms=0)

    assert counts == [JUDGED_PER_BATCH_MAX * number for number in range(1, BATCHES)]
    assert judged(world) == CROWD + 4
    assert all(
        each.availability.observed == 1 for each in queries.reputations(world.store).values()
    )


def test_whoever_is_not_judged_yet_stands_and_weighs_as_before() -> None:
    world = crowded()
    world.do(world.report(LATE, free_bytes=7 * GIB))

    next_period(world)

    assert record_of(world, LATE).weighed_bytes == 10 * GIB
    end_turn(world)
    assert record_of(world, LATE).weighed_bytes == 7 * GIB


def test_what_is_said_in_a_period_bears_on_no_judgement_for_it() -> None:
    """Once in the batch that begins it, and once while others have their turn."""
    for in_first in (True, False):
        world = crowded()
        world.do(world.report(LATE, free_bytes=7 * GIB))
        next_period(world, LATE)
        end_turn(world)
        before = reputation_of(world, peer_id(LATE)).availability
        assert (before.seen, before.observed) == (1, 1)
        world.do(world.report(LATE, free_bytes=5 * GIB))
        word = world.report(LATE, free_bytes=3 * GIB)

        world.run(*([word] if in_first else []), after_ms=world.genesis.period_ms)
        assert record_of(world, LATE).weighed_bytes == (5 if in_first else 7) * GIB
        if not in_first:
            world.do(word)
        end_turn(world)

        track = reputation_of(world, peer_id(LATE)).availability
        assert (track.seen, track.observed) == (2, 2)
        assert record_of(world, LATE).weighed_bytes == 5 * GIB
        assert record_of(world, LATE).free_bytes == 3 * GIB


def test_who_was_not_heard_is_not_seen_because_it_speaks_before_its_turn() -> None:
    world = crowded()
    next_period(world, *(peer for peer in PEERS[:4] if peer != LATE))
    end_turn(world)

    world.run(after_ms=world.genesis.period_ms)
    world.do(world.report(LATE))
    end_turn(world)

    track = reputation_of(world, peer_id(LATE)).availability
    assert (track.seen, track.observed) == (1, 2)
    assert track.missed is not None


def test_who_comes_while_others_have_their_turn_misses_nothing() -> None:
    world = crowded()
    next_period(world)
    newcomer = next(peer for peer in PEERS[4:] if peer_id(peer) > b"\x80")

    admit(world, newcomer)
    end_turn(world)

    assert reputation_of(world, peer_id(newcomer)).availability.observed == 0


def test_new_terms_before_a_turn_are_weighed_and_the_period_counts_once() -> None:
    world = crowded()
    next_period(world)
    state = world.ledger._state
    terms = replace(state.peers[peer_id(LATE)].terms, capacity_bytes=GIB)

    operation = AdmitPeer(peer=peer_id(LATE), name="", addresses=(), votes=True, terms=terms)
    assert world.do(world.submit(operation)).is_accepted
    end_turn(world)

    assert record_of(world, LATE).terms == terms
    assert reputation_of(world, peer_id(LATE)).availability.observed == 1


def test_who_was_evicted_and_speaks_before_its_turn_goes_when_that_comes() -> None:
    world = World(genesis_of(peers=PEERS[:5], checkpoint_interval=4))
    world.join_all()
    takes_vote = AdmitPeer(peer=peer_id(PEERS[4]), name="", addresses=(), votes=False, terms=TERMS)
    assert world.do(world.submit(takes_vote)).is_accepted
    world.do(evidence(world, culprit=PEERS[4]))
    while world.ledger.head.seq < 20:
        world.run()
    crowd_of(world, range(2 * JUDGED_PER_BATCH_MAX))

    next_period(world, PEERS[4])

    assert record_of(world, PEERS[4]).reported_ms == world.now_ms
    end_turn(world)
    assert queries.peer_of(world.store, peer_id(PEERS[4])) is None


def test_a_period_that_comes_too_early_begins_when_the_last_is_judged() -> None:
    world = crowded()
    next_period(world)
    first = world.ledger._state.period_turn
    world.run(world.report(PEERS[0]), after_ms=world.genesis.period_ms)
    assert world.ledger._state.period_turn.period == first.period
    while not world.ledger._state.period_turn.is_over:
        world.run(after_ms=0)
    due_ms = period_due_ms(world.ledger._state, world.genesis)
    assert due_ms is not None
    assert due_ms <= world.now_ms

    world.run(after_ms=0)

    second = world.ledger._state.period_turn
    assert (second.period, second.ended) == (first.period + 1, first.period + 1)
    assert second.heard_from_ms == first.begun_ms
    end_turn(world)
    assert judged(world) == CROWD + 4


def test_a_batch_evicts_a_bounded_number_and_the_ration_holds_for_all() -> None:
    world = world_of(4)
    crowd = crowd_of(world, range(150 * EVICTED_PER_BATCH_MAX))
    state = world.ledger._state
    going = len(state.peers) // 100
    assert going > EVICTED_PER_BATCH_MAX
    for peer in crowd[: 2 * going]:
        bad = audited(state.reputations.of(peer), AuditOutcome.FAILED, 9)
        state.put_reputation(peer, bad)
    world.store.flush(state.take_delta())
    removed = []

    next_period(world)
    while not world.ledger._state.period_turn.is_over:
        effects = world.run(after_ms=0).effects
        removed.append(sum(isinstance(each, PeerRemoved) for each in effects))
        if len(removed) == 20:
            assert_reopens_alike(world)

    assert max(removed) == EVICTED_PER_BATCH_MAX
    assert sum(removed) == going
    assert len(queries.waiting_for_eviction(world.store)) == going
    waiting = queries.waiting_for_eviction(world.store)
    assert {reputation_of(world, each).standing for each in waiting} == {Standing.SUSPENDED}


def test_that_a_light_peer_was_heard_counts_for_several_periods() -> None:
    world = world_of(4)
    [light, full] = crowd_of(world, [7, 8])
    state = world.ledger._state
    record = state.peers[light]
    state.put_peer(replace(record, terms=replace(record.terms, is_light=True)))
    world.store.flush(state.take_delta())

    begun = world.ledger.head.period
    missed: dict[PeerId, int] = {}
    while len(missed) < 2:
        next_period(world, *PEERS[:4])
        for peer in (light, full):
            if reputation_of(world, peer).availability.missed is not None:
                missed.setdefault(peer, world.ledger.head.period - begun)

    assert missed == {full: 2, light: LIGHT_HEARD_PERIODS + 1}

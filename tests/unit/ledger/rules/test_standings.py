"""Where a peer stands follows from the log, and what it may have follows from where it stands."""

from dataclasses import replace

from bftcluster.ledger.rules.effects import PeerChanged, PeerRemoved
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.requests import Submit
from bftcluster.reputation import (
    AuditOutcome,
    Cause,
    OrderedEvidence,
    Standing,
)
from tests.unit.ledger.rules.test_evidence import evidence
from tests.unit.ledger.standing_world import (
    NEWCOMER,
    admit,
    audited,
    holds,
    next_period,
    of,
    set_reputation,
    with_newcomer,
)
from tests.unit.ledger.state.test_reopened import assert_reopens_alike
from tests.unit.ledger.world import GIB, PEERS, TERMS, World, cid_of, genesis_of, peer_id


def test_founders_are_active_and_weigh_what_they_have_free_from_the_start() -> None:
    world = World()
    world.join_all()

    reputation = of(world, PEERS[0])

    assert (reputation.standing, reputation.last_change.cause) == (Standing.ACTIVE, Cause.FOUNDED)
    assert reputation.last_change.evidence.digest == world.genesis.cluster_id
    record = queries.peer_of(world.store, peer_id(PEERS[0]))
    assert record is not None
    assert record.weight == GIB >> 20


def test_who_is_admitted_is_a_candidate_and_the_admission_shows_why() -> None:
    world = World()
    world.join_all()
    operation = AdmitPeer(peer=peer_id(NEWCOMER), name="", addresses=(), votes=False, terms=TERMS)
    intent = world.intent(operation)

    world.run(Submit(certificate=world.certificate(intent)))

    last = of(world, NEWCOMER).last_change
    assert (last.standing, last.cause) == (Standing.CANDIDATE, Cause.ADMITTED)
    assert last.evidence == OrderedEvidence(digest=intent.digest, seq=world.ledger.head.seq)


def test_candidates_get_few_of_the_pins_however_much_room_they_have() -> None:
    world = World()
    world.join_all()
    admit(world, NEWCOMER)
    world.do(world.join(NEWCOMER, free_bytes=10 * GIB))

    for number in range(100):
        world.pin(cid_of(number), replication_min=1, replication_max=1)

    pins = queries.pins_behind(world.store, b"", 1000)
    assert sum(peer_id(NEWCOMER) in pin.allocations for pin in pins) <= 10  # 5 expected


def test_a_period_counts_for_who_was_heard_of_and_against_who_was_not() -> None:
    world = with_newcomer()
    next_period(world, *PEERS[:3])

    world.run(after_ms=world.genesis.period_ms)

    seen, missed = of(world, PEERS[0]).availability, of(world, PEERS[3]).availability
    assert (seen.seen, seen.observed, seen.missed) == (2, 2, None)
    assert (missed.seen, missed.observed) == (1, 2)
    assert missed.missed is not None
    assert missed.missed.seq == world.ledger.head.seq - 1
    assert_reopens_alike(world)


def test_a_period_in_which_nobody_was_heard_of_counts_for_nobody() -> None:
    world = with_newcomer()
    next_period(world)
    before = of(world, PEERS[0])

    world.run(after_ms=world.genesis.period_ms)

    after = of(world, PEERS[0])
    assert after == replace(before, judged=world.ledger.head.period)
    assert before.availability.observed == 1


def test_who_was_admitted_and_has_not_come_yet_misses_nothing() -> None:
    world = World()
    world.join_all()
    admit(world, NEWCOMER)

    next_period(world)

    assert of(world, NEWCOMER).availability.observed == 0
    assert of(world, PEERS[0]).availability.observed == 1


def test_a_standing_changes_when_a_period_begins_and_not_before() -> None:
    world = with_newcomer()
    weak = audited(of(world, NEWCOMER), AuditOutcome.FAILED, 4)
    set_reputation(world, NEWCOMER, weak)

    world.run()
    assert of(world, NEWCOMER).standing is Standing.CANDIDATE
    next_period(world)

    last = of(world, NEWCOMER).last_change
    assert (last.standing, last.cause) == (Standing.SUSPENDED, Cause.WRONG_DATA)
    assert last.since == world.ledger.head.period


def test_who_is_suspended_gets_no_new_pins_and_keeps_those_it_has() -> None:
    world = World()
    world.join_all()
    held = holds(world, PEERS[3])
    assert held
    set_reputation(world, PEERS[3], audited(of(world, PEERS[3]), AuditOutcome.FAILED, 4))
    next_period(world)

    assert of(world, PEERS[3]).standing is Standing.SUSPENDED
    assert holds(world, PEERS[3]) == held
    assert_reopens_alike(world)


def test_an_evicted_peer_that_does_not_vote_leaves_and_its_pins_go_to_others() -> None:
    world = with_newcomer()
    world.pin(
        cid_of(1), replication_min=2, replication_max=2, user_allocations=(peer_id(NEWCOMER),)
    )
    assert peer_id(NEWCOMER) in world.record(cid_of(1)).allocations
    set_reputation(world, NEWCOMER, audited(of(world, NEWCOMER), AuditOutcome.FAILED, 9))

    applied = world.run(after_ms=world.genesis.period_ms)

    assert PeerRemoved(peer_id(NEWCOMER)) in applied.effects
    assert queries.peer_of(world.store, peer_id(NEWCOMER)) is None
    assert of(world, NEWCOMER).is_evicted
    allocations = world.record(cid_of(1)).allocations
    assert len(allocations) == 2
    assert peer_id(NEWCOMER) not in allocations
    assert_reopens_alike(world)


def test_an_evicted_voter_goes_on_voting_and_holds_no_pins_any_more() -> None:
    world = World()
    world.join_all()
    assert holds(world, PEERS[3])
    set_reputation(world, PEERS[3], audited(of(world, PEERS[3]), AuditOutcome.FAILED, 9))

    applied = world.run(after_ms=world.genesis.period_ms)

    assert PeerChanged(peer_id(PEERS[3])) in applied.effects
    assert of(world, PEERS[3]).is_evicted
    assert holds(world, PEERS[3]) == 0
    assert not world.ledger.wants_batches
    record = queries.peer_of(world.store, peer_id(PEERS[3]))
    assert record is not None
    assert record.is_replica
    next_period(world, PEERS[3])
    assert queries.peer_of(world.store, peer_id(PEERS[3])) is not None
    assert_reopens_alike(world)


def test_what_an_evicted_voter_reported_about_pins_kept_everywhere_is_kept() -> None:
    world = World()
    world.join_all()
    world.pin(cid_of(1))
    chosen = (peer_id(PEERS[1]),)
    world.pin(cid_of(2), replication_min=1, replication_max=1, user_allocations=chosen)
    world.do(world.report(PEERS[1], cid_of(1)))

    world.do(evidence(world, culprit=PEERS[1]))
    world.run()

    assert not world.ledger.wants_batches
    assert world.record(cid_of(1)).holders == (peer_id(PEERS[1]),)


def test_proof_of_a_contradiction_evicts_within_its_batch() -> None:
    world = World()
    world.join_all()
    holds(world, PEERS[1])

    applied = world.run(evidence(world, culprit=PEERS[1]))

    last = of(world, PEERS[1]).last_change
    assert (last.standing, last.cause) == (Standing.EVICTED, Cause.FRAUD)
    proof = queries.evidence_by_peer(world.store)[peer_id(PEERS[1])]
    assert last.evidence == OrderedEvidence(digest=proof.digest, seq=world.ledger.head.seq)
    assert PeerChanged(peer_id(PEERS[1])) in applied.effects
    assert holds(world, PEERS[1]) == 0


def test_a_voter_that_was_evicted_leaves_a_period_after_it_votes_no_more() -> None:
    world = World(genesis_of(peers=PEERS[:5], checkpoint_interval=4))
    world.join_all()
    takes_vote = AdmitPeer(peer=peer_id(PEERS[4]), name="", addresses=(), votes=False, terms=TERMS)
    assert world.do(world.submit(takes_vote)).is_accepted
    world.do(evidence(world, culprit=PEERS[4]))
    next_period(world)
    assert queries.peer_of(world.store, peer_id(PEERS[4])) is not None

    while world.ledger.head.seq < 20:
        world.run()
    next_period(world)

    assert queries.peer_of(world.store, peer_id(PEERS[4])) is None
    assert_reopens_alike(world)


def test_many_that_are_to_be_evicted_at_once_wait_and_that_can_be_asked_for() -> None:
    world = World(genesis_of(peers=PEERS[:4]))
    world.join_all()
    for peer in PEERS[1:4]:
        set_reputation(world, peer, audited(of(world, peer), AuditOutcome.FAILED, 9))

    next_period(world)

    waiting = queries.waiting_for_eviction(world.store)
    evicted = [peer for peer in PEERS[1:4] if of(world, peer).is_evicted]
    assert len(evicted) == 1
    assert sorted(waiting) == sorted(peer_id(each) for each in PEERS[1:4] if each not in evicted)
    assert_reopens_alike(world)
    next_period(world)
    next_period(world)
    assert queries.waiting_for_eviction(world.store) == ()

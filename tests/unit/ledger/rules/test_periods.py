"""What allocation goes by is what was approved, and stays as it is for a period."""

import pytest

from bftcluster.ledger.rules.absence import absence_due_ms
from bftcluster.ledger.rules.periods import period_due_ms
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.peer_terms import PeerTerms, QuotaClass
from bftcluster.limits import TIME_MAX_MS
from bftcluster.reputation import period_of
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.world import GIB, PEERS, TERMS, World, cid_of, genesis_of, peer_id

PINS = 120
HUGE_BYTES = 1 << 62


def record_of(world: World, peer: SigningKey) -> PeerRecord:
    record = queries.peer_of(world.store, peer_id(peer))
    assert record is not None
    return record


def shares(world: World, copies: int = 1) -> dict[SigningKey, int]:
    """Pin and return how many pins each peer was given."""
    given = dict.fromkeys(PEERS[:4], 0)
    for number in range(PINS):
        world.pin(cid_of(number), replication_min=copies, replication_max=copies)
        for peer in given:
            given[peer] += peer_id(peer) in world.record(cid_of(number)).allocations
    return given


def test_a_peer_that_announces_too_much_gets_no_more_than_its_approved_share() -> None:
    world = World()
    world.do(world.join(PEERS[0], capacity_bytes=HUGE_BYTES, free_bytes=HUGE_BYTES))
    for peer in PEERS[1:4]:
        world.do(world.join(peer, capacity_bytes=100 * GIB, free_bytes=100 * GIB))

    given = shares(world)

    assert record_of(world, PEERS[0]).usable_free_bytes == TERMS.capacity_bytes
    assert sum(given.values()) == PINS
    assert given[PEERS[0]] <= 45  # 30 expected, as of each of the four

    world.do(world.report(PEERS[0], free_bytes=HUGE_BYTES))
    world.run(after_ms=world.genesis.period_ms)
    assert record_of(world, PEERS[0]).weighed_bytes == TERMS.capacity_bytes


@pytest.mark.parametrize(
    ("capacity", "free", "counts"),
    [(50, 20, 20), (100, 100, 100), (1000, 1000, 100), (1000, 950, 50), (1000, 900, 0)],
    ids=["less than approved", "all of it", "too much", "half used", "used up"],
)
def test_what_a_peer_says_is_taken_is_taken_from_what_was_approved(
    capacity: int, free: int, counts: int
) -> None:
    assert PeerTerms(capacity_bytes=100).usable_free_bytes(capacity, free) == counts


def test_a_report_changes_nothing_before_the_next_period() -> None:
    world = World()
    world.join_all()

    for peer in PEERS[:3]:
        world.do(world.report(peer, free_bytes=0))
    before = shares(world)
    world.run(after_ms=world.genesis.period_ms)
    world.pin(cid_of("later"), replication_min=1, replication_max=4)

    assert min(before.values()) > 0
    assert record_of(world, PEERS[0]).free_bytes == 0
    assert world.record(cid_of("later")).allocations == (peer_id(PEERS[3]),)


def test_a_join_again_changes_nothing_before_the_next_period() -> None:
    world = World()
    world.join_all()

    world.do(world.join(PEERS[0], free_bytes=3 * GIB))

    assert record_of(world, PEERS[0]).weighed_bytes == GIB


def test_the_first_batch_of_a_period_weighs_before_its_requests() -> None:
    world = World()
    world.join_all()
    world.do(world.report(PEERS[0], free_bytes=2 * GIB))

    world.run(world.report(PEERS[0], free_bytes=3 * GIB), after_ms=world.genesis.period_ms)

    assert record_of(world, PEERS[0]).weighed_bytes == 2 * GIB
    assert record_of(world, PEERS[0]).free_bytes == 3 * GIB


def test_who_joins_within_a_period_is_given_pins_at_once() -> None:
    world = World()
    for peer in PEERS[:3]:
        world.do(world.join(peer))
    world.do(world.join(PEERS[3], free_bytes=8 * GIB))

    assert shares(world)[PEERS[3]] > PINS // 4


def test_a_period_is_due_if_anybody_was_heard_of_in_the_last_one() -> None:
    world = World()
    begins_ms = (world.ledger.head.period + 1) * world.genesis.period_ms
    assert world.run().due_ms is None

    applied = world.run(world.join(PEERS[0], free_bytes=2 * GIB))

    assert applied.due_ms == world.ledger.due_ms == begins_ms
    world.reopen()
    assert world.ledger.due_ms == begins_ms
    tick = world.run(after_ms=begins_ms - world.now_ms)
    assert tick.due_ms == absence_due_ms(world.ledger._state)
    assert world.ledger.head.period == period_of(begins_ms, world.genesis.period_ms)


def test_where_nobody_says_anything_no_further_period_is_due() -> None:
    world = World()
    world.join_all()

    world.run(after_ms=world.genesis.period_ms)

    assert period_due_ms(world.ledger._state, world.genesis) is None
    world.reopen()
    assert period_due_ms(world.ledger._state, world.genesis) is None


def test_what_a_removed_peer_said_asks_for_no_period() -> None:
    world = World(genesis_of(peers=PEERS[:4]))
    world.run(world.submit(AdmitPeer(peer=peer_id(PEERS[4]), name="", addresses=(), votes=False)))
    world.run(world.join(PEERS[4]))
    assert period_due_ms(world.ledger._state, world.genesis) is not None

    world.ledger._state.remove_peer(peer_id(PEERS[4]))

    assert period_due_ms(world.ledger._state, world.genesis) is None


def test_nothing_is_due_after_the_last_moment_that_can_be_written() -> None:
    world = World()
    world.join_all()

    world.run(world.report(PEERS[0], free_bytes=0), after_ms=TIME_MAX_MS)

    assert world.ledger.due_ms is None


def test_new_terms_weigh_at_once_and_their_domain_counts() -> None:
    world = World()
    world.join_all()
    terms = PeerTerms(
        capacity_bytes=GIB, quota_class=QuotaClass.PARTNER, domain="attic", operator="Jane"
    )
    operation = AdmitPeer(peer=peer_id(PEERS[0]), name="", addresses=(), votes=True, terms=terms)

    outcome = world.do(world.submit(operation))

    record = record_of(world, PEERS[0])
    assert (outcome.detail, record.terms) == ("terms changed", terms)
    assert (record.terms.domain, record.terms.operator) == ("attic", "Jane")
    assert (record.name, record.addresses) == ("a peer", ("/ip4/127.0.0.1/tcp/1",))
    assert (record.usable_capacity_bytes, record.weighed_bytes) == (GIB, 0)
    assert len(world.ledger.epochs) == 1
    assert peer_id(PEERS[0]) not in world.ledger._state.roster


def test_the_same_terms_again_are_refused() -> None:
    world = World()
    operation = AdmitPeer(peer=peer_id(PEERS[0]), name="", addresses=(), votes=True, terms=TERMS)

    outcome = world.do(world.submit(operation))

    assert not outcome.is_accepted
    assert "with these terms, and votes" in outcome.detail


def test_a_peer_to_whom_nothing_was_granted_holds_only_what_is_kept_everywhere() -> None:
    world = World()
    world.join_all()
    admission = AdmitPeer(peer=peer_id(PEERS[4]), name="", addresses=(), votes=False)
    world.do(world.submit(admission))
    world.do(world.join(PEERS[4]))

    world.pin(cid_of(1), replication_min=1, replication_max=5)
    world.pin(cid_of(2))

    assert peer_id(PEERS[4]) not in world.record(cid_of(1)).allocations
    assert world.record(cid_of(2)).is_owed_by(peer_id(PEERS[4]))


def test_all_without_a_domain_count_as_one() -> None:
    domains = ["attic", "", "", ""]
    world = World(genesis_of(domains=domains))
    world.join_all()

    given = shares(world, copies=2)

    assert given[PEERS[0]] == PINS

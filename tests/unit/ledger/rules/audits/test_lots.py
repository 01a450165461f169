"""Whom a beacon has audited, how often, on which pin, and where voters look a second time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.rules.audits import lots
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.audit_rows import AuditPhase, Grounds
from bftcluster.ledger.wire.requests import HolderStatus
from bftcluster.limits import (
    AUDIT_DAY_DEFAULT_MS,
    AUDIT_PEERS_MAX,
    AUDITED_AGAIN_PERMILLE,
    AUDITS_DRAWN_MAX,
    AUDITS_DRAWN_PEERS_MAX,
    AUDITS_PER_DAY_CANDIDATE,
    AUDITS_PER_PEER_MAX,
    PERIOD_MAX_MS,
    PERIOD_MIN_MS,
)
from bftcluster.reputation import AuditOutcome, OrderedEvidence, Standing
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.audits import DAY_MS, AuditWorld, agreed_lie, silent
from tests.unit.ledger.departures import admit, crowd_of
from tests.unit.ledger.standing_world import of, set_reputation
from tests.unit.ledger.world import PEERS, cid_of, genesis_of, peer_id
from tests.unit.signing.people import key

OLD = OrderedEvidence(digest=Digest(bytes(32)), seq=Seq(1))


def drawn_in(world: AuditWorld, periods: int) -> Counter[bytes]:
    """Return how often each pin was drawn; what is drawn is answered."""
    counts: Counter[bytes] = Counter()
    seen: set[int] = set()
    for _ in range(periods):
        world.draw()
        counts.update(each.cid for each in world.audits if each.number not in seen)
        seen |= {each.number for each in world.audits}
        world.settle(4)
    return counts


def test_a_beacon_is_drawn_from_once() -> None:
    world = AuditWorld()
    world.draw()
    before = world.audits

    world.run()

    assert world.audits == before
    assert not world.ledger.wants_batches


def test_light_peers_are_asked_for_their_own_pins_with_their_other_holders() -> None:
    world = AuditWorld(pins=3, copies=4)
    world.keep(3, -1)
    make_light(world, [peer_id(PEERS[0])])

    everybodys, own = Counter[bool](), Counter[bool]()
    for _ in range(4):
        world.draw()
        for each in world.audits:
            counts = everybodys if each.cid == cid_of(3) else own
            counts[each.place_of(peer_id(PEERS[0])) is not None] += 1
        world.settle(4)

    assert everybodys[False] > 0
    assert everybodys[True] == 0
    assert own[True] > 0
    assert world.verdicts(PEERS[0])


def test_no_audit_is_drawn_without_a_beacon() -> None:
    world = AuditWorld()
    for _ in range(3):
        world.begin_period()

    assert world.audits == []


@pytest.mark.parametrize(
    ("period_ms", "standing", "per_day"),
    [
        (3_600_000, Standing.ACTIVE, 1),
        (3_600_000, Standing.SUSPENDED, 1),
        (3_600_000, Standing.CANDIDATE, AUDITS_PER_DAY_CANDIDATE),
        (PERIOD_MIN_MS, Standing.CANDIDATE, AUDITS_PER_DAY_CANDIDATE),
    ],
)
def test_a_peer_is_drawn_as_often_in_a_day_as_its_standing_asks_for(
    period_ms: int, standing: Standing, per_day: int
) -> None:
    genesis = genesis_of(period_ms=period_ms)
    world = AuditWorld(genesis, pins=0)
    reputation = of(world, PEERS[0])
    change = replace(reputation.last_change, standing=standing)
    set_reputation(world, PEERS[0], replace(reputation, last_change=change))
    state, days = world.ledger._state, 60
    periods = days * AUDIT_DAY_DEFAULT_MS // period_ms
    step = max(1, periods // 2_000)
    looked = range(0, periods, step)

    times = [
        lots._times(state, genesis, peer_id(PEERS[0]), b"beacon %d" % number) for number in looked
    ]

    expected = per_day * period_ms * len(looked) / AUDIT_DAY_DEFAULT_MS
    assert abs(sum(times) - expected) < 4 * expected**0.5 + 1


def test_a_long_period_draws_a_bounded_number() -> None:
    genesis = genesis_of(period_ms=PERIOD_MAX_MS, audit_day_ms=PERIOD_MIN_MS)
    world = AuditWorld(genesis, pins=1)
    state = world.ledger._state

    assert lots._times(state, genesis, peer_id(PEERS[0]), b"beacon") == AUDITS_DRAWN_MAX


def test_who_never_answers_takes_part_in_a_bounded_number() -> None:
    genesis = genesis_of(period_ms=10 * DAY_MS, audit_day_ms=DAY_MS)
    world = AuditWorld(genesis, pins=1, copies=4)
    world.lies = dict.fromkeys(PEERS[:4], silent)
    world.draw()

    counts = Counter(asked.peer for each in world.audits for asked in each.asked)
    assert max(counts.values()) == AUDITS_PER_PEER_MAX


def test_only_who_said_that_it_holds_a_pin_is_asked_for_it() -> None:
    world = AuditWorld(pins=1, copies=4)
    cid = cid_of(0)
    assert world.do(world.report(PEERS[0], cid, status=HolderStatus.PIN_ERROR)).is_accepted

    world.draw()

    asked = {asked.peer for each in world.audits for asked in each.asked}
    assert asked == world.ids(*PEERS[1:4])


def test_a_peer_that_is_absent_is_not_asked() -> None:
    world = AuditWorld(pins=1, copies=4)
    state = world.ledger._state
    state.set_absent(peer_id(PEERS[0]), is_absent=True)

    assert not lots._may_be_asked(state, peer_id(PEERS[0]))
    assert lots._may_be_asked(state, peer_id(PEERS[1]))


def test_what_everybody_keeps_is_audited_and_at_most_five_are_asked() -> None:
    peers = [key(f"storage {number}") for number in range(8)]
    world = AuditWorld(pins=0)
    world.members += peers
    for peer in peers:
        admit(world, peer)
    world.keep(0, -1)

    world.draw()

    assert {each.cid for each in world.audits} == {cid_of(0)}
    assert max(len(each.asked) for each in world.audits) == AUDIT_PEERS_MAX


def test_large_pins_are_drawn_more_often() -> None:
    world = AuditWorld(pins=0)
    world.keep(0, 4, size_bytes=30 << 20)
    for number in range(1, 4):
        world.keep(number, 4, size_bytes=1 << 20)

    counts = drawn_in(world, 30)

    assert counts[cid_of(0)] > 0.6 * counts.total()


def test_the_next_beacon_has_voters_look_at_some_audits_in_which_all_agreed() -> None:
    world = AuditWorld(pins=1, copies=3)
    holders = world.holders(cid_of(0))
    for holder in holders:
        world.lies[holder] = agreed_lie
        world.lost[holder] = {cid_of(0)}
    looked = set()
    for _ in range(60):
        world.draw()
        looked |= {each.number for each in world.audits if each.is_second_look}
        world.settle(4)

    expected = 3 * 60 * AUDITED_AGAIN_PERMILLE / 1000
    assert abs(len(looked) - expected) < 4 * expected**0.5
    assert looked
    world.pass_time(30_000, heard=PEERS[:4])
    outcomes = {each.outcome for each in world.verdicts(holders[0])}
    assert AuditOutcome.UNKNOWN in outcomes


def test_who_is_looked_at_again_and_shows_the_blocks_is_credited_once() -> None:
    world = AuditWorld(pins=1, copies=3)
    before = of(world, PEERS[0]).integrity.audits
    for _ in range(60):
        world.draw()
        world.settle(6)

    audits = queries.audit_verdicts(world.store)
    grounds = {each.grounds for verdicts in audits.values() for each in verdicts}
    assert grounds == {Grounds.AGREEMENT}
    taken = of(world, world.holders(cid_of(0))[0]).integrity.audits - before
    assert taken == 3 * 60
    assert not {each.phase for each in world.audits} & {AuditPhase.SIGHTING, AuditPhase.RESTING}


def test_lots_of_many_peers_are_drawn_over_several_batches() -> None:
    peers = [key(f"storage {number}") for number in range(2 * AUDITS_DRAWN_PEERS_MAX)]
    world = AuditWorld(pins=0)
    for peer in peers:
        admit(world, peer)
    world.begin_period()
    batches = counted_batches(world)

    assert batches == 3
    assert not world.ledger.wants_batches


def make_light(world: AuditWorld, peers: Sequence[PeerId]) -> None:
    state = world.ledger._state
    for peer in peers:
        record = state.peers[peer]
        state.put_peer(replace(record, terms=replace(record.terms, is_light=True)))
    world.store.flush(state.take_delta())


def test_light_peers_take_no_places_in_audits_of_what_everybody_keeps() -> None:
    world = AuditWorld(pins=0)
    world.keep(0, -1)
    world.begin_period()
    make_light(world, crowd_of(world, range(1, 3 * AUDITS_DRAWN_PEERS_MAX)))

    assert counted_batches(world) == 4

    assert world.audits
    assert {len(each.asked) for each in world.audits} == {4}


def counted_batches(world: AuditWorld) -> int:
    """Return after how many batches besides the first all lots of a beacon are drawn."""
    world.put_beacon()
    world.run()
    batches = 0
    while world.ledger.wants_batches:
        world.run()
        batches += 1
    return batches


def test_a_deleter_of_a_tenth_is_found_by_the_audits_of_the_ledger() -> None:
    world = AuditWorld(pins=10, copies=4)
    deleter: SigningKey = PEERS[0]
    world.lost[deleter] = {cid_of(3)}

    drawn_in(world, 15)

    outcomes = [each.outcome for each in world.verdicts(deleter)]
    assert AuditOutcome.FAILED in outcomes
    assert of(world, deleter).integrity.failed is not None

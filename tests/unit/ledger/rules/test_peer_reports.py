import pytest

from bftcluster.errors import MalformedMessageError
from bftcluster.ledger.rules.effects import PeerChanged, Reported
from bftcluster.ledger.rules.peer_reports import next_counter
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.world import (
    DAY_MS,
    GIB,
    PEERS,
    START_MS,
    World,
    cid_of,
    genesis_of,
    peer_id,
    resigned,
)

CID = cid_of(1)
PINNED, PIN_ERROR, UNPINNED = HolderStatus.PINNED, HolderStatus.PIN_ERROR, HolderStatus.UNPINNED


def record_of(world: World, peer: SigningKey) -> PeerRecord:
    return queries.peer_of(world.store, peer_id(peer))


@pytest.fixture
def world() -> World:
    """Four peers have joined, and one CID is pinned everywhere."""
    world = World()
    world.join_all()
    world.pin(CID)
    return world


def test_the_peers_of_the_genesis_are_admitted() -> None:
    record = record_of(World(), PEERS[0])

    assert (record.name, record.addresses) == ("peer-0", ("/ip4/10.0.0.0/tcp/9096",))
    assert record.is_replica
    assert record.weight == 0


def test_a_join_records_what_the_peer_announces() -> None:
    world = World()

    applied = world.run(world.join(PEERS[0], name="barn", tags={"group": "b", "asn": "1"}))

    record = record_of(world, PEERS[0])
    assert applied.outcomes[0].code is OutcomeCode.RECORDED
    assert applied.effects == (PeerChanged(peer_id(PEERS[0])),)
    assert (record.name, record.addresses) == ("barn", ("/ip4/127.0.0.1/tcp/1",))
    assert record.tags == (("asn", "1"), ("group", "b"))
    assert (record.capacity_bytes, record.free_bytes) == (10 * GIB, GIB)
    assert (record.joined_ms, record.counter) == (world.now_ms, 1)
    assert record.weight > 0


def test_a_stranger_does_not_join() -> None:
    world = World()

    outcome = world.do(world.join(PEERS[5]))

    assert outcome.code is OutcomeCode.NOT_ADMITTED
    assert queries.peer_of(world.store, peer_id(PEERS[5])) is None


@pytest.mark.parametrize("counter", [(1 << 63) - 1, START_MS + 2 * DAY_MS])
def test_a_counter_far_ahead_of_the_time_is_refused(counter: int) -> None:
    world = World()

    early = world.do(world.join(PEERS[0], counter=counter))
    later = world.do(world.join(PEERS[0], counter=world.now_ms + DAY_MS // 2))

    assert early.code is OutcomeCode.NOT_YET_VALID
    assert later.is_accepted


def test_a_peer_cannot_claim_more_room_than_it_has() -> None:
    world = World()

    world.do(world.join(PEERS[0], free_bytes=100 * GIB))
    joined = record_of(world, PEERS[0]).free_bytes
    world.do(world.report(PEERS[0], free_bytes=200 * GIB))

    assert joined == record_of(world, PEERS[0]).free_bytes == 10 * GIB


def test_an_announcement_for_another_cluster_is_refused() -> None:
    world, other = World(), World(genesis_of(nonce=b"\x01" * 32))

    codes = [world.do(request).code for request in (other.join(PEERS[0]), other.report(PEERS[0]))]

    assert codes == [OutcomeCode.WRONG_CLUSTER] * 2


def test_nobody_announces_for_somebody_else() -> None:
    world = World()
    forged = resigned(world.join(PEERS[0]), world.join(PEERS[1]).signature)

    assert world.do(forged).code is OutcomeCode.BAD_SIGNATURE


def test_an_announcement_does_not_count_twice(world: World) -> None:
    request = world.report(PEERS[0], CID)
    world.do(request)

    again = world.do(request)

    assert (again.code, again.detail) == (OutcomeCode.REPLAYED, "announcement 2 after 2")


def test_an_older_report_does_not_undo_a_newer_one(world: World) -> None:
    older = world.report(PEERS[0], CID)
    newer = world.report(PEERS[0], CID, status=UNPINNED)
    world.do(newer)

    assert world.do(older).code is OutcomeCode.REPLAYED
    assert world.record(CID).holders == ()


def test_a_report_before_the_join_is_refused() -> None:
    world = World()

    outcome = world.do(world.report(PEERS[0], CID))

    assert (outcome.code, outcome.detail) == (
        OutcomeCode.NOT_ADMITTED,
        "the peer has not joined yet",
    )


def test_a_report_makes_its_peer_a_holder(world: World) -> None:
    applied = world.run(world.report(PEERS[2], CID, free_bytes=5))

    (report,) = world.record(CID).reports
    assert applied.outcomes[0].detail == "1 of 1 entries count"
    assert (report.peer, report.status) == (peer_id(PEERS[2]), PINNED)
    assert report.reported_ms == world.now_ms
    assert record_of(world, PEERS[2]).free_bytes == 5
    assert applied.effects == (Reported(peer_id(PEERS[2]), (CID,)),)


def test_holders_are_sorted_whatever_the_order_of_their_reports(world: World) -> None:
    for peer in (PEERS[2], PEERS[0], PEERS[3], PEERS[1]):
        world.do(world.report(peer, CID))

    assert world.record(CID).holders == tuple(sorted(map(peer_id, PEERS[:4])))


def test_an_error_is_kept_with_its_text_until_the_next_report(world: World) -> None:
    world.do(world.report(PEERS[1], ReportEntry(CID, PIN_ERROR, "no space left")))
    world.do(world.report(PEERS[0], ReportEntry(CID, PIN_ERROR, "timed out")))
    errors = {report.peer: report.error for report in world.record(CID).reports}
    assert errors == {peer_id(PEERS[0]): "timed out", peer_id(PEERS[1]): "no space left"}

    world.do(world.report(PEERS[1], CID))

    statuses = {r.peer: (r.status, r.error) for r in world.record(CID).reports}
    assert statuses == {
        peer_id(PEERS[0]): (PIN_ERROR, "timed out"),
        peer_id(PEERS[1]): (PINNED, ""),
    }


def test_an_error_without_a_text_is_an_error(world: World) -> None:
    world.do(world.report(PEERS[0], CID, status=PIN_ERROR))

    assert world.record(CID).reports[0].status is PIN_ERROR
    assert world.record(CID).holders == ()


def test_one_who_lost_it_is_no_holder(world: World) -> None:
    world.do(world.report(PEERS[0], CID))

    applied = world.run(world.report(PEERS[0], CID, status=UNPINNED))

    assert world.record(CID).holders == ()
    assert world.record(CID).reports[0].status is UNPINNED
    assert applied.effects == ()


def test_entries_that_the_peer_is_not_to_hold_are_ignored(world: World) -> None:
    cid = cid_of(2)
    world.pin(cid, replication_min=1, replication_max=1)
    (holder,) = world.record(cid).allocations
    other = next(peer for peer in PEERS[:4] if peer_id(peer) != holder)

    applied = world.run(world.report(other, cid, cid_of("unknown"), CID))

    assert applied.outcomes[0].detail == "1 of 3 entries count"
    assert world.record(cid).reports == ()


def test_a_report_of_nothing_still_tells_the_free_space(world: World) -> None:
    assert world.do(world.report(PEERS[0], free_bytes=7)).is_accepted
    assert record_of(world, PEERS[0]).free_bytes == 7
    assert record_of(world, PEERS[0]).reported_ms == world.now_ms


def test_a_peer_without_free_space_is_given_no_more_pins(world: World) -> None:
    for peer in PEERS[:3]:
        world.do(world.report(peer, free_bytes=0))
    world.run(after_ms=world.genesis.period_ms)

    world.pin(cid_of(2), replication_min=1, replication_max=4)

    assert world.record(cid_of(2)).allocations == (peer_id(PEERS[3]),)


def test_allocations_are_spread_over_the_domains_that_were_approved() -> None:
    groups = ["barn", "barn", "barn", "attic", "attic", "cellar"]
    world = World(genesis_of(peers=PEERS[:6], domains=groups))
    for number, peer in enumerate(PEERS[:6]):
        world.do(world.join(peer, tags={"group": f"said {number}"}))

    for number in range(20):
        world.pin(cid_of(number), replication_min=3, replication_max=3)

    by_peer = {peer_id(peer): group for peer, group in zip(PEERS[:6], groups, strict=True)}
    for number in range(20):
        allocations = world.record(cid_of(number)).allocations
        assert {by_peer[peer] for peer in allocations} == {"barn", "attic", "cellar"}


def test_a_new_join_replaces_the_tags() -> None:
    world = World()
    world.do(world.join(PEERS[0], tags={"group": "barn"}))

    world.do(world.join(PEERS[0], tags={}))

    assert record_of(world, PEERS[0]).tags == ()


def test_an_announcement_outside_the_limits_cannot_be_made(world: World) -> None:
    with pytest.raises(MalformedMessageError, match="1001 entries"):
        world.report(PEERS[0], *(cid_of(number) for number in range(1001)))
    with pytest.raises(MalformedMessageError, match="more than 128 bytes"):
        world.report(PEERS[0], ReportEntry(CID, PIN_ERROR, "ü" * 65))
    with pytest.raises(MalformedMessageError, match="63 bits"):
        world.report(PEERS[0], CID, counter=1 << 63)
    with pytest.raises(MalformedMessageError, match="no multiaddr"):
        world.join(PEERS[0], addresses=("10.0.0.1:9096",))


@pytest.mark.parametrize(
    ("last", "recorded", "wall_ms", "counter"),
    [(0, 0, 5, 5), (5, 5, 5, 6), (0, 9, 5, 10), (9, 2, 5, 10)],
    ids=["the clock", "at once again", "a clock set back before the start", "and after it"],
)
def test_a_counter_is_above_all_that_were_used(
    last: int, recorded: int, wall_ms: int, counter: int
) -> None:
    assert next_counter(last, recorded, wall_ms) == counter

from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.state.replication import Replication, status_of, wanted
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry
from tests.unit.ledger.world import PEERS, World, cid_of, peer_id

CID = cid_of(1)


def peers_of(world: World) -> list[PeerRecord]:
    return list(world.ledger._state.peers.values())


def status(world: World, pin: PinRecord | None) -> Replication:
    assert pin is not None
    return status_of(pin, peers_of(world))


def test_everywhere_is_everybody_who_has_joined() -> None:
    world = World()
    world.pin(CID)
    world.do(world.join(PEERS[2]))
    world.do(world.join(PEERS[0]))

    replication = status(world, world.record(CID))

    assert replication.wanted == tuple(sorted(map(peer_id, (PEERS[0], PEERS[2]))))
    assert (replication.needed, replication.pinned) == (2, ())
    assert not replication.is_replicated


def test_nobody_is_not_everybody() -> None:
    world = World()
    world.pin(CID)

    assert not status(world, world.record(CID)).is_replicated


def test_a_pin_is_replicated_when_the_minimum_holds_it() -> None:
    world = World()
    world.join_all()
    world.pin(CID, replication_min=2, replication_max=3)
    holders = [peer for peer in PEERS[:4] if peer_id(peer) in world.record(CID).allocations]
    assert wanted(world.record(CID), peers_of(world)) == world.record(CID).allocations

    seen = []
    for peer in holders:
        world.do(world.report(peer, CID))
        seen.append(status(world, world.record(CID)).is_replicated)

    assert seen == [False, True, True]


def test_those_that_failed_are_told_with_their_reason() -> None:
    world = World()
    world.join_all()
    world.pin(CID)
    world.do(world.report(PEERS[0], ReportEntry(CID, HolderStatus.PIN_ERROR, "timed out")))
    world.do(world.report(PEERS[1], CID))
    world.do(world.report(PEERS[2], CID, status=HolderStatus.UNPINNED))

    replication = status(world, world.record(CID))

    assert replication.pinned == (peer_id(PEERS[1]),)
    assert [(r.peer, r.error) for r in replication.failed] == [(peer_id(PEERS[0]), "timed out")]


def test_a_copy_at_an_absent_peer_is_none() -> None:
    world = World()
    world.join_all()
    world.pin(CID, replication_min=2, replication_max=2)
    first, second = (peer for peer in PEERS[:4] if peer_id(peer) in world.record(CID).allocations)
    for peer in (first, second):
        world.do(world.report(peer, CID))
    record = world.record(CID)
    assert record is not None

    replication = status_of(record, peers_of(world), absent={peer_id(first)})

    assert replication.pinned == (peer_id(second),)
    assert not replication.is_replicated

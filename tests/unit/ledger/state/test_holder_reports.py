"""What peers reported about pins is kept apart from the pins, in rows of neighbours."""

from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree_proofs import prove, proves
from bftcluster.ledger.state.duties import duty_key
from bftcluster.ledger.state.holder_reports import PINS_PER_ROW, row_key
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, peer_id

A, B = PEERS[0], PEERS[1]


def world_of(pins: int) -> World:
    """Four peers have joined, and so many CIDs are pinned everywhere."""
    world = World()
    world.join_all()
    world.run(*(world.submit(PinOperation(cid=cid_of(number))) for number in range(pins)))
    return world


def holding_rows(world: World) -> list[bytes]:
    return [key for key, _ in world.store.iterate(Space.DUTY, b"", 1000)]


def test_a_report_of_neighbours_changes_a_row_for_all_of_them_and_no_pin() -> None:
    world = world_of(2 * PINS_PER_ROW)

    world.run(world.report(A, *(cid_of(number) for number in range(2 * PINS_PER_ROW))))

    changed = [space for space, _ in world.last.delta]
    assert changed.count(Space.DUTY) == 2
    assert Space.PIN not in changed
    assert all(
        world.record(cid_of(number)).holders == (peer_id(A),)
        for number in (0, PINS_PER_ROW - 1, PINS_PER_ROW, 2 * PINS_PER_ROW - 1)
    )


def test_the_state_root_covers_what_was_reported() -> None:
    world = World(genesis_of(checkpoint_interval=2))
    world.join_all()
    world.pin(cid_of(0))
    world.run(world.report(A, cid_of(0)))
    if not world.last.roots:
        world.run()

    [root], key = world.last.roots.values(), row_key(peer_id(A), 0)
    value = world.store.get(Space.DUTY, key)
    assert value is not None
    assert proves(root, Space.DUTY, key, value, prove(world.store, Space.DUTY, key))


def test_each_neighbour_has_its_own_status_and_error() -> None:
    world = world_of(3)
    failed = ReportEntry(cid_of(1), HolderStatus.PIN_ERROR, "no space left")
    also = ReportEntry(cid_of(2), HolderStatus.PIN_ERROR, "timed out")
    world.run(world.report(A, cid_of(0), failed, also))

    world.run(world.report(A, cid_of(2)))

    said = [world.record(cid_of(number)).reports[0] for number in range(3)]
    assert [(each.status, each.error) for each in said] == [
        (HolderStatus.PINNED, ""),
        (HolderStatus.PIN_ERROR, "no space left"),
        (HolderStatus.PINNED, ""),
    ]
    assert [world.now_ms - each.reported_ms for each in said] == [1, 1, 0]


def test_an_unpinned_pin_takes_its_reports_along_and_leaves_those_of_its_neighbours() -> None:
    world = world_of(2)
    failed = ReportEntry(cid_of(0), HolderStatus.PIN_ERROR, "no space left")
    world.run(world.report(A, failed, cid_of(1)), world.report(B, cid_of(0)))

    world.do(world.submit(UnpinOperation(cid=cid_of(0))))
    world.pin(cid_of(0))

    assert world.record(cid_of(0)).reports == ()
    assert world.record(cid_of(1)).holders == (peer_id(A),)
    assert [key[:32] for key in holding_rows(world)] == [peer_id(A)]


def test_a_pin_that_changes_keeps_its_number_and_the_reports_of_those_that_are_to_hold_it() -> None:
    world = world_of(1)
    world.run(*(world.report(peer, cid_of(0)) for peer in PEERS[:4]))
    number = world.record(cid_of(0)).number

    world.pin(cid_of(0), replication_min=2, replication_max=2)

    record = world.record(cid_of(0))
    assert record.number == number
    assert record.holders == record.allocations
    rows = [key for peer in record.allocations for key in (peer, duty_key(peer, 0))]
    assert holding_rows(world) == rows


def test_numbers_are_not_given_twice() -> None:
    world = world_of(2)
    world.do(world.submit(UnpinOperation(cid=cid_of(1))))
    world.reopen()

    world.pin(cid_of(2))

    assert world.record(cid_of(2)).number == 2


def test_what_a_removed_peer_reported_goes_with_it() -> None:
    world = world_of(3)
    world.do(
        world.submit(AdmitPeer(peer=peer_id(PEERS[4]), name="barn", addresses=(), votes=False))
    )
    world.do(world.join(PEERS[4]))
    world.run(*(world.report(peer, cid_of(0), cid_of(1)) for peer in (A, PEERS[4])))

    world.do(world.submit(RemovePeer(peer=peer_id(PEERS[4]))))
    world.run()

    assert [key[:32] for key in holding_rows(world)] == [peer_id(A)]
    assert not world.ledger.wants_batches

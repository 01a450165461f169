"""What a peer is to hold is in dense rows of its own, with what it reported of it."""

from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree_proofs import prove, proves
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.duties import DUTIES_PER_ROW, duty_key
from bftcluster.ledger.wire.operations import EVERYWHERE, PinOperation, UnpinOperation
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry
from bftcluster_sim.cluster.environment.duty_index import breaches_of
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, peer_id

A, B = PEERS[0], PEERS[1]


def world_of(pins: int, **options: int) -> World:
    """Four peers have joined, and the first is to hold so many pins, alone."""
    world = World(genesis_of(**options))
    world.join_all()
    operations = [
        PinOperation(
            cid=cid_of(number),
            replication_min=1,
            replication_max=1,
            user_allocations=(peer_id(A),),
        )
        for number in range(pins)
    ]
    world.run(*map(world.submit, operations))
    return world


def duties(world: World) -> list[bytes]:
    return [duty.cid for duty in queries.duties_of(world.store, peer_id(A))]


def unpin(world: World, number: int) -> None:
    assert world.do(world.submit(UnpinOperation(cid=cid_of(number)))).is_accepted
    assert not breaches_of(world.store)


def test_pins_are_a_peers_duties_in_the_order_in_which_they_came() -> None:
    world = world_of(DUTIES_PER_ROW + 2)

    assert duties(world) == [cid_of(number) for number in range(DUTIES_PER_ROW + 2)]
    head = queries.duty_head_of(world.store, peer_id(A))
    assert (head.version, head.count) == (DUTIES_PER_ROW + 2, DUTIES_PER_ROW + 2)
    assert not breaches_of(world.store)


def test_the_last_duty_takes_the_slot_of_one_that_goes_and_its_pin_is_told() -> None:
    world = world_of(DUTIES_PER_ROW + 1)
    last = DUTIES_PER_ROW

    unpin(world, 3)

    assert duties(world)[3] == cid_of(last)
    assert world.record(cid_of(last)).slots == (3,)
    assert len(duties(world)) == DUTIES_PER_ROW
    assert world.store.get(Space.DUTY, duty_key(peer_id(A), last)) is None
    world.run(world.report(A, cid_of(last)))
    assert world.record(cid_of(last)).holders == (peer_id(A),)


def test_what_was_reported_of_a_duty_moves_with_it_and_nothing_stays() -> None:
    world = world_of(4)
    failed = ReportEntry(cid_of(0), HolderStatus.PIN_ERROR, "no space left")
    also = ReportEntry(cid_of(3), HolderStatus.PIN_ERROR, "timed out")
    world.run(world.report(A, failed, also, cid_of(1)))

    unpin(world, 1)
    unpin(world, 0)

    [report] = world.record(cid_of(3)).reports
    assert (report.status, report.error) == (HolderStatus.PIN_ERROR, "timed out")
    assert world.record(cid_of(2)).reports == ()


def test_who_says_that_it_has_a_pin_says_no_error_any_more() -> None:
    world = world_of(2)
    world.run(world.report(A, ReportEntry(cid_of(0), HolderStatus.PIN_ERROR, "full"), cid_of(1)))

    world.run(world.report(A, cid_of(0)))

    assert [world.record(cid_of(n)).reports[0].error for n in range(2)] == ["", ""]


def test_what_a_holder_reported_goes_along_when_its_pin_becomes_everybodys_and_back() -> None:
    world = world_of(2)
    failed = ReportEntry(cid_of(0), HolderStatus.PIN_ERROR, "no space left")
    world.run(world.report(A, failed, cid_of(1)))
    before = [world.record(cid_of(number)).reports for number in range(2)]

    for number in range(2):
        world.pin(cid_of(number), replication_min=EVERYWHERE, replication_max=EVERYWHERE)
    everybodys = [world.record(cid_of(number)).reports for number in range(2)]
    assert not duties(world)
    for number in range(2):
        chosen = (peer_id(A),)
        world.pin(cid_of(number), replication_min=1, replication_max=1, user_allocations=chosen)

    assert before == everybodys
    assert [report.error for (report,) in before] == ["no space left", ""]
    assert world.record(cid_of(1)).reports == before[1]
    assert not breaches_of(world.store)


def test_a_report_of_neighbours_changes_a_row_for_64_of_them_and_no_pin() -> None:
    world = world_of(2 * DUTIES_PER_ROW)

    world.run(world.report(A, *(cid_of(number) for number in range(2 * DUTIES_PER_ROW))))

    changed = [space for space, _ in world.last.delta]
    assert changed.count(Space.DUTY) == 2
    assert Space.PIN not in changed


def test_who_is_not_to_hold_a_pin_reports_nothing_of_it() -> None:
    world = world_of(1)

    outcome = world.do(world.report(B, cid_of(0)))

    assert outcome.detail == "0 of 1 entries count"
    assert world.record(cid_of(0)).reports == ()


def test_one_root_covers_the_head_of_a_peer_and_all_rows_that_it_counts() -> None:
    world = world_of(DUTIES_PER_ROW + 1, checkpoint_interval=2)
    while not world.last.roots:
        world.run()

    [root], count = world.last.roots.values(), DUTIES_PER_ROW + 1
    assert queries.duty_head_of(world.store, peer_id(A)).count == count
    rows = [duty_key(peer_id(A), slot) for slot in range(0, count, DUTIES_PER_ROW)]
    for key in (peer_id(A), *rows):
        value = world.store.get(Space.DUTY, key)
        assert value is not None
        assert proves(root, Space.DUTY, key, value, prove(world.store, Space.DUTY, key))

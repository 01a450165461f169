from bftcluster.ids import Seq, View
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.batch import OrderedBatch
from bftcluster.ledger.rules.effects import DropPin
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.requests import Submit
from bftcluster.limits import SWEEP_INTERVAL_MS, SWEEP_ROWS_MAX
from tests.unit.ledger.world import World, cid_of
from tests.unit.signing.people import DAY_MS

CID = cid_of(1)


def rows(world: World, space: Space) -> int:
    return len(world.store.iterate(space, b"", 1000))


def test_a_pin_is_dropped_when_it_expires() -> None:
    world = World()
    world.pin(CID, expire_at_ms=world.now_ms + DAY_MS)
    world.pin(cid_of(2))
    before = world.run(after_ms=DAY_MS - 3)

    applied = world.run(after_ms=SWEEP_INTERVAL_MS)

    assert before.effects == ()
    assert applied.effects == (DropPin(CID),)
    assert world.record(CID) is None
    assert world.ledger.head.pins == 1
    assert rows(world, Space.DEADLINE) == 0


def test_a_pin_lasts_through_the_millisecond_before_its_expiry() -> None:
    world = World()
    expiry = world.now_ms + DAY_MS
    world.pin(CID, expire_at_ms=expiry)

    world.run(after_ms=expiry - 1 - world.now_ms)

    assert world.record(CID) is not None


def test_a_pin_whose_expiry_was_put_off_stays() -> None:
    world = World()
    world.pin(CID, expire_at_ms=world.now_ms + DAY_MS)
    world.pin(CID, expire_at_ms=world.now_ms + 3 * DAY_MS)
    assert rows(world, Space.DEADLINE) == 1

    world.run(after_ms=2 * DAY_MS)
    assert world.record(CID) is not None

    world.run(after_ms=DAY_MS)
    assert world.record(CID) is None


def test_a_pin_that_no_longer_expires_stays_for_ever() -> None:
    world = World()
    world.pin(CID, expire_at_ms=world.now_ms + DAY_MS)

    world.pin(CID)
    world.run(after_ms=2 * DAY_MS)

    assert world.record(CID) is not None


def test_an_unpinned_pin_leaves_no_deadline_behind() -> None:
    world = World()
    world.pin(CID, expire_at_ms=world.now_ms + DAY_MS)

    world.do(world.submit(UnpinOperation(cid=CID)))

    assert rows(world, Space.DEADLINE) == 0
    assert world.run(after_ms=2 * DAY_MS).effects == ()


def test_used_intents_are_remembered_exactly_as_long_as_they_could_be_replayed() -> None:
    world = World()
    world.run(*(world.submit(PinOperation(cid=cid_of(number))) for number in range(5)))

    world.run(after_ms=DAY_MS - 2)
    assert rows(world, Space.NONCE) == 5

    world.run(after_ms=SWEEP_INTERVAL_MS)
    assert rows(world, Space.NONCE) == 0


def test_nothing_is_looked_for_more_than_once_a_second() -> None:
    world = World()
    world.run()
    first = world.ledger.head.next_sweep_ms

    world.run(after_ms=SWEEP_INTERVAL_MS - 1)
    assert world.ledger.head.next_sweep_ms == first

    world.run()
    assert world.ledger.head.next_sweep_ms == world.now_ms + SWEEP_INTERVAL_MS


def nonce(time_ms: int, number: int) -> tuple[Space, bytes]:
    return Space.NONCE, time_ms.to_bytes(8, "big") + number.to_bytes(32, "big")


def test_many_expired_rows_are_removed_a_bounded_number_per_batch() -> None:
    world = World()
    count = 2 * SWEEP_ROWS_MAX + 1
    world.store.flush({nonce(world.now_ms, number): b"used" for number in range(count)})

    left = []
    for _ in range(3):
        world.run()
        left.append(len(world.store.iterate(Space.NONCE, b"", count)))

    assert left == [SWEEP_ROWS_MAX + 1, 1, 0]
    assert world.ledger.head.next_sweep_ms == world.now_ms + SWEEP_INTERVAL_MS


def test_what_one_batch_removed_is_not_found_by_the_next_of_the_same_run() -> None:
    world = World()
    end_ms = world.now_ms + 2
    count = 2 * SWEEP_ROWS_MAX
    world.store.flush({nonce(world.now_ms, number): b"used" for number in range(count)})
    intents = [world.intent(PinOperation(cid=cid_of(n)), end_ms=end_ms) for n in range(2)]
    requests = [Submit(certificate=world.certificate(intent)).to_bytes() for intent in intents]

    batches = [
        OrderedBatch(seq=Seq(1), timestamp_ms=world.now_ms, view=View(0), requests=tuple(requests)),
        *(
            OrderedBatch(seq=Seq(n), timestamp_ms=end_ms, view=View(0), requests=())
            for n in range(2, 5)
        ),
    ]
    executed = world.ledger.execute(batches)
    world.store.flush(executed.delta)

    assert rows(world, Space.NONCE) == 0
    assert world.ledger.head.pins == 2


def test_what_expires_first_goes_first() -> None:
    world = World()
    days = {cid_of(number): number for number in (3, 1, 2)}
    for cid, day in days.items():
        world.pin(cid, expire_at_ms=world.now_ms + day * DAY_MS)

    applied = world.run(after_ms=4 * DAY_MS)

    assert applied.effects == tuple(DropPin(cid_of(number)) for number in (1, 2, 3))


def test_what_is_due_next_is_told_with_each_batch() -> None:
    world = World()
    assert world.ledger.due_ms is None
    late, early = world.now_ms + 2 * DAY_MS, world.now_ms + DAY_MS
    world.pin(CID, expire_at_ms=late)
    world.pin(cid_of(2), expire_at_ms=early)
    world.pin(cid_of(3))

    assert world.run().due_ms == early
    world.do(world.submit(UnpinOperation(cid=cid_of(2))))
    assert world.ledger.due_ms == late
    world.reopen()
    assert world.ledger.due_ms == late


def test_a_batch_of_no_requests_does_what_is_due_and_nothing_before() -> None:
    world = World()
    due_ms = world.now_ms + DAY_MS
    world.pin(CID, expire_at_ms=due_ms)

    early = world.run(after_ms=due_ms - 1 - world.now_ms)
    assert (early.effects, early.due_ms) == ((), due_ms + SWEEP_INTERVAL_MS - 1)
    tick = world.run(after_ms=early.due_ms - world.now_ms)

    assert tick.effects == (DropPin(CID),)
    assert tick.due_ms is None


def test_an_open_proposal_is_due_when_it_expires() -> None:
    world = World()
    intent = world.intent(PinOperation(cid=CID))
    world.do(world.propose(intent))

    assert world.ledger.due_ms == intent.expires_ms
    world.run(after_ms=intent.expires_ms - world.now_ms)
    assert world.ledger.due_ms is None


def test_more_than_one_batch_may_remove_is_due_again_at_once() -> None:
    world = World()
    end_ms = world.now_ms + DAY_MS
    pins = [
        world.submit(PinOperation(cid=cid_of(number), expire_at_ms=end_ms))
        for number in range(SWEEP_ROWS_MAX + 1)
    ]
    world.run(*pins)

    first = world.run(after_ms=2 * DAY_MS)
    assert (world.ledger.head.pins, first.due_ms) == (1, world.now_ms)
    assert world.run().due_ms is None


def test_used_intents_are_forgotten_without_being_due() -> None:
    world = World()
    world.do(world.submit(PinOperation(cid=CID)))

    assert rows(world, Space.NONCE) == 1
    assert world.ledger.due_ms is None

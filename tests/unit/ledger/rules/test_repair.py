"""Pins that lost holders get others: in the order of danger, a bounded part after each batch."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from bftcluster.ledger.ledger import Ledger
from bftcluster.ledger.rows.spaces import STATE_SPACES, Key, Space
from bftcluster.ledger.rules.effects import KeepPin
from bftcluster.ledger.rules.repair import repair_due_ms
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.limits import (
    ABSENT_AFTER_MS,
    MOVED_ROWS_MAX,
    REPAIR_RATE_BYTES_PER_S,
    REPAIRED_ROWS_MAX,
)
from bftcluster_sim.cluster.environment.duty_index import breaches_of
from tests.unit.ledger.departures import (
    HOUR_MS,
    admit,
    duties,
    holders,
    live,
    pass_time,
    pin,
    remove,
    settle,
    settle_uncounted,
    waiting,
    world_of,
    written,
)
from tests.unit.ledger.world import GIB, PEERS, TERMS, World, cid_of, peer_id


class Reads:
    """Counts the rows of the state that a world's ledger reads from now on."""

    def __init__(self, world: World) -> None:
        self._store, self.rows = world.store, 0
        world.ledger = Ledger(world.genesis, self, world.verifier)
        self.rows = 0

    def get(self, space: Space, key: bytes) -> bytes | None:
        self.rows += space in STATE_SPACES
        return self._store.get(space, key)

    def iterate(self, space: Space, after: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        rows = self._store.iterate(space, after, limit)
        self.rows += len(rows) if space in STATE_SPACES else 0
        return rows

    def prefetch(self, keys: Iterable[Key]) -> None:
        self._store.prefetch(keys)


def test_the_pins_of_a_removed_peer_are_found_by_its_duties_and_given_to_others() -> None:
    world = world_of(6)
    pin(world, range(90), 2)
    lost = duties(world, PEERS[5])
    others = {number: holders(world, number) for number in range(90) if cid_of(number) not in lost}

    remove(world, PEERS[5])
    settle(world)

    assert lost
    assert all(len(holders(world, number)) == 2 for number in range(90))
    assert all(peer_id(PEERS[5]) not in holders(world, number) for number in range(90))
    assert all(holders(world, number) == before for number, before in others.items())
    assert not duties(world, PEERS[5])
    assert world.store.get(Space.DUTY, peer_id(PEERS[5])) is None


@pytest.mark.parametrize("kind", ["removed", "absent"])
def test_a_departure_reads_as_many_rows_however_many_pins_others_have(kind: str) -> None:
    rows, batches = [], []
    for others in (1_000, 20_000):
        world = world_of(6)
        pin(world, ["template"], 2)
        written(world, range(1, 65), [PEERS[5], PEERS[0]])
        written(world, range(100, 100 + others), [PEERS[1], PEERS[2]])
        world.run()
        if kind == "absent":
            heard = PEERS[:5]
            pass_time(world, ABSENT_AFTER_MS - HOUR_MS, heard=heard)
        reads = Reads(world)

        if kind == "removed":
            remove(world, PEERS[5])
        else:
            world.run(after_ms=2 * HOUR_MS)
        batches.append(settle_uncounted(world))
        rows.append(reads.rows)

        assert all(len(live(world, number)) == 2 for number in range(1, 65))
    assert rows[0] == rows[1]
    assert batches[0] == batches[1]


def test_a_batch_looks_at_a_bounded_number_of_pins_of_who_left() -> None:
    world = world_of(6)
    pin(world, ["template"], 2)
    written(world, range(1, 3 * MOVED_ROWS_MAX), [PEERS[5], PEERS[0]])

    remove(world, PEERS[5])
    left = len(duties(world, PEERS[5]))
    batches = settle(world)

    assert left == 2 * MOVED_ROWS_MAX - 1 + (world.record(cid_of("template")) is None)
    assert batches >= 3 * MOVED_ROWS_MAX // REPAIRED_ROWS_MAX


def test_the_most_endangered_pins_are_repaired_first() -> None:
    world = world_of(7)
    pin(world, ["template"], 2)
    many = 4 * REPAIRED_ROWS_MAX
    written(world, range(1, 1 + many), [PEERS[5], PEERS[0], PEERS[1]])
    written(world, range(1000, 1010), [PEERS[5], PEERS[0]])
    world.run()

    remove(world, PEERS[5])
    order = repaired_in_order(world)

    assert len(order) == many + 10
    assert sorted(order[:10]) == sorted(cid_of(number) for number in range(1000, 1010))


def test_a_peer_is_given_a_bounded_part_of_what_others_lost_in_a_period() -> None:
    world = world_of(6)
    pin(world, ["template"], 2)
    part_bytes = REPAIR_RATE_BYTES_PER_S * world.genesis.period_ms // 1000
    size_bytes = part_bytes // 2
    written(world, range(1, 31), [PEERS[5], PEERS[0]], size_bytes=size_bytes)
    world.run()

    remove(world, PEERS[5])
    settle(world)

    given = [len(duties(world, peer) & {cid_of(n) for n in range(1, 31)}) for peer in PEERS[1:5]]
    assert given == [2, 2, 2, 2]
    assert len(waiting(world)) == 22
    begins_ms = (world.ledger.head.period + 1) * world.genesis.period_ms
    assert world.ledger.due_ms == begins_ms
    world.reopen()
    assert world.ledger.due_ms == begins_ms
    world.run(after_ms=begins_ms - world.now_ms)
    settle(world)
    assert len(waiting(world)) == 14


def test_what_nobody_can_take_waits_for_another_candidate_without_batches() -> None:
    world = world_of(5)
    pin(world, range(40), 5)

    remove(world, PEERS[4])
    settle(world)

    assert len(waiting(world)) == 40
    assert repair_due_ms(world.ledger._state, world.genesis) is None
    assert all(len(holders(world, number)) == 4 for number in range(40))
    world.reopen()
    assert not world.ledger.wants_batches
    admit(world, PEERS[5])
    settle(world)
    assert not waiting(world)
    assert all(peer_id(PEERS[5]) in holders(world, number) for number in range(40))


def test_a_pin_is_never_left_to_nobody_which_would_mean_to_everybody() -> None:
    world = world_of(5)
    chosen = (peer_id(PEERS[4]),)
    operation = PinOperation(
        cid=cid_of(1), replication_min=1, replication_max=1, user_allocations=chosen
    )
    world.do(world.submit(operation))
    for peer in PEERS[:4]:
        record = world.ledger._state.peers[peer_id(peer)]
        world.ledger._state.put_peer(replace(record, free_bytes=0, weighed_bytes=0, weight=0))
    world.store.flush(world.ledger._state.take_delta())

    remove(world, PEERS[4])
    settle(world)

    assert holders(world, 1) == chosen
    assert waiting(world) == [cid_of(1)]
    world.do(world.report(PEERS[0], free_bytes=GIB))
    world.run(after_ms=world.genesis.period_ms)
    settle(world)
    assert holders(world, 1) == (peer_id(PEERS[0]),)
    assert not duties(world, PEERS[4])
    assert world.store.get(Space.DUTY, chosen[0]) is None


def test_who_is_admitted_again_keeps_what_nobody_else_took_and_counts_once_it_is_heard() -> None:
    world = world_of(5)
    pin(world, range(40), 5)
    remove(world, PEERS[4])
    operation = AdmitPeer(peer=peer_id(PEERS[4]), name="", addresses=(), votes=False, terms=TERMS)

    world.do(world.submit(operation))
    left = duties(world, PEERS[4])
    settle(world)

    assert len(waiting(world)) == 40
    assert duties(world, PEERS[4]) == left
    world.do(world.join(PEERS[4]))
    settle(world)
    assert not waiting(world)
    assert duties(world, PEERS[4]) == {cid_of(number) for number in range(40)}


def test_an_unpinned_pin_leaves_the_queue() -> None:
    world = world_of(5)
    pin(world, range(3), 5)
    remove(world, PEERS[4])
    settle(world)

    world.do(world.submit(UnpinOperation(cid=cid_of(1))))

    assert waiting(world) == [cid_of(0), cid_of(2)]
    assert not breaches_of(world.store)


def test_a_pin_that_is_changed_to_what_there_is_leaves_the_queue() -> None:
    world = world_of(5)
    pin(world, range(3), 5)
    remove(world, PEERS[4])
    settle(world)

    pin(world, [0], 4)
    pin(world, [1], -1)

    assert waiting(world) == [cid_of(2)]
    assert not breaches_of(world.store)


def repaired_in_order(world: World) -> list[bytes]:
    """Return which pins were given another holder, in the order of that, until all were."""
    effects = list(world.last.applied[0].effects)
    while world.ledger.wants_batches:
        effects += world.run(after_ms=0).effects
    gone = peer_id(PEERS[5])
    return [
        effect.cid
        for effect in effects
        if isinstance(effect, KeepPin) and gone not in effect.record.allocations
        if len(effect.record.allocations) == effect.record.replication_max
    ]

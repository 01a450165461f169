import pytest

from bftcluster.errors import ConfigError
from bftcluster.ids import Seq, View
from bftcluster.ledger.ledger import Ledger, genesis_delta
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree_proofs import prove, proves
from bftcluster.ledger.rules.batch import OrderedBatch
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.limits import TIME_MAX_MS
from tests.unit.ledger.world import World, cid_of, genesis_of
from tests.unit.signing.people import VERIFIER


def test_a_new_ledger_is_at_the_genesis() -> None:
    head = World().ledger.head

    assert (head.seq, head.pins, head.proposals_open) == (0, 0, 0)
    assert head.timestamp_ms == genesis_of().created_ms


def test_an_empty_store_is_no_ledger() -> None:
    genesis = genesis_of()

    with pytest.raises(ConfigError, match="is empty"):
        Ledger(genesis, MemoryStateStore(), ApprovalVerifier(genesis.cluster_id, VERIFIER))


def test_a_store_of_another_cluster_is_refused_with_a_hint() -> None:
    other = genesis_of(nonce=b"\x01" * 32)
    verifier = ApprovalVerifier(other.cluster_id, VERIFIER)

    with pytest.raises(ConfigError, match="belongs to another cluster") as caught:
        Ledger(other, World().store, verifier)

    assert "genesis file" in caught.value.hint


def test_a_root_is_made_at_every_checkpoint_and_only_there() -> None:
    world = World(genesis_of(checkpoint_interval=4))

    seen = []
    for _ in range(9):
        world.run()
        seen += world.last.roots

    assert seen == [4, 8]


def test_the_root_proves_a_pin_to_somebody_who_has_only_the_root() -> None:
    world = World(genesis_of(checkpoint_interval=2))
    world.pin(cid_of(1), name="a book")
    world.run()
    root = world.last.roots[Seq(2)]

    value = world.store.get(Space.PIN, cid_of(1))
    there = prove(world.store, Space.PIN, cid_of(1))
    genesis = prove(world.store, Space.META, b"genesis")
    absent = prove(world.store, Space.PIN, cid_of(2))

    assert proves(root, Space.PIN, cid_of(1), value, there)
    assert proves(root, Space.PIN, cid_of(2), None, absent)
    assert proves(root, Space.META, b"genesis", world.genesis.to_bytes(), genesis)


def batches_of(world: World, count: int) -> list[OrderedBatch]:
    """Batches that pin, report, propose and expire."""
    requests = [
        world.submit(PinOperation(cid=cid_of(n % 40), name=f"pin {n}")).to_bytes()
        for n in range(count)
    ]
    return [
        OrderedBatch(
            seq=Seq(n + 1),
            timestamp_ms=world.now_ms + n * 100,
            view=View(0),
            requests=(requests[n],),
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("group", [1, 3, 7, 60])
def test_how_batches_are_grouped_for_execution_does_not_matter(group: int) -> None:
    alone, grouped = (World(genesis_of(checkpoint_interval=5)) for _ in range(2))
    batches = batches_of(alone, 60)
    roots: list[dict] = [{}, {}]

    for world, size, seen in ((alone, 60, roots[0]), (grouped, group, roots[1])):
        for start in range(0, len(batches), size):
            executed = world.ledger.execute(batches[start : start + size])
            world.store.flush(executed.delta)
            seen.update(executed.roots)

    assert roots[0] == roots[1]
    assert len(roots[0]) == 12


def test_a_restart_anywhere_does_not_change_the_roots() -> None:
    steady, restarted = (World(genesis_of(checkpoint_interval=8)) for _ in range(2))
    batches = batches_of(steady, 40)
    roots: list[dict] = [{}, {}]

    for batch in batches:
        for world, seen in ((steady, roots[0]), (restarted, roots[1])):
            executed = world.ledger.execute([batch])
            world.store.flush(executed.delta)
            seen.update(executed.roots)
        restarted.reopen()

    assert roots[0] == roots[1]
    assert steady.ledger.head == restarted.ledger.head


def test_the_head_commits_to_everything_that_was_ordered() -> None:
    one, two = World(), World()
    one.run(b"not a request")
    two.run(b"nor is this")

    assert one.ledger.head.chain != two.ledger.head.chain
    assert one.ledger.head.seq == two.ledger.head.seq == 1


def test_batches_are_executed_in_order_and_once() -> None:
    world = World()
    batch = OrderedBatch(seq=Seq(2), timestamp_ms=world.now_ms, view=View(0), requests=())

    with pytest.raises(AssertionError, match="in order"):
        world.ledger.execute([batch])


def test_a_timestamp_beyond_all_time_is_taken_for_the_end_of_time() -> None:
    world = World()

    world.run(after_ms=1 << 80)

    assert world.ledger.head.timestamp_ms == TIME_MAX_MS


def test_a_null_batch_which_has_no_time_does_not_turn_the_clock_back() -> None:
    world = World()
    world.run(after_ms=1_000)
    before = world.ledger.head

    world.run(after_ms=-world.now_ms)

    assert world.now_ms == 0
    assert world.ledger.head.seq == before.seq + 1
    assert world.ledger.head.timestamp_ms == before.timestamp_ms


def test_the_genesis_has_a_root_too() -> None:
    delta = genesis_delta(genesis_of())

    assert any(space is Space.TREE for space, _ in delta)

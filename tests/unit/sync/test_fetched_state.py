"""A ledger that goes on from a fetched state does exactly what the others do."""

from bftcluster.ids import PeerId, Seq
from bftcluster.ledger.ledger import genesis_delta
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import STATE_SPACES, Space
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.sync.fetcher import StateFetcher
from bftcluster.sync.state_parts import answer
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of

SOURCE = PeerId(b"s" * 32)


def fetched(source: World) -> World:
    """Return another peer that has the state of ``source``, which is at a checkpoint."""
    own, stage = MemoryStateStore(), MemoryStateStore()
    own.flush(genesis_delta(source.genesis))
    fetcher = StateFetcher(stage=stage, own=own)
    root = source.ledger.checkpoint_root()
    assert root is not None, "the source has a checkpoint"
    fetcher.aim(root, [SOURCE])
    for now_ms in range(1000):
        requests = fetcher.requests(now_ms)
        stage.flush(fetcher.take_delta())
        if fetcher.is_complete:
            break
        for _, request in requests:
            assert not fetcher.on_parts(SOURCE, answer(source.store, request), now_ms).is_fault
        stage.flush(fetcher.take_delta())
    other = World(source.genesis)
    other.store = stage
    other.now_ms, other.nonces = source.now_ms, source.nonces
    other.counters = dict(source.counters)
    other.reopen()
    return other


def busy() -> World:
    """Return a world with pins, proposals, used nonces and reports, at a checkpoint."""
    world = World(genesis_of(checkpoint_interval=8))
    world.join_all()
    for number in range(60):
        world.pin(cid_of(number))
    world.do(world.propose(world.intent(UnpinOperation(cid=cid_of(3)))))
    while world.ledger.head.seq % 8:
        world.run()
    return world


def test_a_request_that_was_executed_before_is_not_executed_again() -> None:
    world = busy()
    request = world.submit(PinOperation(cid=cid_of("once")))
    assert world.do(request).code is OutcomeCode.COMMITTED
    while world.ledger.head.seq % 8:
        world.run()

    other = fetched(world)

    assert other.do(request).code is OutcomeCode.REPLAYED


def test_both_go_on_to_the_same_root_and_rows() -> None:
    world = busy()
    other = fetched(world)
    for number in range(100, 120):
        request = world.submit(PinOperation(cid=cid_of(number)))
        assert other.do(request) == world.do(request)
        report = world.report(PEERS[0], cid_of(number))
        assert other.do(report) == world.do(report)

    assert other.ledger.head == world.ledger.head
    assert other.ledger.checkpoint_root() == world.ledger.checkpoint_root()
    assert _state(other) == _state(world)


def test_a_peer_that_fetched_its_state_can_give_it_at_once() -> None:
    world = busy()

    third = fetched(fetched(world))

    assert _state(third) == _state(world)
    assert third.ledger.head.seq == world.ledger.head.seq > Seq(0)


def _state(world: World) -> dict[tuple[Space, bytes], bytes]:
    spaces = (*STATE_SPACES, Space.TREE, Space.BEFORE)
    return {key: value for key, value in world.store.rows().items() if key[0] in spaces}

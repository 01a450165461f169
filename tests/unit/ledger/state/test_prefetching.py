"""What execution reads was announced, so that storage can fetch it many rows at a time."""

from collections.abc import Iterable

from bftcluster.ledger.ledger import Ledger, genesis_delta
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import Key, Space
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.requests import Approve, Request
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.signing.approvals import approve
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of
from tests.unit.signing.people import BOB, VERIFIER


class WatchfulStore:
    """Notes which rows were read without having been announced."""

    def __init__(self) -> None:
        self._store = MemoryStateStore()
        self.iterate, self.flush = self._store.iterate, self._store.flush
        self.announced: set[Key] = set()
        self.surprises: list[Key] = []

    def prefetch(self, keys: Iterable[Key]) -> None:
        self.announced.update(keys)

    def get(self, space: Space, key: bytes) -> bytes | None:
        if (space, key) not in self.announced:
            self.surprises.append((space, key))
        return self._store.get(space, key)


class WatchedWorld(World):
    """A world whose store is watched."""

    def __init__(self) -> None:
        super().__init__(genesis_of(checkpoint_interval=2))
        self.store = WatchfulStore()
        self.store.flush(genesis_delta(self.genesis))
        self.reopen()

    def reopen(self) -> None:
        self.verifier = ApprovalVerifier(self.genesis.cluster_id, VERIFIER)
        self.ledger = Ledger(self.genesis, self.store, self.verifier)

    def surprises(self, *requests: Request) -> set[Space]:
        self.store.announced.clear()
        self.store.surprises.clear()
        assert all(outcome.is_accepted for outcome in self.run(*requests).outcomes)
        return {space for space, _ in self.store.surprises}


def test_no_row_is_read_that_was_not_announced() -> None:
    world = WatchedWorld()
    world.join_all()
    pins = [world.submit(PinOperation(cid=cid_of(number))) for number in range(100)]
    assert world.surprises(*pins) == set()
    intent = world.intent(UnpinOperation(cid=cid_of(2)))
    vote = Approve(intent_digest=intent.digest, approval=approve(intent.to_bytes(), BOB))

    seen = [
        world.surprises(world.report(PEERS[0], *(cid_of(number) for number in range(100)))),
        world.surprises(world.submit(PinOperation(cid=cid_of("copy"), pin_update=cid_of(1)))),
        world.surprises(world.submit(UnpinOperation(cid=cid_of(1)))),
        world.surprises(world.propose(intent)) - {Space.META},
        world.surprises(world.submit(PinOperation(cid=cid_of("while a proposal is open")))),
    ]
    assert seen == [set()] * 5

    world.reopen()
    behind_the_proposal = {Space.NONCE, Space.PIN}
    assert world.surprises(vote) == behind_the_proposal

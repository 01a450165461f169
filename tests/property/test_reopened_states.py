"""After every batch, and after a recovery, memory and disk hold one state."""

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import given, settings

from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.operations import Operation, PinOperation
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.ledger.wire.requests import Approve, Reject, Request
from bftcluster.signing.approvals import Intent, approve, reject
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.state.test_reopened import assert_reopens_alike, recover, recovery_of
from tests.unit.ledger.world import GIB, PEERS, World, cid_of, genesis_of, peer_id
from tests.unit.signing.people import ALICE, BOB, CAROL, key

INTERVAL = 3
NEWCOMERS = tuple(key(f"newcomer {number}") for number in range(2))
EVERYBODY = st.sampled_from(PEERS)


@dataclass(slots=True)
class History:
    """A world, and what its maintainers have proposed."""

    world: World
    intents: list[Intent] = field(default_factory=list)

    def propose(self, operation: Operation) -> Request:
        self.intents.append(self.world.intent(operation))
        return self.world.propose(self.intents[-1], ALICE)

    def vote(self, yes: bool, number: int, signer: SigningKey) -> Request:
        intent = self.intents[number % len(self.intents)]
        if yes:
            approval = approve(intent.to_bytes(), signer)
            return Approve(intent_digest=intent.digest, approval=approval)
        return Reject(intent_digest=intent.digest, approval=reject(intent.to_bytes(), signer))


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    peer = peer_id(draw(EVERYBODY))
    match draw(st.sampled_from(["admit", "remove", "remove", "pin"])):
        case "admit":
            terms = PeerTerms(
                capacity_bytes=draw(st.sampled_from([0, GIB, 100 * GIB])),
                domain=draw(st.sampled_from(["", "barn"])),
            )
            votes = draw(st.booleans())
            return AdmitPeer(peer=peer, name="new", addresses=(), votes=votes, terms=terms)
        case "remove":
            return RemovePeer(peer=peer)
        case _:
            copies = draw(st.integers(1, 3))
            cid = cid_of(draw(st.integers(0, 9)))
            return PinOperation(cid=cid, replication_min=copies, replication_max=copies)


def next_request(data: st.DataObject, history: History) -> Request:
    world = history.world
    kinds = ["submit", "submit", "propose", "join", "report"] + ["vote"] * bool(history.intents)
    match data.draw(st.sampled_from(kinds)):
        case "submit":
            return world.submit(data.draw(operations()))
        case "propose":
            return history.propose(data.draw(operations()))
        case "join":
            tags = data.draw(st.sampled_from([{}, {"group": "barn"}]))
            free_bytes = data.draw(st.sampled_from([0, GIB, 3 * GIB]))
            return world.join(data.draw(EVERYBODY), free_bytes=free_bytes, tags=tags)
        case "report":
            return world.report(data.draw(EVERYBODY), cid_of(data.draw(st.integers(0, 9))))
        case _:
            number = data.draw(st.integers(0, 99))
            signer = data.draw(st.sampled_from([ALICE, BOB, CAROL]))
            return history.vote(data.draw(st.booleans()), number, signer)


@given(st.data())
@settings(max_examples=20)
def test_a_state_in_memory_is_the_one_that_a_restart_finds(data: st.DataObject) -> None:
    world = World(genesis_of(peers=PEERS[:5], checkpoint_interval=INTERVAL))
    history = History(world)
    world.join_all()
    for view in data.draw(st.lists(st.integers(0, 1), min_size=4, max_size=5 * INTERVAL)):
        count = data.draw(st.sampled_from([0, 0, 1, 3]))
        world.run(*(next_request(data, history) for _ in range(count)), view=view)
        assert_reopens_alike(world)
    while world.ledger.head.seq % INTERVAL:
        world.run()

    leaving = data.draw(st.integers(0, 2))
    recovery = recovery_of(world, leaving=leaving, coming=tuple(map(peer_id, NEWCOMERS))[:leaving])
    recover(world, recovery)

    assert_reopens_alike(world, recovery)
    for _ in range(INTERVAL + 1):
        world.run(*(next_request(data, history) for _ in range(data.draw(st.integers(0, 2)))))
        assert_reopens_alike(world, recovery)

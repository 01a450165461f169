"""Any bytes in a batch lead to an outcome, the same for everybody, and to no exception."""

import hypothesis.strategies as st
from hypothesis import given

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.requests import Approve, Reject
from bftcluster.signing.approvals import approve, reject
from tests.unit.ledger.world import PEERS, World, cid_of
from tests.unit.signing.people import ALICE, BOB, CAROL

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.binary(max_size=70)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=12,
)


def sample_requests() -> list[bytes]:
    """Good requests of every kind, some of which build on each other."""
    world = World()
    pin = PinOperation(cid=cid_of(1), name="x", metadata=(("k", "v"),), expire_at_ms=1 << 47)
    intent = world.intent(pin)
    data = intent.to_bytes()
    requests = [
        *(world.join(peer) for peer in PEERS[:4]),
        world.submit(pin),
        world.submit(PinOperation(cid=cid_of(2), replication_min=1, replication_max=2)),
        world.submit(PinOperation(cid=cid_of(3), pin_update=cid_of(2))),
        world.propose(intent),
        Approve(intent_digest=intent.digest, approval=approve(data, BOB)),
        Reject(intent_digest=intent.digest, approval=reject(data, CAROL)),
        Reject(intent_digest=intent.digest, approval=reject(data, ALICE)),
        world.report(PEERS[0], cid_of(1), cid_of(2), cid_of(3)),
        world.report(PEERS[1], cid_of(1)),
        world.submit(UnpinOperation(cid=cid_of(2))),
    ]
    return [request.to_bytes() for request in requests]


SAMPLES = sample_requests()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good request with one item, at any depth, replaced; its signature may no longer fit."""
    items = codec.decode(draw(st.sampled_from(SAMPLES)))
    index = draw(st.integers(0, len(items) - 1))
    item = items[index]
    if isinstance(item, bytes) and draw(st.booleans()):
        try:
            inner = codec.decode(item)
            inner[draw(st.integers(0, len(inner) - 1))] = draw(VALUES)
            items[index] = codec.encode(inner)
        except (MalformedMessageError, TypeError, ValueError):
            items[index] = draw(st.binary(max_size=70))
    else:
        items[index] = draw(VALUES)
    return codec.encode(items)


@st.composite
def signed_nonsense(draw: st.DrawFn) -> bytes:
    """A certificate that the maintainers really signed, over an operation that may be anything."""
    world = World()
    world.nonces = draw(st.integers(100, 10**6))
    items = codec.decode(draw(st.sampled_from([PinOperation(cid=cid_of(1))])).to_bytes())
    items[draw(st.integers(0, len(items) - 1))] = draw(VALUES)
    intent = world.intent(codec.encode(items))
    return codec.encode([1, *world.certificate(intent).to_wire()])


REQUESTS = (
    st.sampled_from(SAMPLES)
    | st.binary(max_size=300)
    | VALUES.map(codec.encode)
    | mutated()
    | signed_nonsense()
)


@given(st.lists(st.lists(REQUESTS, max_size=12), max_size=4), st.integers(0, 10**11))
def test_any_batches_lead_to_the_same_outcomes_and_state_everywhere(
    batches: list[list[bytes]], step_ms: int
) -> None:
    steady, restarted = World(), World()

    for requests in batches:
        one = steady.run(*requests, after_ms=step_ms)
        restarted.reopen()
        two = restarted.run(*requests, after_ms=step_ms)

        assert len(one.outcomes) == len(requests)
        assert one == two
        assert steady.store.rows() == restarted.store.rows()
        assert steady.ledger.head.pins == sum(1 for _ in steady.ledger._state.scan(Space.PIN))


@given(REQUESTS)
def test_any_bytes_are_admissible_or_not(request: bytes) -> None:
    world = World()
    world.verifier.learn(world.genesis.policy)

    if not world.verifier.admissible(request):
        assert not world.do(request).is_accepted

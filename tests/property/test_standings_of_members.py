"""Whoever comes, goes, lies, fails or stays away: standings and membership fit each other."""

import hypothesis.strategies as st
from hypothesis import given, settings

from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.reputation import AuditOutcome, OrderedEvidence, PeerReputation
from tests.unit.ledger.rules.test_evidence import evidence
from tests.unit.ledger.state.test_reopened import assert_reopens_alike
from tests.unit.ledger.world import PEERS, TERMS, World, cid_of, genesis_of, peer_id

PERIOD_MS = 2 * 86_400_000
"""Two days: thirty days of cool-down are fifteen of them."""
peers = st.integers(0, len(PEERS) - 1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("come"), peers),
        st.tuples(st.just("admit"), peers, st.booleans()),
        st.tuples(st.just("remove"), peers),
        st.tuples(st.just("lie"), peers),
        st.tuples(st.just("fail"), peers, st.integers(1, 10)),
        st.tuples(st.just("wait"), st.integers(1, 20)),
        st.tuples(st.just("run"), st.integers(1, 9)),
        st.tuples(st.just("pin")),
    ),
    max_size=30,
)


def audited(world: World, peer: PeerId, failures: int) -> None:
    """Count as many wrong answers as audits would, which nothing orders yet."""
    reputation = world.ledger._state.reputations.get(peer)
    if reputation is None:
        return
    head = world.ledger.head
    for _ in range(failures):
        proof = OrderedEvidence(digest=head.chain, seq=head.seq)
        reputation = reputation.audited(AuditOutcome.FAILED, proof)
    world.store.flush({(Space.REPUTATION, peer): reputation.to_value()})
    world.reopen()


def do(world: World, step: tuple) -> None:
    match step:
        case ("come", number):
            world.run(world.join(PEERS[number]))
        case ("admit", number, votes):
            peer = peer_id(PEERS[number])
            operation = AdmitPeer(peer=peer, name="", addresses=(), votes=votes, terms=TERMS)
            world.run(world.submit(operation))
        case ("remove", number):
            world.run(world.submit(RemovePeer(peer=peer_id(PEERS[number]))))
        case ("lie", number):
            world.run(evidence(world, culprit=PEERS[number]))
        case ("fail", number, failures):
            audited(world, peer_id(PEERS[number]), failures)
        case ("wait", periods):
            world.run(after_ms=periods * PERIOD_MS)
        case ("run", batches):
            for _ in range(batches):
                world.run()
        case ("pin",):
            cid = cid_of(world.ledger.head.seq)
            before = gets_data(world)
            if world.pin(cid, replication_min=1, replication_max=2).is_accepted:
                assert set(world.record(cid).allocations) <= before


def gets_data(world: World) -> set[PeerId]:
    reputations = world.ledger._state.reputations
    return {peer for peer in world.ledger._state.peers if reputations.of(peer).gets_data}


def check(world: World, evictions: dict[PeerId, PeerReputation]) -> None:
    """Check what must hold after every batch, and note who is evicted."""
    state = world.ledger._state
    members = {PeerId(key) for key, _ in world.store.iterate(Space.PEER, b"", 100)}
    known = {PeerId(key) for key, _ in world.store.iterate(Space.REPUTATION, b"", 100)}
    assert members <= known, "whoever belongs to the cluster has a reputation"
    assert members == set(state.peers)
    for start in world.ledger.epochs[-2:]:
        if start.first > world.ledger.head.seq or start is world.ledger.epochs[-1]:
            voters = start.membership.replicas
            assert len(voters) >= 4
            assert members.issuperset(voters), "no eviction takes a voter away"
    candidates = {peer for peer in members if peer in state.roster}
    assert candidates <= gets_data(world)
    for peer, before in evictions.items():
        after = state.reputations.get(peer)
        if after is not None and not after.is_evicted:
            assert after.evictions == before.evictions
            assert after.admitted >= before.first_period_back(state.reputations.terms)
    evictions.clear()
    for peer in known:
        reputation = state.reputations.get(peer)
        if reputation is not None and reputation.is_evicted:
            evictions[peer] = reputation


@settings(max_examples=40)
@given(steps=steps)
def test_any_life_of_a_cluster_keeps_voters_rows_and_cool_downs(steps: list[tuple]) -> None:
    world = World(genesis_of(checkpoint_interval=4, period_ms=PERIOD_MS))
    world.join_all()
    evictions: dict[PeerId, PeerReputation] = {}
    for step in steps:
        do(world, step)
        check(world, evictions)
    assert_reopens_alike(world)

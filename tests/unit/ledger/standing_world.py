"""Worlds in which peers stand here or there, for the tests of reputations in the ledger."""

from dataclasses import replace

from bftcluster.ids import Digest, Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.outcomes import Outcome
from bftcluster.reputation import (
    AuditOutcome,
    OrderedEvidence,
    PeerReputation,
)
from bftcluster.signing.keys import SigningKey
from tests.unit.ledger.world import PEERS, TERMS, World, cid_of, peer_id

NEWCOMER = PEERS[4]
OLD = OrderedEvidence(digest=Digest(b"x" * 32), seq=Seq(1))


def of(world: World, peer: SigningKey) -> PeerReputation:
    reputation = queries.reputation_of(world.store, peer_id(peer))
    assert reputation is not None
    return reputation


def admit(world: World, peer: SigningKey, *, votes: bool = False) -> Outcome:
    operation = AdmitPeer(peer=peer_id(peer), name="new", addresses=(), votes=votes, terms=TERMS)
    return world.do(world.submit(operation))


def remove(world: World, peer: SigningKey) -> Outcome:
    return world.do(world.submit(RemovePeer(peer=peer_id(peer))))


def with_newcomer() -> World:
    """Return a world of four founders that vote and one newcomer that does not; all have joined."""
    world = World()
    world.join_all()
    assert admit(world, NEWCOMER).is_accepted
    assert world.do(world.join(NEWCOMER)).is_accepted
    return world


def set_reputation(world: World, peer: SigningKey, reputation: PeerReputation) -> None:
    world.store.flush({(Space.REPUTATION, peer_id(peer)): reputation.to_value()})
    world.reopen()


def next_period(world: World, *seen: SigningKey) -> None:
    """Begin a period, in which these peers are then heard of."""
    period_ms = world.genesis.period_ms
    world.run(after_ms=period_ms - world.now_ms % period_ms)
    for peer in seen:
        assert world.do(world.report(peer)).is_accepted


def audited(reputation: PeerReputation, outcome: AuditOutcome, times: int) -> PeerReputation:
    for _ in range(times):
        reputation = reputation.audited(outcome, OLD)
    return reputation


def holds(world: World, peer: SigningKey) -> int:
    """Return how many of twenty new pins a peer is to hold, if each is to have two copies."""
    for number in range(20):
        cid = cid_of(f"{world.now_ms} {number}")
        assert world.pin(cid, replication_min=2, replication_max=2).is_accepted
    pins = queries.pins_behind(world.store, b"", 1000)
    return sum(peer_id(peer) in pin.allocations for pin in pins[:])


def evicted_newcomer(world: World, evictions: int = 1) -> None:
    reputation = of(world, NEWCOMER).defrauded(world.ledger.head.period, OLD)
    set_reputation(world, NEWCOMER, replace(reputation, evictions=evictions))
    next_period(world)
    assert queries.peer_of(world.store, peer_id(NEWCOMER)) is None

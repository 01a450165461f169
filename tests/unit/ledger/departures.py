"""A cluster whose peers leave, fall silent and come back, and what it has its peers hold."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bftcluster.ids import Digest, PeerId
from bftcluster.ledger.rules.placement import place
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.block_tree import PinContents
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.signing.keys import SigningKey
from bftcluster_sim.cluster.environment.duty_index import breaches_of
from tests.unit.ledger.world import GIB, PEERS, TERMS, World, cid_of, genesis_of, peer_id

HOUR_MS = 3_600_000


def world_of(peers: int, **options: int) -> World:
    """A cluster of four founders and as many others that do not vote as are missing."""
    world = World(genesis_of(peers=PEERS[:4], **options))
    world.join_all(free_bytes=100 * GIB)
    for peer in PEERS[4:peers]:
        admit(world, peer)
    return world


def admit(world: World, peer: SigningKey) -> None:
    operation = AdmitPeer(peer=peer_id(peer), name="", addresses=(), votes=False, terms=TERMS)
    assert world.do(world.submit(operation)).is_accepted
    assert world.do(world.join(peer)).is_accepted


def remove(world: World, peer: SigningKey) -> None:
    assert world.do(world.submit(RemovePeer(peer=peer_id(peer)))).is_accepted


def pin(world: World, numbers: Sequence[int], copies: int, *, least: int | None = None) -> None:
    operations = [
        PinOperation(cid=cid_of(number), replication_min=least or copies, replication_max=copies)
        for number in numbers
    ]
    outcomes = world.run(*map(world.submit, operations)).outcomes
    assert all(outcome.is_accepted for outcome in outcomes)


def settle(world: World) -> int:
    """Run batches as long as something wants them; return how many."""
    batches = 0
    while world.ledger.wants_batches:
        world.run(after_ms=0)
        batches += 1
        assert batches < 10_000, "it comes to an end"
    assert not breaches_of(world.store)
    return batches


def pass_time(world: World, ms: int, *, heard: Sequence[SigningKey]) -> None:
    """Let time pass in which some peers announce themselves every six hours."""
    end_ms = world.now_ms + ms
    while world.now_ms < end_ms:
        step_ms = min(6 * HOUR_MS, end_ms - world.now_ms)
        world.run(*(world.join(peer) for peer in heard), after_ms=step_ms)


def duties(world: World, peer: SigningKey) -> set[bytes]:
    return {duty.cid for duty in queries.duties_of(world.store, peer_id(peer))}


def waiting(world: World) -> list[bytes]:
    return [pin.cid for _, pin in queries.repairs_behind(world.store, b"", 10_000)]


def holders(world: World, number: int) -> tuple[PeerId, ...]:
    record = world.record(cid_of(number))
    assert record is not None
    return record.allocations


def written(
    world: World, numbers: Sequence[int], holders: Sequence[SigningKey], *, size_bytes: int = 0
) -> None:
    """Write pins of as many copies as holders as if they had been ordered, without signatures."""
    state = world.ledger._state
    template = world.record(cid_of("template"))
    assert template is not None
    for number in numbers:
        contents = PinContents(size_bytes=size_bytes, blocks=1 << 20, root=Digest(bytes(32)))
        copies = len(holders)
        record = replace(
            template,
            number=number,
            options=replace(
                template.options, cid=cid_of(number), contents=contents if size_bytes else None
            ),
            allocations=tuple(sorted(map(peer_id, holders))),
            slots=(),
            replication_min=copies,
            replication_max=copies,
        )
        place(state, record, None)
    world.store.flush(state.take_delta())


def settle_uncounted(world: World) -> int:
    batches = 0
    while world.ledger.wants_batches:
        world.run(after_ms=0)
        batches += 1
    return batches


def live(world: World, number: int) -> list[PeerId]:
    return [peer for peer in holders(world, number) if world.ledger._state.is_live(peer)]


def report_all(world: World, numbers: Sequence[int], *, but: SigningKey | None = None) -> None:
    """Have each holder report what it is to hold."""
    for peer in PEERS[:6]:
        mine = [cid_of(number) for number in numbers if peer_id(peer) in holders(world, number)]
        if mine and peer is not but:
            assert world.do(world.report(peer, *mine)).is_accepted


def crowd_of(world: World, numbers: Iterable[int]) -> list[PeerId]:
    """Let in peers as if they had all joined in the last batch, in the order of their numbers."""
    state = world.ledger._state
    template = state.peers[peer_id(PEERS[0])]
    crowd = [PeerId(number.to_bytes(2, "big") * 16) for number in numbers]
    for peer in crowd:
        state.put_reputation(peer, state.reputations.of(peer_id(PEERS[0])))
        state.put_peer(replace(template, peer=peer, is_replica=False))
    world.store.flush(state.take_delta())
    return crowd

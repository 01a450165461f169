"""Copies that a change of the peers moves: none that need not, so that data stays where it is.

Whatever is drawn anew, w of W + w has to move to who comes, and w of W from who leaves. What is
stored moves less: nothing for who comes, and for who leaves what it had.
"""

from dataclasses import replace

from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.member_operations import RemovePeer
from bftcluster.ledger.wire.operations import PinOperation
from tests.unit.ledger.departures import admit, settle
from tests.unit.ledger.world import GIB, PEERS, TERMS, World, cid_of, genesis_of, peer_id

CROWD = 30
PINS = 300
COPIES = 3
Holders = dict[bytes, frozenset[PeerId]]


def world_of_levels() -> tuple[World, list[PeerId]]:
    """Four founders, and thirty others in five domains of two operators, all of one weight."""
    world = World(genesis_of())
    world.join_all(free_bytes=GIB)
    state = world.ledger._state
    founder = state.peers[peer_id(PEERS[0])]
    crowd = [PeerId(number.to_bytes(2, "big") * 16) for number in range(CROWD)]
    for number, peer in enumerate(crowd):
        domain = f"d{number % 5}"
        terms = replace(TERMS, domain=domain, operator=f"{domain} o{number % 2}")
        state.put_reputation(peer, state.reputations.of(peer_id(PEERS[0])))
        state.put_peer(replace(founder, peer=peer, is_replica=False, terms=terms))
    world.store.flush(state.take_delta())
    operations = [
        PinOperation(cid=cid_of(number), replication_min=COPIES, replication_max=COPIES)
        for number in range(PINS)
    ]
    for start in range(0, PINS, 50):
        outcomes = world.run(*map(world.submit, operations[start : start + 50])).outcomes
        assert all(outcome.is_accepted for outcome in outcomes)
    return world, crowd


def holders(world: World) -> Holders:
    pins = queries.pins_behind(world.store, b"", 2 * PINS)
    return {pin.cid: frozenset(pin.allocations) for pin in pins}


def moved(before: Holders, after: Holders) -> int:
    """Return how many copies are at peers that did not have them."""
    return sum(len(after[cid] - had) for cid, had in before.items())


def held(world: World, peer: PeerId) -> int:
    return len(queries.duties_of(world.store, peer))


def next_periods(world: World, count: int) -> None:
    for _ in range(count):
        reports = [world.report(peer) for peer in PEERS[:4]]
        world.run(*reports, after_ms=world.genesis.period_ms)
        settle(world)


def test_who_comes_moves_nothing_and_is_given_new_pins_alone() -> None:
    world, _ = world_of_levels()
    before = holders(world)

    admit(world, PEERS[5])
    next_periods(world, 3)

    assert moved(before, holders(world)) == 0


def test_room_that_changes_moves_nothing() -> None:
    world, _ = world_of_levels()
    before = holders(world)

    for number, peer in enumerate(PEERS[:4]):
        assert world.do(world.report(peer, free_bytes=(1 + number) * GIB // 2)).is_accepted
    next_periods(world, 2)

    assert moved(before, holders(world)) == 0


def test_who_leaves_moves_its_own_copies_and_no_more_than_its_share() -> None:
    world, crowd = world_of_levels()
    lost, gone, bound = 0, 0, 0.0
    for number, peer in enumerate(crowd[:10]):
        before, mine = holders(world), held(world, peer)
        bound += COPIES * PINS / (4 + CROWD - number)

        assert world.do(world.submit(RemovePeer(peer=peer))).is_accepted
        settle(world)

        after = holders(world)
        assert moved(before, after) == mine
        assert all(after[cid] == had for cid, had in before.items() if peer not in had)
        lost += mine
        gone += moved(before, after)

    assert gone == lost <= 1.1 * bound

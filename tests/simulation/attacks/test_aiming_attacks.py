"""Peers and proposers that want more pins, certain pins, or certain lots, than are their due."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest

from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.genesis import Genesis, GenesisPeer
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.limits import AUDIT_DAY_MIN_MS, AUDITS_DRAWN_MAX, PEER_CAPACITY_MAX_BYTES
from bftcluster.signing.keys import SigningKey
from bftcluster_sim.cluster.adversary.beacon_lies import sends_wrong_partials, withholds_partials
from bftcluster_sim.cluster.peers.beacon_speech import BeaconLie
from tests.unit.ledger.audits import AuditWorld
from tests.unit.ledger.beacons import BeaconWorld
from tests.unit.ledger.world import GIB, PEERS, TERMS, World, cid_of, genesis_of, peer_id
from tests.unit.signing.people import key

DOMAINS = 20
SYBILS = 20
PINS = 200
"""Of one copy; a twentieth are 10, and three deviations more 19."""
A_TWENTIETH_MAX = 19
HELD = 100


def crowd() -> list[tuple[SigningKey, PeerTerms]]:
    """Nineteen peers in domains of their own; twenty Sybils in one, with ten times more each."""
    honest = [
        (key(f"honest {each}"), PeerTerms(capacity_bytes=GIB, domain=f"domain {each}"))
        for each in range(DOMAINS - 1)
    ]
    sybil = PeerTerms(capacity_bytes=10 * GIB, domain="sybil")
    return [
        *honest,
        *((key(f"sybil {each}"), replace(sybil, operator=f"{each}")) for each in range(SYBILS)),
    ]


def world_of(members: Sequence[tuple[SigningKey, PeerTerms]]) -> World:
    genesis: Genesis = replace(
        genesis_of(),
        peers=tuple(
            GenesisPeer(peer=peer_id(peer), name="", addresses=(), terms=terms)
            for peer, terms in members
        ),
    )
    world = World(genesis)
    joins = [
        world.join(each, free_bytes=100 * GIB, capacity_bytes=100 * GIB) for each, _ in members
    ]
    assert all(each.is_accepted for each in world.run(*joins).outcomes)
    return world


def pin(world: World, numbers: range, copies: int) -> list[tuple[bytes, ...]]:
    """Pin so many contents; return who is to hold each."""
    options = {"replication_min": copies, "replication_max": copies}
    pins = [world.submit(PinOperation(cid=cid_of(number), **options)) for number in numbers]
    assert all(each.is_accepted for each in world.run(*pins).outcomes)
    cids = {cid_of(number) for number in numbers}
    found = queries.pins_behind(world.store, b"", 10_000)
    return [each.allocations for each in found if each.cid in cids]


def test_a_sybil_domain_has_one_copy_of_a_pin_and_a_twentieth_of_all() -> None:
    """Bound (ADR 0031): with 20 domains none draws with more than a 20th, nor two copies of a pin.

    However many peers and operators it is, and however much room it lends: 20 with ten times the
    room of any other would have had 91 % of the copies. It can lose 0 pins.
    """
    members = crowd()
    world = world_of(members)
    sybils = {peer_id(peer) for peer, terms in members if terms.domain == "sybil"}

    single = pin(world, range(PINS), 1)
    triple = pin(world, range(PINS, PINS + 60), 3)

    assert sum(bool(sybils & set(holders)) for holders in single) <= A_TWENTIETH_MAX
    assert max(len(sybils & set(holders)) for holders in triple) <= 1


@pytest.mark.parametrize("said_bytes", [PEER_CAPACITY_MAX_BYTES, 1 << 62], ids=["most", "more"])
def test_a_false_capacity_changes_no_allocation(said_bytes: int) -> None:
    """Bound (ADR 0033): what a peer says beyond its approved capacity moves 0 of its pins.

    It was 500 of 500 for one that said 2^62 bytes, when its word counted.
    """
    liar = PEERS[0]
    claims = (TERMS.capacity_bytes, said_bytes)
    worlds = [World(), World()]
    for world, claim in zip(worlds, claims, strict=True):
        free_bytes = dict.fromkeys(PEERS[:4], TERMS.capacity_bytes) | {liar: claim}
        for peer, each in free_bytes.items():
            world.run(world.join(peer, free_bytes=each, capacity_bytes=each))

    true, false = (pin(world, range(100), 1) for world in worlds)

    assert false == true
    assert 0 < Counter(false)[(peer_id(liar),)] < 100


def lots_of(audits: int) -> list[bytes]:
    """Return the pins that the ledger drew in so many audits of one peer that holds a hundred."""
    long_ms = AUDITS_DRAWN_MAX * AUDIT_DAY_MIN_MS
    world = AuditWorld(genesis_of(period_ms=long_ms, audit_day_ms=AUDIT_DAY_MIN_MS), pins=0)
    auditee, cids = PEERS[0], [cid_of(number) for number in range(HELD)]
    world.blocks = dict.fromkeys(cids, b"a block")
    options = {"replication_min": 1, "replication_max": 1, "user_allocations": (peer_id(auditee),)}
    world.run(*[world.submit(PinOperation(cid=cid, **options)) for cid in cids])
    assert world.do(world.report(auditee, *cids)).is_accepted
    found: list[bytes] = []
    while len(found) < audits:
        world.draw()
        found += [each.cid for each in world.audits]
        world.settle(2)
        assert not world.audits
    return found[:audits]


@pytest.mark.parametrize(
    ("part", "audits"),
    [pytest.param(1, 459, id="1 %", marks=pytest.mark.slow), pytest.param(10, 44, id="10 %")],
)
def test_room_that_is_not_there_is_found_at_the_rate_of_the_arithmetic(
    part: int, audits: int
) -> None:
    """Bound (ADR 0035): c audits find a missing part f with 1 - (1 - f)^c: .99 for these numbers.

    A hundred liars lack one of a hundred pins each, or ten in a row, each others. They have the
    same lots: one of them is expected to be missed, and 6 is five more.
    """
    drawn = set(lots_of(audits))
    lacks = [{cid_of((first + each) % HELD) for each in range(part)} for first in range(HELD)]

    missed = sum(not drawn & lack for lack in lacks)

    assert missed <= 6


def test_grinding_contents_places_no_more_than_the_cube_of_a_share() -> None:
    """Bound (ADR 0031): with a share s of the room, 3 copies are all its own in s^3 of the tries.

    Half of the room: an eighth of 200 contents are 25, and three deviations more 39. It is the
    custody of what the proposer chose itself, and t maintainers approved.
    """
    members = [
        (key(f"even {each}"), PeerTerms(capacity_bytes=GIB, domain=f"domain {each}"))
        for each in range(8)
    ]
    own = {peer_id(peer) for peer, _ in members[:4]}

    placed = pin(world_of(members), range(PINS), 3)

    assert 0 < sum(set(holders) <= own for holders in placed) <= 39


MEMBERS = PEERS[:7]
LIARS = PEERS[:2]
"""f of them."""


@cache
def dealt() -> BeaconWorld:
    """A cluster that has dealt a key; to be copied."""
    world = BeaconWorld(genesis_of(peers=MEMBERS, checkpoint_interval=2), MEMBERS)
    world.deal()
    return world


def beacons_of(
    lies: dict[SigningKey, BeaconLie], order: Sequence[SigningKey] = MEMBERS
) -> tuple[bytes, ...]:
    """Return the beacons of a period in which some lie, and who comes last sees the others."""
    origin = dealt()
    world = BeaconWorld(origin.genesis, order)
    world.store.flush(origin.store.rows())
    world.now_ms, world.lies = origin.now_ms, lies
    world.forget()
    world.next_period()
    return tuple(value for _, value in world.beacon.drawn)


def test_grinding_a_beacon_leaves_one_value_to_choose_from() -> None:
    """Bound (ADR 0032): whatever f members withhold, forge, or see first, a period has 1 beacon."""
    honest = beacons_of({})
    attacks: list[tuple[dict[SigningKey, BeaconLie], Sequence[SigningKey]]] = [
        (dict.fromkeys(LIARS, withholds_partials), MEMBERS),
        (dict.fromkeys(LIARS, sends_wrong_partials), MEMBERS),
        (dict.fromkeys(LIARS[:1], withholds_partials), MEMBERS),
        ({}, (*MEMBERS[2:], *LIARS)),
        (dict.fromkeys(LIARS[1:], sends_wrong_partials), MEMBERS[::-1]),
    ]

    values = {beacons_of(lies, order) for lies, order in attacks}

    assert len(honest) == 1
    assert values == {honest}


def test_predicting_a_beacon_takes_one_more_than_f() -> None:
    """Bound (ADR 0032): the parts of f members make 0 beacons, those of f + 1 the one there is."""
    others = MEMBERS[2:]

    assert beacons_of(dict.fromkeys(others, withholds_partials)) == ()
    assert beacons_of(dict.fromkeys(others[1:], withholds_partials)) == beacons_of({})


def test_grinding_a_batch_moves_no_lot() -> None:
    """Bound (ADR 0035): lots follow from beacon and state: what a primary orders moves 0 of them.

    It may order anything beside the beacon, when it likes within the period.
    """
    worlds = [AuditWorld(), AuditWorld()]
    for number, world in enumerate(worlds):
        world.begin_period()
        world.put_beacon()
        ground = [world.submit(PinOperation(cid=cid_of(f"ground {each}"))) for each in range(5)]
        world.run(*ground[: 5 * number], after_ms=1 + 1_000 * number)
        while world.ledger.wants_batches:
            world.run(after_ms=1_000 * number)

    lots = [[(each.seed, each.cid, each.asked) for each in world.audits] for world in worlds]

    assert lots[0] == lots[1] != []

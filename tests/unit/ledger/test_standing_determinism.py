"""One log leads to one history of standings: in any process, and whenever it is started again."""

import hashlib

import pytest

from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.tree import stored_root
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.reputation import Standing
from tests.unit.ledger.hash_seeds import printed_with
from tests.unit.ledger.rules.test_evidence import evidence
from tests.unit.ledger.world import GIB, PEERS, TERMS, World, cid_of, genesis_of, peer_id

PERIODS = 240
"""Of four hours: forty days, in which somebody is absent for long enough to be evicted."""


def world_of_four_hours() -> World:
    return World(genesis_of(checkpoint_interval=8, period_ms=4 * 3_600_000))


def live(world: World, *, restarts: bool) -> World:
    """Let peers come, stay away, lie, leave and come back."""
    world.join_all(free_bytes=3 * GIB)
    late = PEERS[5]
    let_in = AdmitPeer(peer=peer_id(late), name="late", addresses=(), votes=False, terms=TERMS)
    for period in range(PERIODS):
        free_bytes = (2 + period % 3) * GIB
        requests = [world.report(peer, free_bytes=free_bytes) for peer in PEERS[:3]]
        if period == 2:
            requests += [world.submit(let_in)]
        if 3 <= period < 150 or period >= 155:
            requests += [world.join(late)]
        if period == 100:
            requests += [evidence(world, culprit=PEERS[1])]
        if period == 150:
            requests += [world.submit(RemovePeer(peer=peer_id(late)))]
        if period == 154:
            requests += [world.submit(let_in)]
        world.run(*requests, after_ms=world.genesis.period_ms)
        world.pin(cid_of(period), replication_min=1, replication_max=2)
        if restarts:
            world.reopen()
    return world


def fingerprint(*, restarts: bool = False) -> str:
    world = live(world_of_four_hours(), restarts=restarts)
    rows = world.store.iterate(Space.REPUTATION, b"", 100)
    data = b"".join(key + value for key, value in rows)
    root = stored_root(world.store.get)
    return hashlib.sha256(data + root).hexdigest()


def test_restarts_after_each_batch_change_no_row() -> None:
    assert fingerprint(restarts=True) == fingerprint()


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_seed_of_hash_tables_changes_no_standing(seed: str) -> None:
    assert printed_with(seed, fingerprint) == fingerprint()


def test_in_that_history_each_stands_where_its_life_led_it() -> None:
    world = live(world_of_four_hours(), restarts=False)

    standings = {
        peer: reputation.standing for peer, reputation in queries.reputations(world.store).items()
    }

    assert standings == {
        peer_id(PEERS[0]): Standing.ACTIVE,
        peer_id(PEERS[1]): Standing.EVICTED,
        peer_id(PEERS[2]): Standing.ACTIVE,
        peer_id(PEERS[3]): Standing.EVICTED,
        peer_id(PEERS[5]): Standing.CANDIDATE,
    }
    assert queries.peer_of(world.store, peer_id(PEERS[3])) is not None  # it votes

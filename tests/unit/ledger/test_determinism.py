"""The same batches lead to the same bytes in any process, and in any version to come."""

import hashlib
from collections.abc import Callable

import pytest

from bftcluster import codec
from bftcluster.ledger.rows.spaces import STATE_SPACES
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.requests import Approve, HolderStatus, Reject, ReportEntry
from bftcluster.signing.approvals import approve, reject
from bftcluster_sim.cluster.adversary.beacon_lies import (
    complains_falsely,
    deals_wrong_shares,
    sends_wrong_partials,
)
from tests.unit.ledger.beacons import BeaconWorld
from tests.unit.ledger.hash_seeds import printed_with
from tests.unit.ledger.world import GIB, MIB, PEERS, World, cid_of, genesis_of
from tests.unit.signing.people import BOB, CAROL, DAY_MS


def fingerprint() -> str:
    """Run a bit of everything; return the digests of all rows, and of outcomes and effects."""
    world = World(genesis_of(checkpoint_interval=3))
    for number, peer in enumerate(PEERS[:4]):
        world.do(world.join(peer, free_bytes=GIB + number * 50 * MIB, tags={"rack": str(number)}))
    seen = []
    for number in range(30):
        operation = PinOperation(
            cid=cid_of(number),
            replication_min=1 + number % 2,
            replication_max=3,
            expire_at_ms=world.now_ms + DAY_MS * (1 + number % 3),
        )
        intent = world.intent(UnpinOperation(cid=cid_of(number - 1)))
        data = intent.to_bytes()
        error = ReportEntry(cid_of(number), HolderStatus.PIN_ERROR, "no space left")
        vote = (
            Approve(intent_digest=intent.digest, approval=approve(data, BOB))
            if number % 2
            else Reject(intent_digest=intent.digest, approval=reject(data, CAROL))
        )
        seen.append(
            world.run(
                world.submit(operation),
                world.propose(intent),
                vote,
                world.report(PEERS[number % 4], cid_of(number), cid_of(number - 2)),
                world.report(PEERS[(number + 1) % 4], error),
                b"nonsense",
                after_ms=DAY_MS // 10,
            )
        )
    rows = [
        [int(space), key, value]
        for (space, key), value in sorted(world.store.rows().items())
        if space in STATE_SPACES
    ]
    results = [
        [repr(applied.outcomes).encode(), repr(applied.effects).encode()] for applied in seen
    ]
    parts = (rows, results)
    return " ".join(hashlib.sha256(codec.encode(part)).hexdigest()[:16] for part in parts)


def beacon_fingerprint() -> str:
    """Have a key dealt and beacons made among members of whom some lie; return a digest of it."""
    world = BeaconWorld(members=PEERS[:7], genesis=genesis_of(checkpoint_interval=2, peers=PEERS))
    liars = (sends_wrong_partials, complains_falsely, deals_wrong_shares)
    world.lies = dict(zip(PEERS, liars, strict=False))
    world.deal()
    world.next_period(2)
    rows = [[int(space), key, value] for (space, key), value in sorted(world.store.rows().items())]
    results = [
        [repr(each.outcomes).encode(), repr(each.effects).encode()] for each in world.applied
    ]
    return hashlib.sha256(codec.encode([rows, results])).hexdigest()[:16]


@pytest.mark.parametrize("seed", ["0", "1"])
@pytest.mark.parametrize("of", [fingerprint, beacon_fingerprint])
def test_the_seed_of_hash_tables_does_not_matter(of: Callable[[], str], seed: str) -> None:
    assert printed_with(seed, of) == of()


def test_the_state_after_the_same_batches_is_the_same_for_ever() -> None:
    """Pinned: peers of different versions must not part. A change here is a change of protocol."""
    assert fingerprint().split()[0] == "16d93eaf2d38c785"
    assert beacon_fingerprint() == "029ac4ac9d35d738"


def test_the_bytes_that_people_sign_are_the_same_for_ever() -> None:
    """Pinned: a signature made today must verify in twenty years."""
    genesis = genesis_of()
    world = World(genesis)
    intent = world.intent(PinOperation(cid=cid_of(1), name="a book", metadata=(("k", "v"),)))
    request = world.join(PEERS[0], tags={"group": "barn"})

    names = (genesis.policy.hash, genesis.cluster_id, intent.digest)
    signed = (intent.to_bytes(), request.payload, world.certificate(intent).signatures)
    digests = [name.hex()[:16] for name in names]
    digests += [hashlib.sha256(data).hexdigest()[:16] for data in signed]
    assert digests == [
        "1e98a8a1a10c9dc0",
        "af8631e007ab6b6b",
        "ce07fdc32d7242f1",
        "ce07fdc32d7242f1",
        "5128ad971c55ecc6",
        "c4f27f6f61f87573",
    ]

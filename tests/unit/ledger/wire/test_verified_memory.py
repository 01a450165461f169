"""Memory is counted by what parsed requests take, not by their bytes."""

import tracemalloc
from collections.abc import Iterator

import pytest

from bftcluster import codec
from bftcluster.cid import Cid
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.ledger.wire.requests import Approve
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.signing.approvals import approve
from tests.unit.ledger.world import PEERS, World, cid_of, peer_id
from tests.unit.signing.people import ALICE, VERIFIER

BOUND_BYTES = 1 << 20
WORLD = World()


def small_reports() -> Iterator[bytes]:
    """A thousand entries of a few bytes each: 5 KB that take 200 when they are parsed."""
    entries = [Cid(number.to_bytes(2, "big")) for number in range(1000)]
    while True:
        yield WORLD.report(PEERS[0], *entries).to_bytes()


def large_pins() -> Iterator[bytes]:
    metadata = tuple((f"k{number:02}", "\u00fc" * 500) for number in range(60))
    while True:
        yield WORLD.propose(WORLD.intent(PinOperation(cid=cid_of(1), metadata=metadata))).to_bytes()


def pins_with_many_allocations() -> Iterator[bytes]:
    peers = tuple(peer_id(PEERS[0])[:28] + n.to_bytes(4, "big") for n in range(1000))
    operation = PinOperation(cid=cid_of(1), user_allocations=peers)
    while True:
        yield WORLD.propose(WORLD.intent(operation)).to_bytes()


def votes() -> Iterator[bytes]:
    intent = WORLD.intent(PinOperation(cid=cid_of(1)))
    number = 0
    while True:
        number += 1
        vote = Approve(intent_digest=intent.digest, approval=approve(b"%d" % number, ALICE))
        yield vote.to_bytes()


def garbage() -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        yield codec.encode([99, number])


def bounded_verifier() -> ApprovalVerifier:
    return ApprovalVerifier(
        WORLD.genesis.cluster_id,
        VERIFIER,
        memory_max_bytes=BOUND_BYTES,
        large_memory_max_bytes=BOUND_BYTES,
    )


KINDS = [small_reports, large_pins, pins_with_many_allocations, votes, garbage]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_remembered_of_requests_takes_no_more_than_its_bound(kind: object) -> None:
    verifier = bounded_verifier()
    source = kind()
    verifier.admissible(next(source))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(80 if kind in (votes, garbage) else 15):
            verifier.admissible(next(source))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before <= BOUND_BYTES


def test_many_large_requests_crowd_out_no_ordinary_one() -> None:
    verifier = bounded_verifier()
    ordinary, large = next(votes()), large_pins()
    known = verifier.inspect(ordinary)

    for _ in range(20):
        verifier.inspect(next(large))

    assert verifier.inspect(ordinary) is known


def charged_bytes(verifier: ApprovalVerifier) -> int:
    return sum(memory._young_size_bytes for memory in (verifier._inspected, verifier._large))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_request_is_charged_with_what_it_takes(kind: object) -> None:
    verifier = ApprovalVerifier(WORLD.genesis.cluster_id, VERIFIER)
    source = kind()
    verifier.admissible(next(source))
    requests = [next(source) for _ in range(5)]
    charged = charged_bytes(verifier)
    tracemalloc.start()
    try:
        for request in requests:
            verifier.admissible(bytes(bytearray(request)))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken <= charged_bytes(verifier) - charged <= 8 * taken

"""What is asked of the rows is what the ledger that wrote them knows."""

from collections.abc import Sequence
from itertools import islice

import pytest

from bftcluster.ids import Digest, Seq
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.store import scan
from bftcluster.ledger.rows.tree import stored_root
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.membership_rows import Change
from bftcluster.ledger.state.records import (
    ClosedProposal,
    EvidenceRecord,
    ProposalRecord,
    ProposalState,
)
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.ledger.wire.requests import HolderStatus, Reject
from bftcluster.signing.approvals import reject
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, peer_id
from tests.unit.signing.people import ALICE, BOB, CAROL

INTERVAL = 4


class CountingStore:
    """Notes how much was asked for at once."""

    def __init__(self, store: MemoryStateStore) -> None:
        self._store = store
        self.get = store.get
        self.pages: list[int] = []
        self.lookups: list[int] = []

    def iterate(self, space: Space, after: bytes, limit: int) -> Sequence[tuple[bytes, bytes]]:
        self.pages.append(limit)
        return self._store.iterate(space, after, limit)

    def get_many(self, space: Space, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        self.lookups.append(len(keys))
        return self._store.get_many(space, keys)


@pytest.fixture
def world() -> World:
    return World(genesis_of(checkpoint_interval=INTERVAL))


def rejected(world: World, number: int) -> Digest:
    """Have a proposal refused by two of three; return its digest."""
    intent = world.intent(PinOperation(cid=cid_of(number)))
    assert world.do(world.propose(intent)).is_accepted
    for signer in (BOB, CAROL):
        vote = reject(intent.to_bytes(), signer)
        world.do(Reject(intent_digest=intent.digest, approval=vote))
    return intent.digest


def proposed(world: World, number: int) -> Digest:
    intent = world.intent(PinOperation(cid=cid_of(number)))
    assert world.do(world.propose(intent, ALICE)).is_accepted
    return intent.digest


@pytest.mark.parametrize("page_rows", [1, 2, 3, 5, 6, 100])
def test_a_scan_gives_all_rows_of_a_space_in_order_whatever_fits_on_a_page(page_rows: int) -> None:
    store = MemoryStateStore()
    store.flush({(Space.PIN, bytes((n,))): b"%d" % n for n in (9, 2, 7, 1, 5)})
    store.flush({(Space.PEER, b"\x03"): b"", (Space.PROPOSAL, b"\x04"): b""})

    rows = list(scan(store, Space.PIN, page_rows=page_rows))
    behind = [key for key, _ in scan(store, Space.PIN, b"\x05", page_rows=page_rows)]

    assert rows == [(bytes((n,)), b"%d" % n) for n in (1, 2, 5, 7, 9)]
    assert behind == [b"\x07", b"\x09"]


def test_a_scan_reads_no_page_before_it_is_wanted() -> None:
    rows = MemoryStateStore()
    rows.flush({(Space.PIN, bytes((n,))): b"" for n in range(1, 10)})
    store = CountingStore(rows)

    found = list(islice(scan(store, Space.PIN, page_rows=2), 3))

    assert len(found) == 3
    assert store.pages == [2, 2]


def test_a_ledger_is_new_until_its_genesis_is_written(world: World) -> None:
    assert queries.is_new(MemoryStateStore())
    assert not queries.is_new(world.store)


def test_the_head_and_the_policy_are_those_of_the_ledger(world: World) -> None:
    world.pin(cid_of(1))
    proposed(world, 2)

    assert queries.head_of(world.store) == world.ledger.head
    assert queries.policy_in_force(world.store) == world.genesis.policy


def test_pins_come_in_pages_in_the_order_of_their_cids(world: World) -> None:
    for number in range(7):
        assert world.pin(cid_of(number)).is_accepted

    pages, after = [], b""
    while page := queries.pins_behind(world.store, after, 3):
        pages.append(page)
        after = page[-1].cid

    assert [len(page) for page in pages] == [3, 3, 1]
    found = [pin.cid for page in pages for pin in page]
    assert found == sorted(cid_of(number) for number in range(7))


def test_a_pin_that_everybody_is_to_hold_comes_with_the_reports_of_all(world: World) -> None:
    world.join_all()
    world.pin(cid_of(1))
    for peer in PEERS[:2]:
        world.do(world.report(peer, cid_of(1)))

    [pin] = queries.pins_behind(world.store, b"", 9)

    assert pin.holders == tuple(sorted(map(peer_id, PEERS[:2])))
    assert queries.pins_of(world.store, [pin.cid]) == {pin.cid: pin}


def test_a_pin_comes_with_the_reports_of_its_holders_or_of_those_who_are_asked_about(
    world: World,
) -> None:
    world.join_all()
    world.pin(cid_of(1), replication_min=1, replication_max=2)
    world.pin(cid_of(2))
    [first, second] = queries.pins_of(world.store, [cid_of(1)])[cid_of(1)].allocations
    for peer in PEERS[:4]:
        if peer_id(peer) in {first, second}:
            world.do(world.report(peer, cid_of(1)))

    everybody = queries.pins_of(world.store, [cid_of(1), cid_of(2)])
    one = queries.pins_of(world.store, [cid_of(1), cid_of(2)], of=[second])

    assert everybody[cid_of(1)].holders == (first, second)
    assert [report.peer for report in one[cid_of(1)].reports] == [second]
    assert one[cid_of(1)].reports[0].status is HolderStatus.PINNED
    assert one[cid_of(2)].reports == ()
    [page_of_one] = [
        pin for pin in queries.pins_behind(world.store, b"", 9, of=[second]) if pin.cid == cid_of(1)
    ]
    assert page_of_one == one[cid_of(1)]


def test_of_many_cids_those_that_are_pinned_are_looked_up_some_at_a_time(world: World) -> None:
    world.pin(cid_of(1))
    world.pin(cid_of(1200))
    store = CountingStore(world.store)

    pins = queries.pins_of(store, [cid_of(number) for number in range(1201)])

    assert set(pins) == {cid_of(1), cid_of(1200)}
    assert max(store.lookups) <= 500


def test_a_proposal_is_open_or_closed_or_not_there(world: World) -> None:
    open_one, closed_one = proposed(world, 1), rejected(world, 2)

    pending = queries.proposal_of(world.store, open_one)
    decided = queries.proposal_of(world.store, closed_one)

    assert isinstance(pending, ProposalRecord)
    assert pending.intent.digest == open_one
    assert isinstance(decided, ClosedProposal)
    assert decided.state is ProposalState.REJECTED
    assert queries.proposal_of(world.store, Digest(bytes(32))) is None


def test_pages_of_closed_proposals_alone_do_not_end_the_list_of_the_open_ones(
    world: World,
) -> None:
    for number in range(4):
        rejected(world, number)
    is_open = {proposed(world, number) for number in range(10, 13)}

    found, pages, after = [], 0, b""
    while True:
        records, after = queries.open_proposals_behind(world.store, after, 1)
        if not after:
            break
        pages += 1
        found += [record.intent.digest for record in records]

    assert pages == 7
    assert found == sorted(is_open)


def test_peers_are_those_that_the_ledger_admits(world: World) -> None:
    world.join_all()

    peers = queries.peers(world.store)

    assert list(peers) == sorted(map(peer_id, PEERS[:4])) == queries.peer_ids(world.store)
    assert all(
        record.joined_ms == queries.peer_of(world.store, peer).joined_ms > 0
        for peer, record in peers.items()
    )
    assert queries.peer_of(world.store, peer_id(PEERS[5])) is None


def test_proof_against_a_peer_is_found_under_its_name() -> None:
    store, record = MemoryStateStore(), EvidenceRecord(evidence=b"two", seq=Seq(3), timestamp_ms=4)
    store.flush({(Space.EVIDENCE, peer_id(PEERS[1])): record.to_value()})

    assert queries.evidence_by_peer(store) == {peer_id(PEERS[1]): record}


def test_who_is_to_vote_is_under_way_then_votes(world: World) -> None:
    store, newcomer = world.store, peer_id(PEERS[4])
    assert queries.changes_under_way(store) == ()
    world.do(world.submit(AdmitPeer(peer=newcomer, name="new", addresses=(), votes=True)))
    assert queries.changes_under_way(store) == (Change(peer=newcomer, votes=True),)

    while world.ledger.head.seq < 3 * INTERVAL:
        world.run()

    assert queries.changes_under_way(store) == ()
    assert tuple(queries.epochs(store, world.genesis)) == world.ledger.epochs
    assert len(world.ledger.epochs) == 2


def test_the_root_is_the_same_whether_kept_or_computed_from_the_rows(world: World) -> None:
    world.pin(cid_of(1))
    assert queries.recomputed_root(world.store) != stored_root(world.store.get)

    while world.ledger.head.seq < INTERVAL:
        world.run()

    assert queries.recomputed_root(world.store) == stored_root(world.store.get)


def test_rows_to_compare_are_those_under_the_root_in_order(world: World) -> None:
    world.pin(cid_of(1))

    keys = [key for key, _ in world.store.state_rows()]

    assert keys == sorted(keys)
    assert {key for key in world.store.rows() if key[0] < Space.TREE} == set(keys)

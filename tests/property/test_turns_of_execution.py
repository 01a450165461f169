"""However batches are cut into turns, and whatever a store has at hand, they lead to one state."""

import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given, settings

from bftcluster.ids import Digest, Seq, View
from bftcluster.ledger.ledger import Ledger, genesis_delta
from bftcluster.ledger.rows.spaces import STATE_SPACES, Key
from bftcluster.ledger.rules.batch import OrderedBatch
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry, Request
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.storage.engine import sqlite_url
from bftcluster.storage.ledger_store import LedgerStore
from bftcluster.storage.row_cache import RowCache
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, peer_id
from tests.unit.signing.people import VERIFIER

PINS = 6
REPLICATIONS = st.sampled_from([(-1, -1), (1, 1), (1, 3), (2, 3)])
STATUSES = st.sampled_from(HolderStatus)


@st.composite
def requests(draw: st.DrawFn, world: World) -> Request:
    cid = cid_of(draw(st.integers(0, PINS - 1)))
    match draw(st.sampled_from(["pin", "update", "unpin", "report", "report", "report", "peer"])):
        case "pin":
            least, most = draw(REPLICATIONS)
            expire_at_ms = draw(st.sampled_from([0, world.now_ms + 100_000]))
            return world.submit(
                PinOperation(
                    cid=cid,
                    replication_min=least,
                    replication_max=most,
                    expire_at_ms=expire_at_ms,
                )
            )
        case "update":
            source = cid_of(draw(st.integers(0, PINS - 1)))
            return world.submit(PinOperation(cid=cid, pin_update=source))
        case "unpin":
            return world.submit(UnpinOperation(cid=cid))
        case "report":
            numbers = draw(st.lists(st.integers(0, PINS - 1), unique=True))
            entries = [
                ReportEntry(cid_of(n), draw(STATUSES), draw(st.text(max_size=3))) for n in numbers
            ]
            return world.report(draw(st.sampled_from(PEERS[:5])), *entries)
        case _:
            guest = peer_id(PEERS[4])
            admitting = AdmitPeer(peer=guest, name="guest", addresses=(), votes=False)
            operation = draw(st.sampled_from([admitting, RemovePeer(peer=guest)]))
            return draw(st.sampled_from([world.submit(operation), world.join(PEERS[4])]))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Genesis, list[OrderedBatch], list[int]]:
    """Return a cluster's batches, and how many of them are executed in each turn."""
    world = World(genesis_of(checkpoint_interval=draw(st.integers(2, 4))))
    parts = [[world.join(peer) for peer in PEERS[:4]]]
    parts += draw(st.lists(st.lists(requests(world), max_size=4), min_size=5, max_size=20))
    step_ms = draw(st.sampled_from([1, 40_000]))
    batches = [
        OrderedBatch(
            seq=Seq(number),
            timestamp_ms=world.now_ms + number * step_ms,
            view=View(0),
            requests=tuple(request.to_bytes() for request in part),
        )
        for number, part in enumerate(parts, 1)
    ]
    return world.genesis, batches, draw(st.lists(st.integers(1, 7), min_size=1))


def run(
    genesis: Genesis, batches: list[OrderedBatch], turns: list[int], cache: RowCache
) -> tuple[dict[Key, bytes], dict[Seq, Digest]]:
    """Execute turn by turn; return the rows of the state, and the roots on the way."""
    roots: dict[Seq, Digest] = {}
    with tempfile.TemporaryDirectory() as directory:
        url = sqlite_url(Path(directory) / "ledger.db")
        store = LedgerStore.open(url, genesis=genesis.to_bytes(), cache=cache)
        store.flush(genesis_delta(genesis), (), Seq(0))
        ledger = Ledger(genesis, store, ApprovalVerifier(genesis.cluster_id, VERIFIER))
        start = 0
        while start < len(batches):
            turn = batches[start : start + turns[start % len(turns)]]
            executed = ledger.execute(turn)
            store.flush(executed.delta, [(each.seq, b"entry") for each in turn], turn[-1].seq)
            roots |= executed.roots
            start += len(turn)
        rows = {
            (space, key): value
            for space in STATE_SPACES
            for key, value in store.iterate(space, b"", 10_000)
        }
        counts = {space: store.reader.count(space) for space in STATE_SPACES}
        store.close()
    assert counts == {space: sum(key[0] is space for key in rows) for space in STATE_SPACES}
    return rows, roots


@settings(deadline=None)
@given(histories())
def test_turns_and_caches_make_no_difference(
    history: tuple[Genesis, list[OrderedBatch], list[int]],
) -> None:
    genesis, batches, turns = history

    one_by_one = run(genesis, batches, [1], RowCache())
    in_turns = run(genesis, batches, turns, RowCache(rows_max=3))

    assert in_turns == one_by_one

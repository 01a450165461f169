"""What clients ask of the ledger: in threads, a little at a time."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from bftcluster.ids import Digest, Seq
from bftcluster.ledger.rows.spaces import STATE_SPACES
from bftcluster.ledger.state.records import ProposalRecord
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.node.process.threads import Workers
from bftcluster.node.reads import LedgerReads
from bftcluster.storage.engine import sqlite_url
from bftcluster.storage.ledger_store import LedgerStore
from tests.unit.ledger.world import World, cid_of

OPEN = 230


@pytest.fixture
def world() -> World:
    """With open proposals, and a pin."""
    world = World()
    for number in range(OPEN):
        world.do(world.propose(world.intent(PinOperation(cid=cid_of(number)))))
    world.do(world.submit(PinOperation(cid=cid_of(OPEN))))
    return world


@pytest.fixture
def store(tmp_path: Path, world: World) -> Iterator[LedgerStore]:
    store = LedgerStore.open(sqlite_url(tmp_path / "ledger.db"), genesis=world.genesis.to_bytes())
    rows = {
        (space, key): value
        for space in STATE_SPACES
        for key, value in world.store.iterate(space, b"", 10_000)
    }
    store.flush(rows, [], Seq(0))
    yield store
    store.close()


async def test_how_many_there_are_is_known_without_a_look_at_each(
    store: LedgerStore, nursery: trio.Nursery
) -> None:
    lists, end = Workers(1), threading.Event()
    reads = LedgerReads(store.reader, workers=Workers(1), lists=lists)
    nursery.start_soon(lists.run, end.wait)
    await wait_all_tasks_blocked()

    head = await reads.head()

    end.set()
    assert (head.pins, head.proposals_open) == (1, OPEN)


async def test_open_proposals_are_looked_at_in_a_thread_for_long_lists(
    store: LedgerStore, world: World
) -> None:
    lists = Workers(1)
    reads = LedgerReads(store.reader, workers=Workers(1), lists=lists)
    event_loop = threading.get_ident()

    def show(record: ProposalRecord) -> Digest:
        assert threading.get_ident() != event_loop
        return record.intent.digest

    pages = [page async for page in reads.proposals(show)]

    assert len(pages) == 3
    found = [digest for page in pages for digest in page]
    assert len(set(found)) == len(found) == OPEN

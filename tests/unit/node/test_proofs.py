"""The approvals of a pin are found in the log, as long as the log has them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bftcluster.errors import NotFoundError
from bftcluster.ids import Seq
from bftcluster.ledger.operations import PinOperation
from bftcluster.ledger.records import PinRecord
from bftcluster.ledger.requests import Submit
from bftcluster.node.pinset import Pinset
from bftcluster.node.proofs import approval_certificate
from bftcluster.pbft import Batch, LogEntry
from bftcluster.storage.engine import sqlite_url
from bftcluster.storage.ledger_store import LedgerStore
from tests.unit.ledger.world import World, cid_of

PINNED_AT = Seq(70)
LAST = Seq(100)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def pinned(world: World) -> Submit:
    while world.ledger.head.seq < PINNED_AT - 1:
        world.run()
    request = world.submit(PinOperation(cid=cid_of(1)))
    assert world.do(request).is_accepted
    return request


@pytest.fixture
def store(tmp_path: Path, world: World, pinned: Submit) -> Iterator[LedgerStore]:
    store = LedgerStore.open(sqlite_url(tmp_path / "ledger.db"), genesis=world.genesis.to_bytes())
    entries = []
    for seq in range(1, LAST + 1):
        requests = (pinned.to_bytes(),) if seq == PINNED_AT else ()
        batch = Batch(seq if requests else 0, requests).to_bytes()
        entries.append((Seq(seq), LogEntry(Seq(seq), batch, b"").to_bytes()))
    store.flush({}, entries, LAST)
    yield store
    store.close()


def record_of(world: World) -> PinRecord:
    record = world.record(cid_of(1))
    assert record is not None
    return record


@pytest.mark.parametrize("log_from", [1, 30, PINNED_AT])
async def test_approvals_that_the_log_still_has_are_found(
    world: World, pinned: Submit, store: LedgerStore, log_from: int
) -> None:
    store.prune_log(Seq(log_from))

    found = await approval_certificate(Pinset(store.reader), record_of(world), world.genesis.policy)

    assert found == pinned.certificate


async def test_approvals_that_were_pruned_are_to_be_asked_for_elsewhere(
    world: World, store: LedgerStore
) -> None:
    store.prune_log(Seq(PINNED_AT + 1))

    with pytest.raises(NotFoundError, match="this peer no longer holds") as caught:
        await approval_certificate(Pinset(store.reader), record_of(world), world.genesis.policy)

    assert "keep_log" in caught.value.hint

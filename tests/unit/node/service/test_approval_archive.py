"""The approvals of a pin are found in the log, as long as the log has them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bftcluster import codec
from bftcluster.errors import NotFoundError
from bftcluster.ids import Seq
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.ledger.wire.requests import Submit
from bftcluster.limits import REQUEST_SIZE_MAX_BYTES
from bftcluster.node.process.threads import Workers
from bftcluster.node.reads import LedgerReads
from bftcluster.node.service.approval_archive import approval_certificate
from bftcluster.pbft import Batch, LogEntry
from bftcluster.signing.approvals import ApprovalCertificate
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


def reads_of(store: LedgerStore) -> LedgerReads:
    return LedgerReads(store.reader, workers=Workers(1), lists=Workers(1))


def record_of(world: World) -> PinRecord:
    record = world.record(cid_of(1))
    assert record is not None
    return record


@pytest.mark.parametrize("log_from", [1, 30, PINNED_AT])
async def test_approvals_that_the_log_still_has_are_found(
    world: World, pinned: Submit, store: LedgerStore, log_from: int
) -> None:
    store.prune_log(Seq(log_from))

    found = await approval_certificate(reads_of(store), record_of(world), world.genesis.policy)

    assert found == pinned.certificate


async def test_approvals_are_looked_for_only_so_far_back(
    world: World, pinned: Submit, store: LedgerStore
) -> None:
    record = replace(record_of(world), seq=LAST)

    async def found(entries_max: int) -> ApprovalCertificate:
        policy = world.genesis.policy
        return await approval_certificate(reads_of(store), record, policy, entries_max=entries_max)

    assert await found(LAST - PINNED_AT + 1) == pinned.certificate
    with pytest.raises(NotFoundError):
        await found(LAST - PINNED_AT)


async def test_approvals_that_were_pruned_are_to_be_asked_for_elsewhere(
    world: World, store: LedgerStore
) -> None:
    store.prune_log(Seq(PINNED_AT + 1))

    with pytest.raises(NotFoundError, match="this peer no longer holds") as caught:
        await approval_certificate(reads_of(store), record_of(world), world.genesis.policy)

    assert "keep_log" in caught.value.hint


FETCHED_AT = Seq(200)


def skip(store: LedgerStore) -> None:
    """Install a fetched state, and go on behind it: the log has a gap."""
    store.stage.flush({}, (FETCHED_AT, b"certificate"))
    assert store.stage.install() == FETCHED_AT
    first = Seq(FETCHED_AT + 1)
    store.flush({}, [(first, LogEntry(first, Batch(0, ()).to_bytes(), b"").to_bytes())], first)


async def test_approvals_in_a_gap_are_to_be_asked_for_elsewhere(
    world: World, pinned: Submit, store: LedgerStore
) -> None:
    """It was proposed before the state that was fetched, and approved in what was skipped."""
    intent = world.intent(PinOperation(cid=cid_of(2)))
    proposed = Seq(LAST + 1)
    batch = Batch(1, (world.propose(intent).to_bytes(),)).to_bytes()
    store.flush({}, [(proposed, LogEntry(proposed, batch, b"").to_bytes())], proposed)
    skip(store)
    record = replace(record_of(world), seq=Seq(proposed + 9), intent_digest=intent.digest)

    with pytest.raises(NotFoundError, match="this peer no longer holds") as caught:
        await approval_certificate(reads_of(store), record, world.genesis.policy)

    assert "keep_log" in caught.value.hint


async def test_approvals_before_a_gap_are_found(
    world: World, pinned: Submit, store: LedgerStore
) -> None:
    skip(store)

    found = await approval_certificate(reads_of(store), record_of(world), world.genesis.policy)

    assert found == pinned.certificate


async def test_approvals_among_large_entries_are_found(
    world: World, pinned: Submit, tmp_path: Path
) -> None:
    """More than one read of the log answers with lies before the pin."""
    store = LedgerStore.open(sqlite_url(tmp_path / "large.db"), genesis=world.genesis.to_bytes())
    large = (codec.encode(bytes(REQUEST_SIZE_MAX_BYTES - 9)),) * 4
    batches = [Batch(1, large)] * (PINNED_AT - 1) + [Batch(1, (pinned.to_bytes(),))]
    entries = [
        (Seq(number), LogEntry(Seq(number), batch.to_bytes(), b"").to_bytes())
        for number, batch in enumerate(batches, start=1)
    ]
    store.flush({}, entries, PINNED_AT)

    found = await approval_certificate(reads_of(store), record_of(world), world.genesis.policy)

    assert found == pinned.certificate
    store.close()


def test_entries_that_were_skipped_are_not_given_to_peers(store: LedgerStore) -> None:
    skip(store)

    assert store.reader.log(Seq(LAST + 1), 10) == []
    assert store.reader.log(FETCHED_AT, 10) == []
    assert len(store.reader.log(Seq(LAST - 1), 500)) == 2
    assert len(store.reader.log(Seq(FETCHED_AT + 1), 10)) == 1

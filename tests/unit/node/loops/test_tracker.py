"""The tracker's loop in a peer that stops, and beside a block store that fails."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from bftcluster import cid as cids
from bftcluster.blocks.block_pin_store import BlockPinStore
from bftcluster.blocks.exchange.exchange import Exchange
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.rules.effects import KeepPin, Reported
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.ingress.inbox import OrderInbox
from bftcluster.node.ingress.peer_reports import PeerReporter
from bftcluster.node.light.duty_reads import DutyReads
from bftcluster.node.loops.tracker import PinReads, TrackerLoop
from bftcluster.node.parts import Parts, open_parts
from bftcluster.node.process.clock import SystemClock
from bftcluster.node.process.config import Config
from bftcluster.node.process.identity import create_identity
from bftcluster.node.process.temporary_roots import TemporaryRoots
from bftcluster.node.process.threads import Workers
from bftcluster.node.reads import LedgerReads
from bftcluster.pins.events import Scan, ScanOf
from bftcluster.pins.settings import TrackerSettings
from bftcluster.pins.tracker import Tracker
from bftcluster.sync.announcements import Announcer
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of, peer_id
from tests.unit.light.relays import LightWorld

CID = cids.of_block(b"content")
RECORD = PinRecord(
    number=0,
    options=PinOperation(cid=CID, name="x"),
    replication_min=-1,
    replication_max=-1,
    allocations=(),
    timestamp_ms=0,
    seq=Seq(1),
    intent_digest=Digest(bytes(32)),
    approvers=(),
)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    key = create_identity(tmp_path / "identity.key")
    genesis = genesis_of(peers=[key, *PEERS[:3]])
    (tmp_path / "genesis.cbor").write_bytes(genesis.to_bytes())
    config = Config.from_values(tmp_path, {"storage": {"quota": "64MB"}})
    with open_parts(config) as opened:
        yield opened


async def to_nobody(peer: PeerId, frame: bytes) -> None:
    raise AssertionError("no peer is connected")


def tracker_of(
    parts: Parts,
    roots: TemporaryRoots | None = None,
    reads: PinReads | None = None,
    me: PeerId | None = None,
) -> TrackerLoop:
    clock = SystemClock()
    reads = reads or LedgerReads(parts.store.reader, workers=Workers(1), lists=Workers(1))
    workers = Workers(1)
    exchange = Exchange(store=parts.blocks, send=to_nobody, offload=workers.run)
    store = BlockPinStore(parts.blocks, exchange, workers.run)
    reporter = PeerReporter(
        announcer=Announcer(parts.key, parts.genesis.cluster_id, "peer"),
        record=lambda: None,
        hurry_ms=lambda: None,
        clock=clock,
        gateway=Gateway(inbox=OrderInbox(external_max=1), verifier=parts.verifier),
        space=store.stat,
        recorded=lambda: 0,
    )
    return TrackerLoop(
        tracker=Tracker(
            me=me or parts.me,
            settings=TrackerSettings(fetches_max=1, report_delay_ms=0),
            entropy=b"seed",
        ),
        store=store,
        reads=reads,
        reporter=reporter,
        clock=clock,
        connected=list,
        temporary_roots=roots or TemporaryRoots(parts.config.directory),
    )


async def test_a_batch_that_ends_after_the_tracker_does_starts_nothing(parts: Parts) -> None:
    tracker = tracker_of(parts)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tracker.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    tracker.carry_out([KeepPin(CID, RECORD)])

    assert list(tracker.counts()) == []  # the scan of the next start finds it


async def test_what_was_added_here_is_kept_until_enough_others_report_it(parts: Parts) -> None:
    world, now_ms = World(parts.genesis), SystemClock().wall_ms()
    roots = TemporaryRoots(parts.config.directory)
    for peer in PEERS[:2]:
        world.do(world.join(peer))
    for number, holders in enumerate((PEERS[:1], PEERS[:2])):
        least = {"replication_min": len(holders), "replication_max": len(holders)}
        world.pin(cid_of(number), user_allocations=tuple(map(peer_id, holders)), **least)
        roots.keep(cid_of(number), until_ms=now_ms + 60_000, wall_ms=now_ms)
    world.do(world.report(PEERS[0], cid_of(0), cid_of(1)))
    parts.store.flush(world.store.rows(), (), Seq(0))
    tracker = tracker_of(parts, roots)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tracker.run)
        tracker.carry_out([Reported(peer_id(PEERS[0]), (cid_of(0), cid_of(1)))])
        with trio.fail_after(10):
            while roots.is_kept(cid_of(0), wall_ms=now_ms):
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()

    assert roots.is_kept(cid_of(1), wall_ms=now_ms)


def break_index(blocks: EmbeddedStore, *, broken: bool = True) -> None:
    """Let SQLite refuse whatever the block index asks of it, or serve it again."""
    database = blocks._index._database
    with database.reader() as reader:
        for connection in (reader, database._writer):
            connection.set_authorizer((lambda *_: sqlite3.SQLITE_DENY) if broken else None)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait without looking at the test's clock, which stands still."""
    while not is_so():
        await trio.lowlevel.checkpoint()


async def test_a_scan_of_a_block_store_that_fails_is_taken_up_again(
    parts: Parts, mock_clock: MockClock
) -> None:
    world = World(parts.genesis)
    world.pin(CID)
    parts.store.flush(world.store.rows(), (), Seq(0))
    parts.blocks.put(CID, b"content")
    break_index(parts.blocks)
    tracker = tracker_of(parts)

    with trio.fail_after(100), capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tracker.run)
            await until(lambda: any("cannot be looked at" in log["event"] for log in logs))
            break_index(parts.blocks, broken=False)
            mock_clock.jump(60)
            await until(lambda: parts.blocks.find_root(CID) is not None)
            nursery.cancel_scope.cancel()


async def test_pins_that_the_block_store_cannot_take_in_fail_and_end_no_tracker(
    parts: Parts, mock_clock: MockClock
) -> None:
    tracker = tracker_of(parts)
    parts.blocks.put(CID, b"content")

    with trio.fail_after(100), capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tracker.run)
            await trio.testing.wait_all_tasks_blocked()
            break_index(parts.blocks)
            tracker.carry_out([KeepPin(CID, RECORD)])
            await until(lambda: any(log["event"] == "fetch failed" for log in logs))
            break_index(parts.blocks, broken=False)
            tracker.recover(CID)
            await until(lambda: parts.blocks.find_root(CID) is not None)
            nursery.cancel_scope.cancel()


async def test_who_lost_its_duties_keeps_what_it_has_until_they_are_proven(parts: Parts) -> None:
    world, other = LightWorld(), cids.of_block(b"something else")
    world.pin(CID)
    world.checkpoint()
    for data in (b"content", b"something else"):
        parts.blocks.put(cids.of_block(data), data)
        parts.blocks.pin_present([cids.of_block(data)])
    tracker = tracker_of(parts, reads=DutyReads(world.peer, counter_min=0), me=world.peer.me)
    scan = Scan(of=ScanOf.KEPT, after=b"", limit=10)

    before = await tracker._scan_kept(scan)
    world.settle()
    after = await tracker._scan_kept(scan)

    assert before.observations == ()
    assert {each.cid: each.is_desired for each in after.observations} == {CID: True, other: False}


async def test_who_lost_its_duties_believes_no_proof_that_is_older_than_its_start(
    parts: Parts,
) -> None:
    world = LightWorld()
    world.checkpoint()
    parts.blocks.put(CID, b"content")
    parts.blocks.pin_present([CID])
    world.settle()
    record = world.peer.record
    assert record is not None
    scan = Scan(of=ScanOf.KEPT, after=b"", limit=10)

    for begun, known in ((record.counter + 1, 0), (record.counter, 1)):
        reads = DutyReads(world.peer, counter_min=begun)
        tracker = tracker_of(parts, reads=reads, me=world.peer.me)
        assert len((await tracker._scan_kept(scan)).observations) == known

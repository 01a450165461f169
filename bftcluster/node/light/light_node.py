"""The loops of a light peer: what it knows, what it holds, and what it says of that."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final, NoReturn

import trio

from bftcluster.blocks.block_pin_store import BlockPinStore
from bftcluster.blocks.exchange.exchange import Exchange
from bftcluster.blocks.pin_store import PinStore
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.ids import PeerId
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.light.light_peer import LightActions, LightPeer
from bftcluster.net.network import Network
from bftcluster.net.settings import NetworkSettings
from bftcluster.net.streams import StreamClass
from bftcluster.node.ingress.gateway import Ordered
from bftcluster.node.ingress.peer_reports import PeerReporter
from bftcluster.node.light.duty_reads import DutyReads
from bftcluster.node.light.light_audits import LightAudits
from bftcluster.node.light.light_departure import LightDeparture
from bftcluster.node.light.light_settings import LightConfig
from bftcluster.node.light.memory_file import MemoryFile
from bftcluster.node.light.relay_orders import RelayOrders
from bftcluster.node.light.status_file import LightStatus
from bftcluster.node.loops.loan import Loan
from bftcluster.node.loops.tracker import TrackerLoop
from bftcluster.node.process.clock import SystemClock
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.signals import watch_signals
from bftcluster.node.process.temporary_roots import TemporaryRoots
from bftcluster.node.process.threads import Workers
from bftcluster.pins.events import Desired, Missed, NotDesired
from bftcluster.pins.settings import TrackerSettings
from bftcluster.pins.tracker import Tracker
from bftcluster.signing.keys import Ed25519Verifier, SigningKey, peer_id_text
from bftcluster.sync.announcements import Announcer, light_announced_every_ms
from bftcluster.sync.audit_duties import AuditDuties

SAVE_INTERVAL_S: Final = 5.0
"""At least so far apart are two writings of what is known."""
STATUS_INTERVAL_S: Final = 5.0
_REPORT_DELAY_MS: Final = 1_000
_REPORT_INTERVAL_MS: Final = 30_000
_ENTROPY_SIZE_BYTES: Final = 32
_THREADS: Final = 2

_log = log_for("light")


class LightNode:
    """One process that lends disk to a cluster and keeps no ledger."""

    def __init__(
        self,
        config: LightConfig,
        *,
        key: SigningKey,
        genesis: Genesis,
        blocks: EmbeddedStore,
    ) -> None:
        self._config = config
        self._genesis = genesis
        self._blocks = blocks
        self._me = PeerId(key.public_key)
        self._clock = SystemClock()
        self._workers = Workers(_THREADS)
        self._file = MemoryFile(config.directory)
        self._peer = LightPeer(
            genesis=genesis, me=self._me, verifier=Ed25519Verifier(), memory=self._file.load()
        )
        self._moved = trio.Event()
        self._saved_at_s = -SAVE_INTERVAL_S
        self._is_unsaved = False
        self._has_joined = False
        """Whether a relay has said so: a checkpoint may be long in coming."""
        self._orders = RelayOrders(self._peer, self._wake)
        self._stop = trio.Event()
        self._loan = self._make_loan(key)
        self._audits = LightAudits(
            duties=AuditDuties(signer=key, seed=key.seed, cluster_id=genesis.cluster_id),
            blocks=blocks,
            orders=self._orders,
            has_reported=self._peer.book.has_reported,
            end=self._peer.end_audit,
            workers=self._workers,
        )
        self._network = Network(
            seed=key.seed,
            listen=(),
            peers=config.relays,
            handlers={
                StreamClass.SYNC: self._on_sync,
                StreamClass.BLOCKS: self._on_blocks,
            },
            settings=NetworkSettings().of_guests,
        )
        self._exchange = Exchange(store=blocks, send=self._send_blocks, offload=self._workers.run)
        store = BlockPinStore(blocks, self._exchange, self._workers.run)
        self._stat = store.stat
        name = config.name or peer_id_text(self._me)[-8:]
        self._reporter = PeerReporter(
            announcer=Announcer(key, genesis.cluster_id, name),
            record=self._record,
            hurry_ms=lambda: None,
            clock=self._clock,
            gateway=self,
            space=self._loan.space(store.stat),
            recorded=lambda: 0 if self._peer.record is None else self._peer.record.counter,
        )
        begun_ms = 0 if self._peer.book.seq else self._clock.wall_ms()
        self._reads = DutyReads(self._peer, counter_min=begun_ms)
        self._tracker = self._make_tracker(store)

    def _make_loan(self, key: SigningKey) -> Loan:
        config, peer = self._config, self._peer
        departure = LightDeparture(
            signer=key,
            cluster_id=self._genesis.cluster_id,
            directory=config.directory,
            orders=self,
            goes=lambda: peer.record is not None and peer.record.goes_ms > 0,
            clock=self._clock,
            stop=self._stop,
            workers=self._workers,
        )
        return Loan(
            directory=config.directory,
            blocks=config.blocks,
            blocks_quota_bytes=config.quota_bytes,
            leave=departure.go_on,
            clock=self._clock,
            workers=self._workers,
        )

    def _make_tracker(self, store: PinStore) -> TrackerLoop:
        return TrackerLoop(
            tracker=Tracker(
                me=self._me,
                settings=TrackerSettings(
                    fetches_max=self._config.fetches_max,
                    report_delay_ms=_REPORT_DELAY_MS,
                    report_interval_ms=_REPORT_INTERVAL_MS,
                ),
                entropy=secrets.token_bytes(_ENTROPY_SIZE_BYTES),
            ),
            store=store,
            reads=self._reads,
            reporter=self._reporter,
            clock=self._clock,
            connected=self._connected,
            temporary_roots=TemporaryRoots(self._config.directory),
        )

    async def run(self) -> None:
        """Hold what is ours until a signal comes, or until we have left.

        Raises:
            StoreFullError: The directory takes more than what is lent.
        """
        async with trio.open_nursery() as nursery:
            await nursery.start(watch_signals, self._stop)
            await nursery.start(self._network.run)
            await nursery.start(self._exchange.run)
            nursery.start_soon(self._tracker.run)
            nursery.start_soon(self._learn)
            nursery.start_soon(self._audits.run)
            nursery.start_soon(self._watch_links)
            nursery.start_soon(self._loan.run)
            nursery.start_soon(self._tell_status)
            nursery.start_soon(partial(self._reporter.run, every_ms=self._announced_every_ms))
            _log.info("light peer is running", peer=peer_id_text(self._me))
            await self._stop.wait()
            _log.info("stopping")
            self._blocks.stop_removing()
            nursery.cancel_scope.cancel()
        if self._is_unsaved:
            self._file.save(self._peer.memory)

    async def order(self, requests: Sequence[bytes], *, timeout_s: float) -> list[Ordered | None]:
        """Have requests ordered by a relay; see ``RelayOrders``."""
        ordered = await self._orders.order(requests, timeout_s=timeout_s)
        for each in ordered:
            if each is not None and each.outcome.code is OutcomeCode.NOT_ADMITTED:
                self._has_joined = False
            elif each is not None and each.outcome.is_accepted:
                self._has_joined = True
        return ordered

    async def _learn(self) -> NoReturn:
        """Do what the core says, whenever something came or is due."""
        while True:
            self._moved = trio.Event()
            self._peer.use(self._connected(), self._clock.now_ms())
            knew_all = self._reads.knows_all()
            actions = self._peer.step(self._clock.now_ms())
            self._carry_out(actions)
            if not knew_all and self._reads.knows_all():
                self._tracker.tell(Missed())
            await self._save()
            patience_ms = max(0, actions.deadline_ms - self._clock.now_ms())
            if self._is_unsaved:
                patience_ms = min(patience_ms, int(SAVE_INTERVAL_S * 1000))
            with trio.move_on_after(patience_ms / 1000):
                await self._moved.wait()

    def _carry_out(self, actions: LightActions) -> None:
        for relay, frame in actions.sends:
            self._network.send_nowait(relay, StreamClass.SYNC, frame)
        self._orders.resolve(actions.outcomes)
        self._audits.tell(actions.audits)
        self._is_unsaved |= actions.is_memory_changed
        changes = actions.changes
        if changes:
            _log.info("duties changed", more=len(changes.desired), fewer=len(changes.dropped))
            wall_ms = self._clock.wall_ms()
            self._tracker.tell(
                *(Desired(cid=cid, since_ms=wall_ms) for cid in changes.desired),
                *(NotDesired(cid=cid) for cid in changes.dropped),
            )

    async def _save(self) -> None:
        if self._is_unsaved and trio.current_time() >= self._saved_at_s + SAVE_INTERVAL_S:
            self._saved_at_s = trio.current_time()
            self._is_unsaved = False
            await self._workers.run(self._file.save, self._peer.memory)

    async def _watch_links(self) -> NoReturn:
        while True:
            before = self._connected()
            await self._network.wait_for_links(
                lambda links: before != [peer for peer in links if links[peer].connected]  # noqa: B023
            )
            self._wake()

    async def _tell_status(self) -> NoReturn:
        """Write down how we are doing, when that has changed."""
        last: LightStatus | None = None
        while True:
            space = await self._stat()
            status = LightStatus(
                relays=len(self._connected()),
                pins=len(self._peer.book.cids),
                used_bytes=space.used_bytes,
            )
            if status != last:
                await self._workers.run(status.save, self._config.directory)
                last = status
            await trio.sleep(STATUS_INTERVAL_S)

    def _wake(self) -> None:
        self._moved.set()

    def _record(self) -> PeerRecord:
        """Return what the cluster knows of us, as far as we know, and that nobody dials us."""
        known = self._peer.record or PeerRecord(
            peer=self._me, name=self._config.name, addresses=(), is_replica=False
        )
        joined_ms = known.joined_ms or int(self._has_joined)
        return replace(known, addresses=(), joined_ms=joined_ms)

    def _announced_every_ms(self) -> int:
        genesis = self._genesis
        return light_announced_every_ms(genesis.period_ms, day_ms=genesis.day_ms)

    def _connected(self) -> list[PeerId]:
        return [peer for peer, link in self._network.links().items() if link.connected]

    async def _on_sync(self, peer: PeerId, frame: bytes) -> None:
        verdict = self._peer.on_frame(peer, frame, self._clock.now_ms())
        if verdict.is_fault:
            _log.info("suspicion", verdict=verdict.value, peer=peer.hex()[:8])
        self._wake()

    async def _on_blocks(self, peer: PeerId, frame: bytes) -> None:
        await self._loan.traffic.receive(len(frame))
        await self._exchange.on_frame(peer, frame)

    async def _send_blocks(self, peer: PeerId, frame: bytes) -> None:
        await self._loan.traffic.send_frame(frame)
        await self._network.send(peer, StreamClass.BLOCKS, frame)

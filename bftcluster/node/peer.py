"""Puts one peer together from its parts, and runs it until it is told to stop.

Names concrete adapters, as besides only `parts` and `service/service` do. Data goes one way round:
network and API put events into the inbox, the replica orders them, the executor turns them into
state, and the tracker does what the state asks.
"""

import secrets
from collections.abc import Sequence
from functools import partial
from typing import Final, assert_never

import trio

from bftcluster import core_form
from bftcluster.api.app import create_app
from bftcluster.api.http.server import serve
from bftcluster.api.ports import ClusterService
from bftcluster.blocks.block_pin_store import BlockPinStore
from bftcluster.blocks.exchange.exchange import Exchange
from bftcluster.ids import PeerId, ReplicaId
from bftcluster.ledger.rules.effects import Effect
from bftcluster.net.network import Network
from bftcluster.net.settings import NetworkSettings
from bftcluster.net.streams import StreamClass
from bftcluster.node.ingress.doorkeeper import Doorkeeper
from bftcluster.node.ingress.evidence_submission import EvidenceSubmission
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.ingress.inbox import OrderInbox
from bftcluster.node.ingress.peer_reports import PeerReporter
from bftcluster.node.ingress.resubmission import Resubmission
from bftcluster.node.loops.audits import AuditLoop
from bftcluster.node.loops.beacon import BeaconLoop
from bftcluster.node.loops.block_care import BlockCare
from bftcluster.node.loops.census import Census
from bftcluster.node.loops.departure import Departure
from bftcluster.node.loops.epoch_sync import EpochSync
from bftcluster.node.loops.execution import ExecutionLoop
from bftcluster.node.loops.loan import Loan
from bftcluster.node.loops.log_budget import LogBudget
from bftcluster.node.loops.peer_directory import PeerDirectory
from bftcluster.node.loops.replica import ReplicaLoop, StepTargets
from bftcluster.node.loops.standings import StandingLog
from bftcluster.node.loops.state_server import StateServer
from bftcluster.node.loops.state_transfer import StateTransfer
from bftcluster.node.loops.tracker import TrackerLoop
from bftcluster.node.parts import Parts
from bftcluster.node.process.clock import SystemClock
from bftcluster.node.process.evidence_files import EvidenceFiles
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.signals import watch_signals
from bftcluster.node.process.temporary_roots import TemporaryRoots
from bftcluster.node.process.threads import Threads
from bftcluster.node.reads import LedgerReads
from bftcluster.node.relay.relay import Relay, tags_of
from bftcluster.node.relay.relay_blocks import relays_of
from bftcluster.node.service.service import make_service
from bftcluster.pbft import (
    Event,
    Lane,
    LogEntriesRead,
    MessageReceived,
    Outbound,
    ReadLog,
)
from bftcluster.pins.settings import TrackerSettings
from bftcluster.pins.tracker import Tracker
from bftcluster.sync.announcements import Announcer, announced_every_ms, hurry_ms
from bftcluster.sync.epoch_proofs import EpochLink
from bftcluster.sync.frames import Receiver, receiver_of

INBOX_EVENTS_MAX: Final = 4096
"""Frames and requests of others that may wait for the replica."""
_ENTROPY_SIZE_BYTES: Final = 32
_LANES: Final = {Lane.CONSENSUS: StreamClass.CONSENSUS, Lane.SYNC: StreamClass.SYNC}

_log = log_for("node")


class Peer:
    """The loops of one process and the wires between them."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._clock = parts, SystemClock()
        threads = self._threads = Threads()
        self._inbox: OrderInbox[Event] = OrderInbox(external_max=INBOX_EVENTS_MAX)
        self._peer_directory = PeerDirectory(
            me=parts.me,
            reader=parts.store.reader,
            configured=parts.config.addresses(),
            is_lost=lambda: parts.replica.is_lost,
            voters=lambda: parts.replica.latest_membership.replicas,
            workers=threads.upkeep,
            is_relay=parts.config.network.relay,
        )
        self._reads = LedgerReads(parts.store.reader, workers=threads.upkeep, lists=threads.upkeep)
        self._api_reads = LedgerReads(parts.store.reader, workers=threads.rest, lists=threads.lists)
        """What clients of the API ask: nothing of ours waits behind them."""
        reader = parts.store.reader
        self._census = Census(reader=reader, clock=self._clock, workers=threads.upkeep)
        self._standings = StandingLog(me=parts.me, reader=reader, workers=threads.upkeep)
        budget = self._log_budget = LogBudget.of(parts, self._clock)
        self._gateway = Gateway(inbox=self._inbox, verifier=parts.verifier, closed=budget.problem)
        self._network = self._make_network()
        self._exchange = Exchange(
            store=parts.blocks,
            send=self._send_blocks,
            offload=threads.blocks.run,
            offload_serving=threads.serving.run,
        )
        self._care = BlockCare(parts, self._exchange, self._connected, self._clock, threads.blocks)
        self._temporary_roots = TemporaryRoots(parts.config.directory)
        self._beacon_loop = BeaconLoop.of(parts, self._gateway, threads.upkeep)
        audits = parts, self._gateway, self._exchange, threads.blocks
        relays = partial(relays_of, self._peer_directory, self._network)
        self._audit_loop = AuditLoop.of(*audits, relays)
        self._stop = trio.Event()
        departure = Departure(parts, self._gateway, self._clock, self._stop, threads.upkeep)
        self._loan = Loan.of(parts.config, departure.go_on, self._clock, threads.upkeep)
        self._reporter = self._make_reporter()
        self._tracker, self._executor = self._make_tracker(), self._make_executor()
        self.opens_again = False
        """Whether to open again on a state that was fetched, or on a recovery."""
        self.recovery: EpochLink | None = None
        """One that was in force before this peer learnt of it."""
        self._state_server, self._state_transfer, self._epoch_sync = self._make_transfer()
        evidence = EvidenceFiles(parts.config.directory)
        self._evidence_submission = EvidenceSubmission(self._gateway, evidence.kept())
        self._replica_loop = self._make_replica_loop(evidence)
        self._relay = self._make_relay()
        self._resubmission = Resubmission(
            rewinder=parts.store.rewinder, gateway=self._gateway, workers=threads.upkeep
        )
        self._service = self._make_service()
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Serve until a signal comes; then stop in an order that loses nothing."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(watch_signals, self._stop)
            await nursery.start(self._network.run)
            await nursery.start(self._exchange.run)
            nursery.start_soon(self._peer_directory.run, self._network.allow)
            for run in (
                self._replica_loop.run, self._executor.run, self._tracker.run, self._announce,
                self._evidence_submission.run, self._beacon_loop.run, self._audit_loop.run,
                self._state_server.run, self._state_transfer.run, self._epoch_sync.run,
                self._log_budget.run, self._care.run, self._resubmission.run, self._loan.run,
                self._relay.run, self._census.run, self._standings.run,
            ):  # fmt: skip
                nursery.start_soon(run)
            async with trio.open_nursery() as api:
                await self._serve_api(api, self._stop)
                _log.info("peer is running", peer=self._parts.name, core=core_form())
                await self._stop.wait()
                self._parts.blocks.stop_removing()
            _log.info("stopping")
            nursery.cancel_scope.cancel()

    async def _serve_api(self, nursery: trio.Nursery, stop: trio.Event) -> None:
        api = self._parts.config.api_settings()
        if api.listen:
            await nursery.start(partial(serve, create_app(self._service, api), api, stop=stop))

    def _make_relay(self) -> Relay:
        loop, net, peers = self._replica_loop, self._network, self._peer_directory
        of = self._parts, self._reads, self._gateway, net, self._exchange
        return Relay.of(*of, lambda: loop.stable, peers)

    async def _announce(self) -> None:
        wanted_ms = self._parts.config.tracker.announce_interval_s * 1000
        await self._reporter.run(
            every_ms=lambda: announced_every_ms(
                wanted_ms,
                period_ms=self._parts.genesis.period_ms,
                day_ms=self._parts.genesis.day_ms,
                peers=len(self._peer_directory.records),
            )
        )

    def _make_replica_loop(self, evidence: EvidenceFiles) -> ReplicaLoop:
        return ReplicaLoop(
            replica=self._parts.replica,
            wal=self._parts.wal,
            inbox=self._inbox,
            clock=self._clock,
            targets=StepTargets(
                send=self._send_all,
                decide=self._executor.decide,
                read_log=self._read_log,
                fetch_state=self._state_transfer.fetch,
                fetch_epochs=self._epoch_sync.ask,
                sync_ledger=self._executor.sync,
                accuse=self._evidence_submission.accuse,
            ),
            evidence=evidence,
            workers=self._threads.consensus,
        )

    def _make_executor(self) -> ExecutionLoop:
        parts = self._parts
        return ExecutionLoop(
            ledger=parts.ledger,
            store=parts.store,
            gateway=self._gateway,
            report=self._inbox.put_nowait,
            carry_out=self._carry_out,
            log_kept_seqs=parts.config.log_kept_seqs(parts.genesis.checkpoint_interval),
            workers=self._threads.consensus,
        )

    def _make_reporter(self) -> PeerReporter:
        parts = self._parts
        cluster_id, tags = parts.genesis.cluster_id, tags_of(parts.config)
        registration = self._beacon_loop.registration()
        return PeerReporter(
            announcer=Announcer(parts.key, cluster_id, parts.name, registration, tags),
            record=lambda: self._peer_directory.records.get(parts.me),
            hurry_ms=self._hurry_ms,
            clock=self._clock,
            gateway=self._gateway,
            space=self._loan.space(
                BlockPinStore(parts.blocks, self._exchange, self._threads.upkeep.run).stat
            ),
            recorded=self._peer_directory.recorded_counter,
        )

    def _make_tracker(self) -> TrackerLoop:
        settings = self._parts.config.tracker
        return TrackerLoop(
            tracker=Tracker(
                me=self._parts.me,
                settings=TrackerSettings(
                    fetches_max=settings.fetches_max,
                    report_delay_ms=settings.report_delay_ms,
                    report_interval_ms=settings.report_interval_ms,
                ),
                entropy=secrets.token_bytes(_ENTROPY_SIZE_BYTES),
            ),
            store=BlockPinStore(self._parts.blocks, self._exchange, self._threads.blocks.run),
            reads=self._reads,
            reporter=self._reporter,
            clock=self._clock,
            connected=self._connected,
            temporary_roots=self._temporary_roots,
            guests=lambda: self._network.guests,
        )

    def _make_transfer(self) -> tuple[StateServer, StateTransfer, EpochSync]:
        parts = self._parts
        server = StateServer(
            reader=parts.store.reader,
            send=self._send_sync,
            stable=lambda: self._replica_loop.stable,
            keep_earlier=parts.ledger.keep_earlier,
            rate_max_bytes_per_s=parts.config.state_rate_bytes_per_s,
            workers=self._threads.upkeep,
        )
        transfer = StateTransfer(
            stage=parts.store.stage,
            reader=parts.store.reader,
            send=self._send_sync,
            clock=self._clock,
            on_whole=self._open_again,
            workers=self._threads.upkeep,
        )
        sync = EpochSync(
            cluster_id=parts.genesis.cluster_id,
            genesis=parts.genesis.membership(),
            policy=parts.genesis.policy,
            own=parts.store.reader,
            epoch=lambda: parts.replica.membership.epoch,
            connected=self._connected,
            send=self._send_sync,
            keep=self._executor.keep,
            tell=self._inbox.put_nowait,
            begin_again=self._open_again,
            workers=self._threads.upkeep,
        )
        return server, transfer, sync

    def _open_again(self, recovery: EpochLink | None = None) -> None:
        self.opens_again, self.recovery = True, recovery
        self._stop.set()

    def _make_service(self) -> ClusterService:
        return make_service(
            self._parts,
            reads=self._api_reads,
            gateway=self._gateway,
            tracker=self._tracker,
            peer_directory=self._peer_directory,
            network=self._network,
            exchange=self._exchange,
            heal=self._care.healer.heal,
            log_budget=self._log_budget,
            census=self._census,
            counts=self._executor.counts,
            temporary_roots=self._temporary_roots,
            clock=self._clock,
            threads=self._threads,
            connected=self._connected,
        )

    def _make_network(self) -> Network:
        config = self._parts.config.network
        return Network(
            seed=self._parts.key.seed,
            listen=config.listen,
            peers=self._peer_directory.allowed(),
            handlers={
                StreamClass.CONSENSUS: self._on_consensus,
                StreamClass.SYNC: self._on_sync,
                StreamClass.BLOCKS: self._on_blocks,
            },
            settings=NetworkSettings(
                heartbeat_interval_s=config.heartbeat_interval_ms / 1000,
                silence_max_s=config.peer_timeout_ms / 1000,
                guests_max=config.light_peers_max if config.relay else 0,
            ),
            doorkeeper=Doorkeeper.of(self._parts, self._gateway, self._clock, self._threads).answer,
        )

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        self._peer_directory.note(effects)
        self._beacon_loop.note(effects)
        self._audit_loop.note(effects)
        self._standings.note(effects)
        self._tracker.carry_out(effects)
        self._relay.note(effects)

    def _hurry_ms(self) -> int | None:
        """Return how soon to announce ourselves again, if a change of members waits for that."""
        membership, me = self._parts.replica.membership, self._parts.replica.me
        is_awaited = bool(self._peer_directory.changes)
        return hurry_ms(membership.n, votes=me in membership.replicas, is_awaited=is_awaited)

    async def _on_consensus(self, peer: PeerId, frame: bytes) -> None:
        if peer in self._network.peers:
            await self._on_frame(peer, frame, StreamClass.CONSENSUS)

    async def _on_frame(self, peer: PeerId, frame: bytes, stream_class: StreamClass) -> None:
        if self._parts.frame_log is not None:
            self._parts.frame_log.note(peer, frame)
        event = MessageReceived(ReplicaId(peer), frame)
        await self._inbox.put(event, sender=(peer, stream_class), size_bytes=len(frame))

    async def _on_sync(self, peer: PeerId, frame: bytes) -> None:
        if peer not in self._network.peers:
            self._relay.on_frame(peer, frame)
            return
        match receiver_of(frame):
            case Receiver.REPLICA:
                await self._on_frame(peer, frame, StreamClass.SYNC)
            case Receiver.STATE_SERVER:
                self._state_server.on_frame(peer, frame)
            case Receiver.STATE_TRANSFER:
                self._state_transfer.on_frame(peer, frame)
            case Receiver.EPOCH_SYNC:
                self._epoch_sync.on_frame(peer, frame)
            case Receiver.RELAY | Receiver.LIGHT_PEER:
                pass  # of a peer that is not light, nor a relay of ours
            case _ as unreachable:
                assert_never(unreachable)

    async def _on_blocks(self, peer: PeerId, frame: bytes) -> None:
        await self._loan.traffic.receive(len(frame))
        await self._exchange.on_frame(peer, frame)

    def _send_sync(self, peer: PeerId, frame: bytes) -> None:
        self._network.send_nowait(peer, StreamClass.SYNC, frame)

    async def _send_blocks(self, peer: PeerId, frame: bytes) -> None:
        await self._loan.traffic.send_frame(frame)
        await self._network.send(peer, StreamClass.BLOCKS, frame)

    def _send_all(self, outbounds: Sequence[Outbound], voters: Sequence[ReplicaId]) -> None:
        all_voters = [PeerId(voter) for voter in voters]

        def targets(outbound: Outbound) -> Sequence[PeerId]:
            if outbound.to is not None:
                return (PeerId(outbound.to),)
            return self._peer_directory.peers if outbound.beyond_voters else all_voters

        self._network.send_all(
            (targets(outbound), _LANES[outbound.lane], outbound.frame) for outbound in outbounds
        )

    def _read_log(self, request: ReadLog) -> None:
        assert self._nursery is not None, "the log is read while the peer runs"
        self._nursery.start_soon(self._answer_log_read, request)

    async def _answer_log_read(self, request: ReadLog) -> None:
        entries = await self._reads.log_entries(request.first, request.count)
        self._inbox.put_nowait(LogEntriesRead(request.to, tuple(entries)))

    def _connected(self) -> list[PeerId]:
        return self._network.connected

"""Puts together what answers a peer's HTTP clients: a part for each port of the API."""

from collections.abc import Awaitable, Callable, Sequence

from bftcluster.api.ports import ClusterService
from bftcluster.blocks.block_pin_store import BlockPinStore
from bftcluster.blocks.exchange.exchange import Exchange
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.net.network import Network
from bftcluster.node.ingress.delegated_proposals import DelegatedProposer
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.ingress.submissions import Submissions
from bftcluster.node.loops.census import Census
from bftcluster.node.loops.log_budget import LogBudget
from bftcluster.node.loops.peer_directory import PeerDirectory
from bftcluster.node.loops.tracker import TrackerLoop
from bftcluster.node.parts import Parts
from bftcluster.node.ports import Clock
from bftcluster.node.process.order_counts import OrderCounts
from bftcluster.node.process.temporary_roots import TemporaryRoots
from bftcluster.node.process.threads import Threads
from bftcluster.node.reads import LedgerReads
from bftcluster.node.service.audits import AuditService
from bftcluster.node.service.content import Content
from bftcluster.node.service.content_fetch import ContentFetch
from bftcluster.node.service.content_reader import ContentReader
from bftcluster.node.service.dag_reader import DagReader
from bftcluster.node.service.garbage import GarbageCollector
from bftcluster.node.service.health.cluster_health import ClusterHealthService
from bftcluster.node.service.health.metric_families import MetricsService
from bftcluster.node.service.health.peer_health import HealthService
from bftcluster.node.service.peers import PeerService
from bftcluster.node.service.pins import PinService
from bftcluster.node.service.proposals import ProposalService


def make_service(
    parts: Parts,
    *,
    reads: LedgerReads,
    gateway: Gateway,
    tracker: TrackerLoop,
    peer_directory: PeerDirectory,
    network: Network,
    exchange: Exchange,
    heal: Callable[[Cid], Awaitable[bytes]],
    log_budget: LogBudget,
    census: Census,
    counts: OrderCounts,
    temporary_roots: TemporaryRoots,
    clock: Clock,
    threads: Threads,
    connected: Callable[[], Sequence[PeerId]],
) -> ClusterService:
    """Return the peer as its clients see it."""
    proposer = _make_proposer(parts, reads, gateway, clock)
    peers = PeerService(
        parts=parts,
        peer_directory=peer_directory,
        network=network,
        workers=threads.rest,
    )
    health, cluster_health = _make_health(parts, reads, peers, tracker, log_budget, census, clock)
    exposition = MetricsService(
        health=health, cluster=cluster_health, network=network, exchange=exchange, counts=counts
    )
    pins = PinService(
        reads=reads, tracker=tracker, proposer=proposer, clock=clock, own_record=peers.own_record
    )
    uploads, content, garbage = _make_content(
        parts, reads, proposer, exchange, heal, temporary_roots, clock, threads, connected
    )
    return ClusterService(
        operations=Submissions(gateway, threads.judging),
        peers=peers,
        members=peers,
        audits=AuditService(reader=parts.store.reader, workers=threads.lists),
        health=health,
        cluster_health=cluster_health,
        exposition=exposition,
        pinset=reads,
        pins=pins,
        uploads=uploads,
        content=content,
        garbage=garbage,
        proposals=ProposalService(reads, clock),
        policy=reads.policy_now,
        genesis=lambda: parts.genesis,
    )


def _make_proposer(
    parts: Parts, reads: LedgerReads, gateway: Gateway, clock: Clock
) -> DelegatedProposer:
    return DelegatedProposer(
        key=DelegatedProposer.load_key(parts.config),
        cluster_id=parts.genesis.cluster_id,
        reads=reads,
        gateway=gateway,
        clock=clock,
    )


def _make_health(
    parts: Parts,
    reads: LedgerReads,
    peers: PeerService,
    tracker: TrackerLoop,
    log_budget: LogBudget,
    census: Census,
    clock: Clock,
) -> tuple[HealthService, ClusterHealthService]:
    health = HealthService(
        parts=parts,
        reads=reads,
        peers=peers,
        tracker=tracker,
        log_budget=log_budget,
        clock=clock,
        started_ms=clock.now_ms(),
    )
    cluster = ClusterHealthService(parts=parts, peers=peers, census=census, workers=peers.workers)
    return health, cluster


def _make_content(
    parts: Parts,
    reads: LedgerReads,
    proposer: DelegatedProposer,
    exchange: Exchange,
    heal: Callable[[Cid], Awaitable[bytes]],
    temporary_roots: TemporaryRoots,
    clock: Clock,
    threads: Threads,
    connected: Callable[[], Sequence[PeerId]],
) -> tuple[Content, ContentReader, GarbageCollector]:
    uploads = Content(
        blocks=parts.blocks,
        reads=reads,
        proposer=proposer,
        temporary_roots=temporary_roots,
        clock=clock,
        workers=threads.uploads,
    )
    fetch = ContentFetch(
        store=BlockPinStore(parts.blocks, exchange, threads.reading.run),
        reads=reads,
        temporary_roots=temporary_roots,
        clock=clock,
        connected=connected,
        workers=threads.reading,
    )
    content = ContentReader(
        blocks=parts.blocks,
        source=DagReader(parts.blocks, heal),
        fetch=fetch.fetch,
        workers=threads.reading,
    )
    garbage = GarbageCollector(
        me=parts.me,
        name=parts.name,
        store=BlockPinStore(parts.blocks, exchange, threads.uploads.run),
        reads=reads,
        temporary_roots=temporary_roots,
        clock=clock,
    )
    return uploads, content, garbage

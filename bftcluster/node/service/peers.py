"""This peer among the others: what it is, whom it reaches, who belongs to them, how it is doing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bftcluster import __version__
from bftcluster.api.member_views import MemberView
from bftcluster.api.views import IdView, IpfsView, LinkView, MetricView, StatusView
from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.records import PeerRecord
from bftcluster.net.network import Network
from bftcluster.node.loops.log_budget import LogBudget
from bftcluster.node.loops.peer_directory import PeerDirectory
from bftcluster.node.loops.tracker import TrackerLoop
from bftcluster.node.parts import Parts
from bftcluster.node.ports import Clock
from bftcluster.node.process.threads import Workers
from bftcluster.node.reads import LedgerReads
from bftcluster.node.service.member_views import member_views
from bftcluster.node.service.metric_views import metric_views
from bftcluster.signing.keys import peer_id_text

REPLICA: Final = "replica"
STORAGE: Final = "storage"
REMOVED: Final = "removed"
NOT_ADMITTED: Final = "not admitted"


class PeerService:
    """Answers from the ledger's rows, the replica and the links, as of now.

    Implements the API's ports of peers, of members and of health.
    """

    def __init__(
        self,
        *,
        parts: Parts,
        reads: LedgerReads,
        peer_directory: PeerDirectory,
        network: Network,
        tracker: TrackerLoop,
        log_budget: LogBudget,
        clock: Clock,
        workers: Workers,
    ) -> None:
        self._parts = parts
        self._reads = reads
        self._peer_directory = peer_directory
        self._network = network
        self._tracker = tracker
        self._log_budget = log_budget
        self._clock = clock
        self._workers = workers
        self._started_ms = clock.now_ms()

    def id(self) -> IdView:
        """Return this peer."""
        return self._id_view(self.own_record())

    def peers(self) -> Sequence[IdView]:
        """Return every admitted peer, sorted by id."""
        peers = self._reads.peers()
        evidence = queries.evidence_by_peer(self._parts.store.reader)
        views = [self._id_view(peers[peer]) for peer in sorted(peers)]
        return [
            replace(view, evidence=evidence[view.peer].digest) if view.peer in evidence else view
            for view in views
        ]

    async def members(self) -> Sequence[MemberView]:
        """Return every admitted peer's place in the cluster."""
        parts = self._parts
        links = self._network.links().items()
        connected = {parts.me, *(peer for peer, link in links if link.connected)}
        return await self._workers.run(member_views, parts.store.reader, parts.genesis, connected)

    def problem(self) -> str:
        """Return why this peer cannot serve now; empty if it can."""
        role = self._role()
        if role in {REMOVED, NOT_ADMITTED}:
            return f"this peer is {role}: it follows, and takes no part"
        membership = self._parts.replica.membership
        reached = sum(self._is_connected(PeerId(replica)) for replica in membership.replicas)
        if reached < membership.quorum:
            return f"reaches {reached} of {membership.n} replicas, needs {membership.quorum}"
        return ""

    async def status(self) -> StatusView:
        """Return how this peer is doing."""
        parts, replica = self._parts, self._parts.replica
        head = await self._reads.head()
        stat = parts.blocks.stat()
        damage = parts.blocks.damage()
        log_use = self._log_budget.use()
        return StatusView(
            cluster_id=parts.genesis.cluster_id,
            peer=parts.me,
            peername=parts.name,
            role=self._role(),
            epoch=replica.membership.epoch,
            view=replica.view,
            primary=PeerId(replica.primary),
            last_executed=replica.last_executed,
            last_stable=replica.stable,
            links=tuple(self._links()),
            used_bytes=stat.used_bytes,
            quota_bytes=stat.quota_bytes,
            log_bytes=log_use.size_bytes,
            log_budget_bytes=log_use.budget_bytes,
            log_full_in_ms=log_use.full_in_ms,
            blocks=stat.blocks,
            damaged_blocks=damage.blocks,
            damaged_found=damage.found,
            damaged_healed=damage.healed,
            pins=head.pins,
            proposals=head.proposals_open,
            tracker=self._tracker.counts(),
            uptime_ms=self._clock.now_ms() - self._started_ms,
            problem=self.problem(),
            silence=replica.silence,
        )

    def metrics(self) -> Sequence[MetricView]:
        """Return who is reachable, what each peer last said it has free, and what rotted here."""
        return metric_views(
            self._reads.peers(),
            self._is_connected,
            me=self._parts.me,
            damage=self._parts.blocks.damage(),
            now_ms=self._clock.wall_ms(),
            lifetime_ms=2 * self._parts.config.network.heartbeat_interval_ms,
        )

    def own_record(self) -> PeerRecord:
        """Return this peer as the ledger knows it, or as it would."""
        parts = self._parts
        unknown = PeerRecord(peer=parts.me, name=parts.name, addresses=(), is_replica=False)
        return self._peer_directory.records.get(parts.me, unknown)

    def _role(self) -> str:
        """Return what this peer is in the current epoch, as far as it has executed."""
        replica = self._parts.replica
        if replica.me in replica.membership.replicas:
            return REPLICA
        if self._peer_directory.is_admitted:
            return STORAGE
        voted = queries.voted_ever(self._parts.store.reader, self._parts.genesis, replica.me)
        return REMOVED if voted else NOT_ADMITTED

    def _is_connected(self, peer: PeerId) -> bool:
        """Return whether a peer is reachable now; this one is."""
        link = self._network.links().get(peer)
        return peer == self._parts.me or (link is not None and link.connected)

    def _links(self) -> list[LinkView]:
        """Return the links to the others, sorted by peer."""
        now_ms, records = self._clock.wall_ms(), self._peer_directory.records
        return [
            LinkView(
                peer=peer,
                peername=records[peer].name if peer in records else "",
                is_connected=link.connected,
                rtt_ms=link.rtt_ms or 0.0,
                since_ms=now_ms - link.since_ms,
                last_seen_ms=0 if link.last_seen_ms is None else now_ms - link.last_seen_ms,
                queued_frames=sum(link.queued.values()),
                dropped_frames=sum(link.dropped.values()),
            )
            for peer, link in sorted(self._network.links().items())
        ]

    def _id_view(self, record: PeerRecord) -> IdView:
        peers = self._reads.peers()
        me = record.peer == self._parts.me
        addresses = _with_id(record.addresses, record.peer)
        if not me and not self._is_connected(record.peer):
            return IdView(peer=record.peer, error="not connected", peername=record.name)
        return IdView(
            peer=record.peer,
            peername=self._parts.name if me else record.name,
            addresses=addresses,
            cluster_peers=tuple(sorted(peers)) if me else (),
            cluster_peers_addresses=tuple(
                address
                for other in sorted(peers)
                if me and other != record.peer
                for address in _with_id(peers[other].addresses, other)
            ),
            version=__version__ if me else "",
            ipfs=IpfsView(id=peer_id_text(record.peer), addresses=addresses),
        )


def _with_id(addresses: Sequence[str], peer: PeerId) -> tuple[str, ...]:
    return tuple(f"{address}/p2p/{peer_id_text(peer)}" for address in addresses)

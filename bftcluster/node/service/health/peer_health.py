"""How this peer is doing: whether it can serve, its place in the order, its links and its work."""

from collections.abc import Sequence
from dataclasses import dataclass

from bftcluster.api.views import IdView, MetricView, StatusView
from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.node.loops.log_budget import LogBudget
from bftcluster.node.loops.tracker import TrackerLoop
from bftcluster.node.parts import Parts
from bftcluster.node.ports import Clock
from bftcluster.node.reads import LedgerReads
from bftcluster.node.service.health.beacon_view import beacon_view
from bftcluster.node.service.health.metric_views import metric_views
from bftcluster.node.service.peers import EVICTED, NOT_ADMITTED, REMOVED, PeerService


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthService:
    """Implements the API's port of health."""

    parts: Parts
    reads: LedgerReads
    peers: PeerService
    tracker: TrackerLoop
    log_budget: LogBudget
    clock: Clock
    started_ms: int

    def id(self) -> IdView:
        """Return this peer."""
        return self.peers.id()

    def problem(self) -> str:
        """Return why this peer cannot serve now; empty if it can."""
        role = self.peers.role()
        if role in {REMOVED, EVICTED, NOT_ADMITTED}:
            return f"this peer is {role}: it follows, and takes no part"
        membership = self.parts.replica.membership
        reached = sum(self.peers.is_connected(PeerId(replica)) for replica in membership.replicas)
        if reached < membership.quorum:
            return f"reaches {reached} of {membership.n} replicas, needs {membership.quorum}"
        return ""

    async def status(self) -> StatusView:
        """Return how this peer is doing."""
        parts, replica = self.parts, self.parts.replica
        head = await self.reads.head()
        stat = parts.blocks.stat()
        damage = parts.blocks.damage()
        log_use = self.log_budget.use()
        return StatusView(
            cluster_id=parts.genesis.cluster_id,
            peer=parts.me,
            peername=parts.name,
            role=self.peers.role(),
            epoch=replica.membership.epoch,
            view=replica.view,
            primary=PeerId(replica.primary),
            last_executed=replica.last_executed,
            last_stable=replica.stable,
            links=tuple(self.peers.links(wall_ms=self.clock.wall_ms())),
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
            tracker=self.tracker.counts(),
            uptime_ms=self.clock.now_ms() - self.started_ms,
            beacon=beacon_view(await self.reads.beacon()),
            problem=self.problem(),
            silence=replica.silence,
        )

    async def metrics(self) -> Sequence[MetricView]:
        """Return who is reachable, what each peer last said it has free, and what rotted here."""
        return metric_views(
            await self.reads.peers(),
            self.peers.is_connected,
            me=self.parts.me,
            damage=self.parts.blocks.damage(),
            evictions_waiting=len(queries.waiting_for_eviction(self.parts.store.reader)),
            now_ms=self.clock.wall_ms(),
            lifetime_ms=2 * self.parts.config.network.heartbeat_interval_ms,
        )

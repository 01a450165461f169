"""What Prometheus collects of a peer: the names of its metrics, and where their values come from.

Names end in their unit. Counters begin at 0 when the process starts. Values are as this peer sees
them: those of the state are alike at all peers that have executed as much.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bftcluster.api.health_views import ClusterHealthView, MetricFamily
from bftcluster.api.views import StatusView
from bftcluster.blocks.exchange.exchange import Exchange
from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.net.network import Network
from bftcluster.node.process.order_counts import OrderCounts
from bftcluster.node.service.health.cluster_health import ClusterHealthService
from bftcluster.node.service.health.peer_health import HealthService
from bftcluster.pbft.replica import Stats
from bftcluster.reputation import PeerReputation
from bftcluster.reputation.arithmetic import ONE
from bftcluster.reputation.standing import Standing
from bftcluster.signing.keys import peer_id_text

_STANDINGS = tuple(standing.name.lower() for standing in Standing)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsService:
    """Implements the API's port of metrics."""

    health: HealthService
    cluster: ClusterHealthService
    network: Network
    exchange: Exchange
    counts: OrderCounts

    async def metric_families(self) -> Sequence[MetricFamily]:
        """Return all metrics as of now."""
        parts = self.health.parts
        status = await self.health.status()
        cluster = await self.cluster.cluster_health()
        reader = parts.store.reader
        standings = await self.cluster.workers.run(queries.reputations, reader)
        members = await self.health.reads.peers()
        stands = Counter(
            each.standing.name.lower() for peer, each in standings.items() if peer in members
        )
        return [
            *_of_the_order(status, parts.replica.stats, self.counts),
            *_of_the_disk(status),
            *_of_the_cluster(cluster),
            MetricFamily(
                name="peers_by_standing",
                text="Members by standing.",
                labels=("standing",),
                samples=tuple(((word,), stands[word]) for word in _STANDINGS),
            ),
            *self._of_the_network(),
            _scores(members, standings),
        ]

    def _of_the_network(self) -> list[MetricFamily]:
        links = {peer_id_text(peer): each for peer, each in sorted(self.network.links().items())}

        def per_link(name: str, text: str, values: dict[str, float]) -> MetricFamily:
            return MetricFamily(
                name=name,
                text=text,
                is_counter=True,
                labels=("peer",),
                samples=tuple(((peer,), value) for peer, value in values.items()),
            )

        connected = sum(each.connected for each in links.values())
        return [
            _gauge("links", "Links that this peer keeps up.", len(links)),
            _gauge("links_connected", "Links that are connected.", connected),
            per_link(
                "link_sent_bytes",
                "Bytes sent to a peer since its link began.",
                {peer: each.sent_bytes for peer, each in links.items()},
            ),
            per_link(
                "link_received_bytes",
                "Bytes received from a peer since its link began.",
                {peer: each.received_bytes for peer, each in links.items()},
            ),
            per_link(
                "link_dropped_frames",
                "Frames for a peer that were never sent.",
                {peer: sum(each.dropped.values()) for peer, each in links.items()},
            ),
            _counter(
                "exchange_sent_bytes", "Bytes of block exchange sent.", self.exchange.sent_bytes
            ),
            _counter(
                "exchange_received_bytes",
                "Bytes of block exchange received.",
                self.exchange.received_bytes,
            ),
        ]


def _of_the_order(status: StatusView, stats: Stats, counts: OrderCounts) -> list[MetricFamily]:
    return [
        _gauge("up", "Whether this peer can serve.", not status.problem),
        _gauge("votes", "Whether this peer votes, and is not silent.",
               status.role == "replica" and not status.silence),
        _gauge("uptime_seconds", "Since this process started.", status.uptime_ms / 1000),
        _gauge("epoch", "The epoch of the voters.", status.epoch),
        _gauge("view", "The view within the epoch.", status.view),
        _gauge("seq_executed", "The last batch that was executed.", status.last_executed),
        _gauge("seq_stable", "The last stable checkpoint.", status.last_stable),
        _gauge("pool_requests", "Requests that wait to be ordered.", stats.pending_requests),
        _gauge("open_slots", "Batches under way.", stats.open_slots),
        _counter("signatures_verified", "Signatures verified.", stats.signatures_verified),
        _counter("batches_executed", "Batches executed.", counts.batches),
        MetricFamily(
            name="requests_executed",
            text="Requests executed, by kind and whether the ledger accepted them.",
            is_counter=True,
            labels=("kind", "accepted"),
            samples=tuple(
                ((kind, str(accepted).lower()), count)
                for (kind, accepted), count in sorted(counts.requests.items())
            ),
        ),
    ]  # fmt: skip


def _of_the_disk(status: StatusView) -> list[MetricFamily]:
    full_ms = status.log_full_in_ms
    found = [
        _gauge("blocks", "Blocks on the disk.", status.blocks),
        _gauge("store_used_bytes", "What the blocks take of the quota.", status.used_bytes),
        _gauge("store_quota_bytes", "What the blocks may take.", status.quota_bytes),
        _gauge("log_bytes", "What the log takes.", status.log_bytes),
        _gauge("log_budget_bytes", "What the log may take.", status.log_budget_bytes),
        _gauge("damaged_blocks", "Blocks that the disk has lost.", status.damaged_blocks),
        _counter("damaged_blocks_found", "Blocks that were found damaged.", status.damaged_found),
        _counter("damaged_blocks_healed", "Blocks that were healed.", status.damaged_healed),
        MetricFamily(
            name="tracker_pins",
            text="Pins that this peer works on, by what it does.",
            labels=("status",),
            samples=tuple(((each.word,), count) for each, count in status.tracker),
        ),
    ]
    if full_ms is not None:
        found.append(_gauge("log_full_seconds", "Until the log is full.", full_ms / 1000))
    return found


def _of_the_cluster(view: ClusterHealthView) -> list[MetricFamily]:
    found = [
        _gauge("health_grade", "0 healthy, 1 degraded, 2 endangered.", view.grade),
        _gauge("pins", "Pins in the pinset.", view.pins),
        _gauge("repair_pins", "Pins that wait for other holders.", view.waiting),
        _gauge("repair_last_copies", "Those of them with one live holder or none, up to 1000.",
               view.last_copies),
        _gauge("peers", "Members.", view.members),
        _gauge("peers_joined", "Members that have joined.", view.joined),
        _gauge("peers_absent", "Members that were not heard for a day.", len(view.absent)),
        _gauge("evictions_waiting", "Evictions that wait, since too many are at once.",
               view.evictions_waiting),
        _gauge("voters", "Voters of the epoch.", view.voters),
        _gauge("voters_reached", "Voters that this peer reaches.", view.reached),
        _gauge("voters_quorum", "Voters that must agree.", view.quorum),
        _gauge("period", "The period of the last batch.", view.period),
        _gauge("capacity_bytes", "What peers that are given pins lend.", view.capacity_bytes),
        _gauge("free_bytes", "What they have free.", view.free_bytes),
    ]  # fmt: skip
    if view.beacon_period is not None:
        found.append(_gauge("beacon_period", "The last with a beacon.", view.beacon_period))
    if view.counts is not None:
        counts = view.counts
        words = ("enough", "arriving", "short", "endangered", "missing")
        found.append(
            MetricFamily(
                name="pins_counted",
                text="Pins by reported live copies against their minimum, as last counted.",
                labels=("copies",),
                samples=tuple(((word,), getattr(counts, word)) for word in words),
            )
        )
        found.append(_gauge("pins_counted_timestamp_seconds", "When.", counts.counted_ms / 1000))
    return found


def _scores(
    members: Collection[PeerId], standings: Mapping[PeerId, PeerReputation]
) -> MetricFamily:
    return MetricFamily(
        name="peer_score",
        text="How far what a peer answered to audits was right, from 0 to 1.",
        labels=("peer",),
        samples=tuple(
            ((peer_id_text(peer),), standings[peer].integrity.score / ONE)
            for peer in sorted(standings)
            if peer in members
        ),
    )


def _gauge(name: str, text: str, value: float) -> MetricFamily:
    return MetricFamily(name=name, text=text, samples=(((), float(value)),))


def _counter(name: str, text: str, value: float) -> MetricFamily:
    return MetricFamily(name=name, text=text, is_counter=True, samples=(((), float(value)),))

"""A peer in memory among its like: who they are, and how it is doing."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bftcluster.api import views
from bftcluster.api.health_views import ClusterHealthView, LossView, MetricFamily, PinCounts
from bftcluster.api.member_views import MemberView
from bftcluster.api.reputation_views import ReputationView
from bftcluster.cid import Cid
from bftcluster.errors import NotFoundError
from bftcluster.ids import ClusterId, Digest, Epoch, PeerId, Seq, View
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import PinRecord
from bftcluster.pins.status import TrackerStatus
from bftcluster.signing.keys import peer_id_text
from tests.unit.api.memory_content import MemoryContent
from tests.unit.api.ordered import ME, NOW_MS, PEERS, TERMS, reputation_view

WELL = ClusterHealthView(
    pins=5,
    waiting=0,
    last_copies=0,
    counts=PinCounts(counted_ms=NOW_MS, pins=5, enough=4, arriving=1),
    members=4,
    joined=4,
    absent=(),
    suspended=(),
    evictions_waiting=0,
    voters=4,
    reached=4,
    quorum=3,
    period=20,
    beacon_period=20,
    capacity_bytes=4 << 40,
    free_bytes=3 << 40,
    losses=(
        LossView(
            name="peer-2",
            peers=(PEERS[1],),
            pins_short=2,
            moved_bytes=1 << 30,
            room_bytes=2 << 40,
        ),
    ),
)


@dataclass
class MemoryPeers(MemoryContent):
    """One peer of four; the last of the others is not connected."""

    why_not_well: str = ""
    cluster: ClusterHealthView = WELL
    kept: dict[Cid, PinRecord] = field(default_factory=dict)
    open_proposals: dict[Digest, views.ProposalView] = field(default_factory=dict)

    def id(self) -> views.IdView:
        return self._id(ME)

    def peers(self) -> Sequence[views.IdView]:
        return [self._id(peer) for peer in PEERS[:3]] + [
            views.IdView(peer=PEERS[3], error="not connected")
        ]

    def problem(self) -> str:
        return self.why_not_well

    async def members(self) -> Sequence[MemberView]:
        return [
            MemberView(
                record=PeerRecord(
                    peer=peer,
                    name=f"peer-{peer[0]}",
                    addresses=(),
                    is_replica=peer is not PEERS[3],
                    terms=TERMS,
                    capacity_bytes=1 << 50,
                    free_bytes=(1 << 50) - (1 << 39),
                    joined_ms=1,
                ),
                votes=peer is not PEERS[3],
                since_epoch=None if peer is PEERS[3] else Epoch(0),
                is_barred=peer in PEERS[1:3],
                is_connected=True,
                is_absent=peer is PEERS[3],
                used_bytes=1 << 39,
                reputation=await self.reputation(peer),
                under_way="",
            )
            for peer in PEERS
        ]

    async def reputation(self, peer: PeerId) -> ReputationView:
        if peer not in PEERS:
            raise NotFoundError("nothing is kept about such a peer")
        return reputation_view(peer)

    async def cluster_health(self) -> ClusterHealthView:
        return self.cluster

    async def metric_families(self) -> Sequence[MetricFamily]:
        return [
            MetricFamily(name="pins", text="Pins.", samples=(((), float(len(self.kept))),)),
            MetricFamily(
                name="requests_executed",
                text="Requests.",
                is_counter=True,
                labels=("kind",),
                samples=((("join",), 3.0), (('a "b"\\\nc',), 1.0)),
            ),
        ]

    async def status(self) -> views.StatusView:
        return views.StatusView(
            cluster_id=ClusterId(b"\xcc" * 32),
            peer=ME,
            peername="peer-1",
            role="replica",
            epoch=Epoch(0),
            view=View(2),
            primary=PEERS[2],
            last_executed=Seq(17),
            last_stable=Seq(0),
            links=tuple(self._link(peer) for peer in PEERS[1:]),
            used_bytes=sum(len(data) for data in self.content_of.values()),
            quota_bytes=self.quota_bytes,
            log_bytes=5,
            log_budget_bytes=20,
            log_full_in_ms=None,
            blocks=len(self.content_of),
            damaged_blocks=1,
            damaged_found=3,
            damaged_healed=2,
            pins=len(self.kept),
            proposals=len(self.open_proposals),
            tracker=((TrackerStatus.PINNED, len(self.kept)),),
            uptime_ms=60_000,
            problem=self.problem(),
        )

    async def metrics(self) -> Sequence[views.MetricView]:
        return [
            views.MetricView(
                name=name,
                peer=peer,
                value="1000",
                weight=1000,
                is_valid=peer != PEERS[3],
                received_at_ms=NOW_MS,
                expires_ms=NOW_MS + 30_000,
            )
            for name in ("ping", "freespace")
            for peer in PEERS
        ]

    def _id(self, peer: PeerId) -> views.IdView:
        address = f"/ip4/10.0.0.{peer[0]}/tcp/9096/p2p/{peer_id_text(peer)}"
        return views.IdView(
            peer=peer,
            peername=f"peer-{peer[0]}",
            addresses=(address,),
            cluster_peers=PEERS,
            cluster_peers_addresses=(address,),
            version="0.1.0",
            ipfs=views.IpfsView(id="12D3KooWipfs", addresses=("/ip4/127.0.0.1/tcp/4001",)),
        )

    def _link(self, peer: PeerId) -> views.LinkView:
        return views.LinkView(
            peer=peer,
            peername=f"peer-{peer[0]}",
            is_connected=peer != PEERS[3],
            rtt_ms=0.25,
            since_ms=NOW_MS - 1000 * peer[0],
            last_seen_ms=NOW_MS,
            queued_frames=0,
            dropped_frames=0,
        )

"""What ``/monitor/metrics`` shows: the latest values of each peer, as far as this one knows."""

from collections.abc import Callable, Mapping, Sequence

from bftcluster.api.views import MetricView
from bftcluster.blocks.port import Damage
from bftcluster.ids import PeerId
from bftcluster.ledger.state.peer_records import PeerRecord


def metric_views(
    peers: Mapping[PeerId, PeerRecord],
    is_connected: Callable[[PeerId], bool],
    *,
    me: PeerId,
    damage: Damage,
    evictions_waiting: int,
    now_ms: int,
    lifetime_ms: int,
) -> Sequence[MetricView]:
    """Return who is reachable, what each peer last said it has free, and what people should see.

    That is what rotted here, and how many peers are to be evicted, and too many at once.
    """
    views = []
    for peer, record in sorted(peers.items()):
        connected = is_connected(peer)
        for name, value in (("ping", record.name), ("freespace", str(record.usable_free_bytes))):
            views.append(
                MetricView(
                    name=name,
                    peer=peer,
                    value=value,
                    weight=record.usable_free_bytes if name == "freespace" else 0,
                    is_valid=connected,
                    received_at_ms=record.reported_ms if name == "freespace" else now_ms,
                    expires_ms=now_ms + lifetime_ms,
                )
            )
    counts = {
        "damagedblocks": damage.blocks,
        "damagedblocks-found": damage.found,
        "damagedblocks-healed": damage.healed,
        "evictions-waiting": evictions_waiting,
    }
    return views + [
        MetricView(
            name=name,
            peer=me,
            value=str(count),
            weight=count,
            is_valid=True,
            received_at_ms=now_ms,
            expires_ms=now_ms + lifetime_ms,
        )
        for name, count in counts.items()
    ]

"""``/health/cluster``: what is short or missing, and what the next failure would cost."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bftcluster.api.health_views import ClusterHealthView, LossView, PinCounts
from bftcluster.api.http.json_text import json_response, time_text
from bftcluster.api.ports import ClusterHealthPort
from bftcluster.api.shapes import Shape, peer_text


def cluster_health_route(port: ClusterHealthPort) -> Route:
    """Return the route that tells operators how the cluster is, as this peer sees it."""

    async def health(_: Request) -> Response:
        """Return the cluster's health; the status is 200 however it is."""
        return json_response(health_shape(await port.cluster_health()))

    return Route("/health/cluster", health)


def health_shape(view: ClusterHealthView) -> Shape:
    """Return all of it."""
    return {
        "grade": view.grade.word,
        "findings": [
            {"grade": each.grade.word, "code": each.code, "text": each.text}
            for each in view.findings
        ],
        "pins": {
            "total": view.pins,
            "waiting_for_repair": view.waiting,
            "last_copies": view.last_copies,
            "counted": None if view.counts is None else _counts_shape(view.counts),
        },
        "peers": {
            "members": view.members,
            "joined": view.joined,
            "absent": list(view.absent),
            "suspended": list(view.suspended),
            "evictions_waiting": view.evictions_waiting,
        },
        "voters": {
            "count": view.voters,
            "reached": view.reached,
            "quorum": view.quorum,
            "may_fail": max(0, view.reached - view.quorum),
        },
        "beacon": {"period": view.period, "last": view.beacon_period},
        "room": {"capacity_bytes": view.capacity_bytes, "free_bytes": view.free_bytes},
        "next_failure": [_loss_shape(loss) for loss in view.losses],
    }


def _counts_shape(counts: PinCounts) -> Shape:
    return {
        "at": time_text(counts.counted_ms),
        "pins": counts.pins,
        "enough": counts.enough,
        "arriving": counts.arriving,
        "short": counts.short,
        "endangered": counts.endangered,
        "missing": counts.missing,
    }


def _loss_shape(loss: LossView) -> Shape:
    return {
        "of": loss.name,
        "peers": [peer_text(peer) for peer in loss.peers],
        "pins_short": loss.pins_short,
        "moved_bytes": loss.moved_bytes,
        "room_bytes": loss.room_bytes,
        "fits": loss.fits,
    }

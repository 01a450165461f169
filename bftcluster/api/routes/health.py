"""``/health``, ``/health/…``, ``/monitor/metrics`` and ``/status``: how this peer is doing."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bftcluster.api.http.errors import error_response
from bftcluster.api.http.json_text import json_response, time_text
from bftcluster.api.ports import HealthPort
from bftcluster.api.shapes import Shape, metric_shape, peer_text
from bftcluster.api.views import LinkView, StatusView
from bftcluster.errors import NotFoundError

_NS_PER_MS: Final = 1_000_000


class HealthRoutes:
    """Tells operators and their monitors how this peer is doing."""

    def __init__(self, health: HealthPort) -> None:
        self._health = health

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/health", self.health),
            Route("/health/graph", self.graph),
            Route("/health/alerts", self.alerts),
            Route("/health/bandwidth", self.bandwidth),
            Route("/monitor/metrics", self.metric_names),
            Route("/monitor/metrics/{name}", self.metrics),
            Route("/status", self.status),
        ]

    async def health(self, _: Request) -> Response:
        """Answer 204, or 503 with the reason why this peer cannot serve."""
        problem = self._health.problem()
        return error_response(503, problem) if problem else Response(status_code=204)

    async def graph(self, _: Request) -> Response:
        """Return ``ConnectGraph``: this peer's links; nobody vouches for those of others."""
        status = await self._health.status()
        return json_response(_graph_shape(status, self._health.id().ipfs.id))

    async def alerts(self, _: Request) -> Response:
        """Return one ``Alert`` for each peer that is not connected, newest first."""
        status = await self._health.status()
        down = [link for link in status.links if not link.is_connected]
        down.sort(key=lambda link: (-link.since_ms, link.peer))
        return json_response([_alert_shape(link) for link in down])

    async def bandwidth(self, _: Request) -> Response:
        """Return no protocols: traffic is not counted by protocol."""
        return json_response({})

    async def metric_names(self, _: Request) -> Response:
        """Return the names of the metrics, sorted."""
        return json_response(sorted({metric.name for metric in await self._health.metrics()}))

    async def metrics(self, request: Request) -> Response:
        """Return the latest valid ``Metric`` of each peer."""
        name = request.path_params["name"]
        found = [metric for metric in await self._health.metrics() if metric.name == name]
        if not found:
            raise NotFoundError(f"no metric {name[:64]!r}", hint="see /monitor/metrics")
        return json_response([metric_shape(metric) for metric in found if metric.is_valid])

    async def status(self, _: Request) -> Response:
        """Return this peer's place in the order, its links, its store and its work."""
        return json_response(_status_shape(await self._health.status()))


def _graph_shape(status: StatusView, ipfs_id: str) -> Shape:
    me = peer_text(status.peer)
    names = {me: status.peername}
    names |= {peer_text(link.peer): link.peername for link in status.links}
    linked = sorted(peer_text(link.peer) for link in status.links if link.is_connected)
    return {
        "cluster_id": me,
        "id_to_peername": names,
        "ipfs_links": {},
        "cluster_links": {me: linked},
        "cluster_trust_links": dict.fromkeys(names, True),
        "cluster_to_ipfs": {me: ipfs_id} if ipfs_id else {},
    }


def _alert_shape(link: LinkView) -> Shape:
    return {
        "name": "ping",
        "peer": peer_text(link.peer),
        "value": "",
        "expire": link.last_seen_ms * _NS_PER_MS,
        "valid": False,
        "weight": 0,
        "partitionable": False,
        "received_at": link.last_seen_ms * _NS_PER_MS,
        "triggered_at": time_text(link.since_ms),
    }


def _status_shape(status: StatusView) -> Shape:
    return {
        "cluster_id": status.cluster_id.hex(),
        "peer": peer_text(status.peer),
        "peername": status.peername,
        "role": status.role,
        "epoch": status.epoch,
        "view": status.view,
        "primary": peer_text(status.primary),
        "last_executed": status.last_executed,
        "last_stable": status.last_stable,
        "pins": status.pins,
        "proposals": status.proposals,
        "storage": {
            "used_bytes": status.used_bytes,
            "quota_bytes": status.quota_bytes,
            "log_bytes": status.log_bytes,
            "log_budget_bytes": status.log_budget_bytes,
            "log_full_in_ms": status.log_full_in_ms,
            "blocks": status.blocks,
            "damaged_blocks": status.damaged_blocks,
            "damaged_found": status.damaged_found,
            "damaged_healed": status.damaged_healed,
        },
        "tracker": {each.word: count for each, count in status.tracker},
        "links": [_link_shape(link) for link in status.links],
        "beacon": {
            "period": status.beacon.period,
            "value": status.beacon.value.hex(),
            "holders": status.beacon.holders,
            "threshold": status.beacon.threshold,
            "ceremony": status.beacon.ceremony,
        },
        "uptime_ms": status.uptime_ms,
        "problem": status.problem,
        "silence": status.silence,
    }


def _link_shape(link: LinkView) -> Shape:
    return {
        "peer": peer_text(link.peer),
        "peername": link.peername,
        "connected": link.is_connected,
        "rtt_ms": round(link.rtt_ms, 3),
        "since": time_text(link.since_ms),
        "last_seen": time_text(link.last_seen_ms),
        "queued_frames": link.queued_frames,
        "dropped_frames": link.dropped_frames,
    }

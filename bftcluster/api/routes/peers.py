"""``/id``, ``/version`` and ``/peers``."""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bftcluster import __version__
from bftcluster.api.http.gates import lists_gate
from bftcluster.api.http.json_text import json_response
from bftcluster.api.http.list_stream import JsonLines
from bftcluster.api.ports import PeersPort
from bftcluster.api.shapes import id_shape, version_shape
from bftcluster.api.views import IdView, Pages
from bftcluster.errors import RefusedError


class PeerRoutes:
    """Shows this peer and the others."""

    def __init__(self, peers: PeersPort) -> None:
        self._peers = peers

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/id", self.own_id),
            Route("/version", self.version),
            Route("/peers", self.peers, middleware=[Middleware(lists_gate())]),
            Route("/peers", self.refuse_change, methods=["POST"]),
            Route("/peers/{peer}", self.refuse_change, methods=["DELETE"]),
        ]

    async def own_id(self, _: Request) -> Response:
        """Return this peer's ``ID``."""
        return json_response(id_shape(self._peers.id()))

    async def version(self, _: Request) -> Response:
        """Return ``Version``."""
        return json_response(version_shape(__version__))

    async def peers(self, _: Request) -> Response:
        """Stream the ``ID`` of every peer."""
        return JsonLines(one_page(self._peers.peers()), id_shape)

    async def refuse_change(self, _: Request) -> Response:
        """Refuse: in ipfs-cluster any client may add and remove peers."""
        raise RefusedError(
            "peers are admitted and removed by approved operations only",
            hint="propose it: `bftcluster cluster admit` or `bftcluster cluster remove`",
        )


async def one_page(views: Sequence[IdView]) -> Pages[IdView]:
    """Yield what is known already."""
    yield views

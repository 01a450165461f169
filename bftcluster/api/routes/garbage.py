"""``/ipfs/gc``: what no pin keeps goes."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bftcluster import cid as cids
from bftcluster.api.http.json_text import json_response
from bftcluster.api.http.query import boolean
from bftcluster.api.ports import GarbagePort
from bftcluster.api.shapes import Shape, peer_text
from bftcluster.api.views import GarbageView


class GarbageRoutes:
    """Lets operators have their disk back."""

    def __init__(self, garbage: GarbagePort) -> None:
        self._garbage = garbage

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/ipfs/gc", self.collect, methods=["POST"])]

    async def collect(self, request: Request) -> Response:
        """Delete this peer's blocks that no pin keeps; return ``GlobalRepoGC``."""
        boolean(request.query_params, "local")
        return json_response(garbage_shape(await self._garbage.collect_garbage()))


def garbage_shape(view: GarbageView) -> Shape:
    """Return what one peer deleted, as if others might have answered, too."""
    peer = peer_text(view.peer)
    keys = [{"key": cids.text(root)} for root in view.roots]
    return {"peer_map": {peer: {"peer": peer, "peername": view.peername, "keys": keys}}}

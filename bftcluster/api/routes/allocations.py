"""``/allocations``: the pinset, as it is ordered."""

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bftcluster import cid as cids
from bftcluster.api.filters import wants_pins
from bftcluster.api.http.errors import PinNotFoundError
from bftcluster.api.http.gates import Gate
from bftcluster.api.http.json_text import json_response
from bftcluster.api.http.list_stream import JsonLines
from bftcluster.api.ports import PinsetPort
from bftcluster.api.shapes import pin_shape


class AllocationRoutes:
    """Reads the pinset."""

    def __init__(self, pinset: PinsetPort, lists_gate: Gate) -> None:
        self._pinset = pinset
        self._lists_gate = lists_gate

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/allocations", self.allocations, middleware=[Middleware(self._lists_gate)]),
            Route("/allocations/{cid}", self.allocation),
        ]

    async def allocations(self, request: Request) -> Response:
        """Stream ``Pin`` for every pin."""
        if not wants_pins(request.query_params.get("filter", "")):
            return Response(status_code=204)
        return JsonLines(self._pinset.pins(), pin_shape)

    async def allocation(self, request: Request) -> Response:
        """Return one ``Pin``."""
        record = await self._pinset.pin(cids.parse(request.path_params["cid"]))
        if record is None:
            raise PinNotFoundError
        return json_response(pin_shape(record))

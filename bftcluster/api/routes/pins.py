"""``/pins``: what peers have done about pins, and what this one proposes."""

from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bftcluster import cid as cids
from bftcluster.api.filters import keep_matching, parse_status_filter
from bftcluster.api.http.errors import PinNotFoundError
from bftcluster.api.http.gates import Gate
from bftcluster.api.http.json_text import json_response
from bftcluster.api.http.list_stream import JsonLines
from bftcluster.api.http.query import boolean, integer
from bftcluster.api.pin_options import parse_pin_options
from bftcluster.api.ports import PathsPort, PinsPort
from bftcluster.api.settings import ApiSettings
from bftcluster.api.shapes import (
    Shape,
    pin_shape,
    pin_status_shape,
    proposed_pin_shape,
    repair_shape,
)
from bftcluster.api.views import Pages, PinOutcome, PinStatusView, RepairView
from bftcluster.cid import Cid
from bftcluster.errors import NotFoundError, UsageError
from bftcluster.ledger.state.records import PinRecord
from bftcluster.limits import REPAIRS_LISTED_MAX
from bftcluster.shell_limits import CIDS_PER_QUERY_MAX

T = TypeVar("T")

PROPOSAL_HEADER: Final = "X-Bftcluster-Proposal"


class PinRoutes:
    """Shows how far pins are, and changes the pinset."""

    def __init__(
        self, pins: PinsPort, paths: PathsPort, lists_gate: Gate, settings: ApiSettings
    ) -> None:
        self._pins = pins
        self._paths = paths
        self._lists_gate = lists_gate
        self._settings = settings

    def routes(self) -> list[Route]:
        """Return the routes; of two that match, the first is taken."""
        return [
            Route("/pins", self.statuses, middleware=[Middleware(self._lists_gate)]),
            Route("/repairs", self.repairs, middleware=[Middleware(self._lists_gate)]),
            Route("/pins/recover", self.recover_all, methods=["POST"]),
            Route("/pins/{cid}", self.status),
            Route("/pins/{cid}", self.pin, methods=["POST"]),
            Route("/pins/{cid}", self.unpin, methods=["DELETE"]),
            Route("/pins/{cid}/recover", self.recover, methods=["POST"]),
            Route("/pins/{root}/{path:path}", self.pin_path, methods=["POST"]),
            Route("/pins/{root}/{path:path}", self.unpin_path, methods=["DELETE"]),
        ]

    async def statuses(self, request: Request) -> Response:
        """Stream ``GlobalPinInfo`` for every pin, or for the ``cids`` given."""
        local = boolean(request.query_params, "local")
        listed = request.query_params.get("cids", "")
        if listed:
            wanted = [cids.parse(text) for text in listed.split(",") if text]
            if len(wanted) > CIDS_PER_QUERY_MAX:
                raise UsageError(f"{len(wanted)} cids, at most {CIDS_PER_QUERY_MAX}")
            return JsonLines(self._statuses_of(wanted, local=local), pin_status_shape)
        filters = parse_status_filter(request.query_params.get("filter", ""))

        def shape(view: PinStatusView) -> Shape | None:
            kept = keep_matching(view, filters)
            return None if kept is None else pin_status_shape(kept)

        return JsonLines(self._pins.pin_statuses(local=local), shape)

    async def repairs(self, request: Request) -> Response:
        """Stream the first pins that wait for other holders, the most endangered first."""
        query, most = request.query_params, REPAIRS_LISTED_MAX
        limit = integer(query, "limit", default=most, lowest=1, highest=most)
        return JsonLines(self._repairs(limit), repair_shape)

    async def status(self, request: Request) -> Response:
        """Return one ``GlobalPinInfo``, also of a CID that nobody pins."""
        local = boolean(request.query_params, "local")
        view = await self._pins.pin_status(_cid(request), local=local)
        return json_response(pin_status_shape(view))

    async def pin(self, request: Request) -> Response:
        """Pin a CID."""
        return await self._pin(request, _cid(request))

    async def pin_path(self, request: Request) -> Response:
        """Pin what a path leads to."""
        return await self._pin(request, await self._resolve(request))

    async def unpin(self, request: Request) -> Response:
        """Unpin a CID; return its ``Pin`` as it was."""
        return _outcome_response(await _of_pin(self._pins.propose_unpin(_cid(request))))

    async def unpin_path(self, request: Request) -> Response:
        """Unpin what a path leads to."""
        cid = await self._resolve(request)
        return _outcome_response(await _of_pin(self._pins.propose_unpin(cid)))

    async def recover(self, request: Request) -> Response:
        """Retry this peer's failed work on a CID; return its ``GlobalPinInfo``."""
        cid = _cid(request)
        if boolean(request.query_params, "local"):
            return json_response(pin_status_shape(await _of_pin(self._pins.recover(cid))))
        with suppress(NotFoundError):  # ipfs-cluster answers with the status "unpinned" then
            await self._pins.recover(cid)
        return json_response(pin_status_shape(await self._pins.pin_status(cid, local=False)))

    async def recover_all(self, request: Request) -> Response:
        """Retry all of this peer's failed work; stream ``GlobalPinInfo`` of what was queued."""
        boolean(request.query_params, "local")
        return JsonLines(self._pins.recover_all(), pin_status_shape)

    async def _pin(self, request: Request, cid: Cid) -> Response:
        options = parse_pin_options(request.query_params, wall_ms=self._settings.wall_ms)
        return _outcome_response(await self._pins.propose_pin(options.operation(cid)))

    async def _resolve(self, request: Request) -> Cid:
        root, path = request.path_params["root"], request.path_params["path"]
        if root not in ("ipfs", "ipns", "ipld"):
            raise NotFoundError("not found")
        if root == "ipns":
            raise UsageError("names of IPNS are not resolved here", hint="pin the CID they name")
        first, *names = [name for name in path.split("/") if name] or [""]
        cid = cids.parse(first)
        if root == "ipld" and names:
            raise UsageError("paths of IPLD are not resolved here", hint="pin the CID they lead to")
        return await self._paths.resolve(cid, names) if names else cid

    async def _repairs(self, limit: int) -> Pages[RepairView]:
        yield await self._pins.repairs(limit)

    async def _statuses_of(self, wanted: Sequence[Cid], *, local: bool) -> Pages[PinStatusView]:
        for cid in wanted:
            yield [await self._pins.pin_status(cid, local=local)]


def _cid(request: Request) -> Cid:
    return cids.parse(request.path_params["cid"])


async def _of_pin(work: Awaitable[T]) -> T:
    """Await ``work``; say that the pin is missing in ipfs-cluster's words."""
    try:
        return await work
    except NotFoundError:
        raise PinNotFoundError from None


def _outcome_response(outcome: PinOutcome) -> Response:
    """Return ``Pin`` with 200, or with 202 while it waits for approvals."""
    pin, proposed_ms = outcome.pin, outcome.proposed_ms
    return json_response(
        pin_shape(pin) if isinstance(pin, PinRecord) else proposed_pin_shape(pin, proposed_ms),
        200 if outcome.committed else 202,
        headers={PROPOSAL_HEADER: outcome.proposal.hex()},
    )

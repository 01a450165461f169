"""``/add``: files in, DAGs pinned, one JSON object for each as it is done."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bftcluster.api.add_options import parse_add_options
from bftcluster.api.http.asgi import RequestBody, while_connected
from bftcluster.api.http.gates import Gate
from bftcluster.api.http.json_text import json_response, ndjson_bytes
from bftcluster.api.http.list_stream import LineStream, answer_while_reading
from bftcluster.api.http.multipart import parse_boundary, read_parts
from bftcluster.api.http.query import boolean
from bftcluster.api.ports import UploadsPort
from bftcluster.api.settings import ApiSettings
from bftcluster.api.shapes import add_event_shape
from bftcluster.api.views import UploadEvent, UploadOptions
from bftcluster.errors import RefusedError
from bftcluster.shell_limits import ADD_EVENTS_BUFFERED_MAX, UPLOADS_MAX, UPLOADS_PER_ADDRESS_MAX

_STREAM_HEADERS: Final = (
    (b"cache-control", b"no-cache"),
    (b"connection", b"close"),
    (b"x-chunked-output", b"1"),
)


class AddRoutes:
    """Takes uploads."""

    def __init__(self, uploads: UploadsPort, settings: ApiSettings) -> None:
        self._uploads = uploads
        self._settings = settings
        self._gate = Gate(
            "uploads", at_once_max=UPLOADS_MAX, per_address_max=UPLOADS_PER_ADDRESS_MAX
        )

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/add", self.add, methods=["POST"], middleware=[Middleware(self._gate)])]

    async def add(self, request: Request) -> Response:
        """Import the upload and pin its root; nothing is read before the options are good."""
        query = request.query_params
        upload = _Upload(
            self._uploads,
            options=parse_add_options(query, wall_ms=self._settings.wall_ms),
            boundary=parse_boundary(request.headers.get("content-type", "")),
            hidden=boolean(query, "hidden"),
        )
        if boolean(query, "stream-channels", default=True):
            return _StreamedAdd(upload)
        return _BufferedAdd(upload)


class _Upload:
    """One upload, and the events it leads to."""

    def __init__(
        self, uploads: UploadsPort, *, options: UploadOptions, boundary: bytes, hidden: bool
    ) -> None:
        self._uploads = uploads
        self._options = options
        self._boundary = boundary
        self._hidden = hidden

    async def run(self, body: RequestBody, emit: Callable[[UploadEvent], Awaitable[None]]) -> None:
        """Read the body to its end, at the pace of the service and of ``emit``."""
        async with (
            aclosing(read_parts(body, self._boundary, hidden=self._hidden)) as parts,
            aclosing(self._uploads.add(parts, self._options)) as events,
        ):
            async for event in events:
                await emit(event)


class _StreamedAdd(Response):
    """Answers while the upload is still coming in."""

    def __init__(self, upload: _Upload) -> None:
        super().__init__()
        self._upload = upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Work until the root is pinned, or the client has gone."""
        body = RequestBody(receive)
        lines = LineStream(scope, send, headers=_STREAM_HEADERS)

        async def work(put: Callable[[bytes], Awaitable[None]]) -> None:
            await self._upload.run(body, lambda event: put(ndjson_bytes([add_event_shape(event)])))

        await while_connected(body, lambda: answer_while_reading(lines, work))


class _BufferedAdd(Response):
    """Answers at the end: an array, or an error with its own status."""

    def __init__(self, upload: _Upload) -> None:
        super().__init__()
        self._upload = upload
        self._events: list[UploadEvent] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Work until the root is pinned, or the client has gone."""
        body = RequestBody(receive)
        await while_connected(body, lambda: self._upload.run(body, self._keep))
        proposal = self._events[-1].proposal if self._events else None
        response = json_response(
            [add_event_shape(event) for event in self._events],
            headers={} if proposal is None else {"X-Bftcluster-Proposal": proposal.hex()},
        )
        await response(scope, receive, send)

    async def _keep(self, event: UploadEvent) -> None:
        if len(self._events) >= ADD_EVENTS_BUFFERED_MAX:
            raise RefusedError(
                f"more than {ADD_EVENTS_BUFFERED_MAX} events",
                hint="leave out stream-channels=false",
            )
        self._events.append(event)

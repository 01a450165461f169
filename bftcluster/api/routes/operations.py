"""``/operations``: signed requests in, what became of them out."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bftcluster.api.frames import RequestPages
from bftcluster.api.http.asgi import RequestBody, read_body, while_connected
from bftcluster.api.http.gates import Gate
from bftcluster.api.http.json_text import ndjson_bytes
from bftcluster.api.http.list_stream import LineStream, answer_while_reading
from bftcluster.api.http.query import Query, seconds
from bftcluster.api.ports import OperationsPort, Wait
from bftcluster.api.shapes import Shape
from bftcluster.api.views import SubmitOutcome
from bftcluster.errors import UsageError
from bftcluster.limits import REQUEST_SIZE_MAX_BYTES
from bftcluster.shell_limits import (
    BULKS_MAX,
    BULKS_PER_ADDRESS_MAX,
    SUBMIT_PAGE_REQUESTS,
    SUBMIT_TIMEOUT_DEFAULT_MS,
    SUBMIT_TIMEOUT_MAX_MS,
)

FRAMES_MEDIA_TYPE: Final = "application/vnd.bftcluster.frames"

Submit = Callable[[Sequence[bytes]], Awaitable[Sequence[SubmitOutcome]]]


class OperationRoutes:
    """Takes signed requests, and answers with their outcomes."""

    def __init__(self, operations: OperationsPort) -> None:
        self._operations = operations
        self._gate = Gate(
            "streams of requests", at_once_max=BULKS_MAX, per_address_max=BULKS_PER_ADDRESS_MAX
        )

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/operations", self.submit, methods=["POST"])]

    async def submit(self, request: Request) -> Response:
        """Hand over one request, or a stream of them; answer a line for each, in their order."""
        query = request.query_params
        submit = partial(
            self._operations.submit,
            wait=_wait(query),
            timeout_ms=seconds(
                query,
                "timeout",
                default_ms=SUBMIT_TIMEOUT_DEFAULT_MS,
                highest_ms=SUBMIT_TIMEOUT_MAX_MS,
            ),
        )
        if request.headers.get("content-type", "").partition(";")[0] == FRAMES_MEDIA_TYPE:
            return _BulkSubmission(submit, self._gate)
        data = await read_body(RequestBody(request.receive), size_max_bytes=REQUEST_SIZE_MAX_BYTES)
        if not data:
            raise UsageError("the body is empty", hint="send one canonical signed request")
        outcomes = await submit([data])
        return Response(ndjson_bytes(map(_outcome_shape, outcomes)), media_type="application/json")


class _BulkSubmission(Response):
    """Reads ahead while earlier requests are being ordered, so that the pipeline stays full."""

    def __init__(self, submit: Submit, gate: Gate) -> None:
        super().__init__()
        self._submit = submit
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Work until every request has an outcome, or the client has gone."""
        await self._gate(self._answer)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = RequestBody(receive)
        lines = LineStream(scope, send)
        await while_connected(body, lambda: answer_while_reading(lines, partial(self._work, body)))

    async def _work(self, body: RequestBody, put: Callable[[bytes], Awaitable[None]]) -> None:
        pages = RequestPages(body)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pages.read)
            error = await self._submit_all(pages, put)
            nursery.cancel_scope.cancel()
        if error is not None:
            raise error

    async def _submit_all(
        self, pages: RequestPages, put: Callable[[bytes], Awaitable[None]]
    ) -> Exception | None:
        """Return what went wrong, so that the nursery does not wrap it in a group."""
        try:
            while page := await pages.take(SUBMIT_PAGE_REQUESTS):
                for outcome in await self._submit(page):
                    await put(ndjson_bytes([_outcome_shape(outcome)]))
        except Exception as exc:  # noqa: BLE001 - raised again by the caller
            return exc
        return None


def _wait(query: Query) -> Wait:
    text = query.get("wait", "")
    try:
        return Wait(text or "committed")
    except ValueError:
        raise UsageError(f"wait is committed or none, not {text[:64]!r}") from None


def _outcome_shape(outcome: SubmitOutcome) -> Shape:
    return {
        "digest": None if outcome.digest is None else outcome.digest.hex(),
        "code": outcome.code,
        "detail": outcome.detail,
        "seq": outcome.seq,
    }

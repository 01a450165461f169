"""``/content``: what is stored, verified block by block as it is read.

Everything is an attachment of no particular type. A pinned page shown by a browser under the
API's own origin could call the API.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final
from urllib.parse import quote

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bftcluster import cid as cids
from bftcluster.api.http.asgi import BrokenOffError, RequestBody, while_connected
from bftcluster.api.http.gates import Gate
from bftcluster.api.http.list_stream import log_break
from bftcluster.api.http.tar import write_tar
from bftcluster.api.ports import ContentPort
from bftcluster.api.views import ContentKind
from bftcluster.cid import Cid
from bftcluster.errors import UsageError
from bftcluster.shell_limits import READS_MAX, READS_PER_ADDRESS_MAX

_MEDIA_TYPES: Final = {
    "": "application/octet-stream",
    "car": "application/vnd.ipld.car; version=1",
    "tar": "application/x-tar",
}
_HEADERS: Final = {
    "cache-control": "public, max-age=29030400, immutable",
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
}


class ContentRoutes:
    """Gives content to whoever reads it."""

    def __init__(self, content: ContentPort) -> None:
        self._content = content
        self._gate = Gate("reads", at_once_max=READS_MAX, per_address_max=READS_PER_ADDRESS_MAX)

    def routes(self) -> list[Route]:
        """Return the routes."""
        outside = [Middleware(self._gate)]
        return [
            Route("/content/{cid}", self.content, middleware=outside),
            Route("/content/{cid}/{path:path}", self.content, middleware=outside),
        ]

    async def content(self, request: Request) -> Response:
        """Return a file's bytes, or any DAG as a CAR, or a directory as a tar."""
        return _WhileConnected(lambda: self._answer(request))

    async def _answer(self, request: Request) -> Response:
        wanted = request.query_params.get("format", "")
        if wanted not in _MEDIA_TYPES:
            raise UsageError(f"format is car or tar, not {wanted[:64]!r}")
        cid = cids.parse(request.path_params["cid"])
        names = [name for name in request.path_params.get("path", "").split("/") if name]
        if names:
            cid = await self._content.resolve(cid, names)
        name = names[-1] if names else cids.text(cid)
        if wanted == "car":
            return _Download(self._content.car(cid), cid, f"{name}.car", wanted)
        if wanted == "tar":
            chunks = write_tar(self._content.walk(cid), top=name)
            return _Download(chunks, cid, f"{name}.tar", wanted)
        view = await self._content.open(cid)
        if view.kind is ContentKind.DIRECTORY:
            raise UsageError(
                f"{cids.text(cid)} is a directory", hint="add ?format=tar or ?format=car"
            )
        size = view.size_bytes if view.kind is ContentKind.FILE else None
        return _Download(view.content, view.cid, name, wanted, size_bytes=size)


class _WhileConnected(Response):
    """Finds an answer and sends it, until the client has gone: then the work for it stops."""

    def __init__(self, find: Callable[[], Awaitable[Response]]) -> None:
        super().__init__()
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what was found.

        Raises:
            ClusterError: Nothing was, and nothing has been sent.
        """
        body = RequestBody(receive)
        async for _ in body:
            pass

        async def answer() -> None:
            response = await self._find()
            await response(scope, receive, send)

        await while_connected(body, answer)


class _Download(Response):
    """Chunks of a known or unknown total size; breaks off if one cannot be had."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        cid: Cid,
        name: str,
        wanted: str,
        *,
        size_bytes: int | None = None,
    ) -> None:
        headers = _HEADERS | {
            "content-type": _MEDIA_TYPES[wanted],
            "content-disposition": f"attachment; filename*=utf-8''{quote(name, safe='')}",
            "etag": f'"{cids.text(cid)}{"." if wanted else ""}{wanted}"',
        }
        if size_bytes is not None:
            headers["content-length"] = str(size_bytes)
        super().__init__(headers=headers)
        self._chunks = chunks
        if size_bytes is None:
            del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end."""
        is_head = scope["method"] == "HEAD"
        async with aclosing(self._chunks) as chunks:
            # What is made as it is sent may be refused at its beginning, and HEAD says so, too.
            is_made = "content-length" not in self.headers
            first = await anext(chunks, b"") if is_made or not is_head else b""
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if not is_head:
                await send({"type": "http.response.body", "body": first, "more_body": True})
                await _send_rest(chunks, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_rest(chunks: AsyncGenerator[bytes, None], send: Send) -> None:
    try:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except Exception as exc:  # noqa: BLE001 - logged; nobody can be told
        log_break(exc)
        raise BrokenOffError from None

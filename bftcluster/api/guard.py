"""What every request passes first: strict slash, rebinding and forgery checks, the last safety net.

A page in a browser on the same machine can send requests to a loopback port. It cannot read the
answers (there are no CORS headers), but a POST would be carried out. So requests that change
something are refused when their ``Host`` is a name nobody listed (DNS rebinding) or when their
``Origin`` is another site (cross-site request forgery).
"""

import ipaddress
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

import trio
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bftcluster.api.asgi import BrokenOffError
from bftcluster.api.errors import error_response
from bftcluster.limits import UNREAD_BODY_MAX_BYTES

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_UNREAD_BODY_SECONDS: Final = 5.0


class Guard:
    """Wraps the application."""

    def __init__(
        self, app: ASGIApp, *, allowed_hosts: Collection[str], allowed_origins: Collection[str]
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._origins = frozenset(origin.lower() for origin in allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send, has_body=_has_body(scope))
        refusal = self._refusal(scope)
        app = self._app if refusal is None else refusal
        try:
            await app(scope, exchange.receive, exchange.send)
        except BrokenOffError:
            pass  # the server finds the answer incomplete, and closes the connection
        except Exception:
            if not exchange.is_answered:  # else it was answered by 500, and logged
                raise

    def _refusal(self, scope: Scope) -> Response | None:
        path: str = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            return _redirect(scope, path)
        if scope["method"] in _SAFE_METHODS:
            return None
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not self._is_trusted_host(_host_name(host)):
            return error_response(
                403,
                f"host {host[:200]!r} is not one of this peer's names",
                hint="use an address, or list the name in `api.allowed_hosts`",
            )
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if origin and origin not in self._origins and urlsplit(origin).netloc != host:
            return error_response(
                403,
                f"origin {origin[:200]!r} may not change anything here",
                hint="list it in `api.allowed_origins`",
            )
        return None

    def _is_trusted_host(self, name: str) -> bool:
        if name == "localhost" or name.endswith(".localhost") or name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


class _Exchange:
    """One request and its answer; sees to it that a client still sending reads the answer.

    A server that closes while the client sends makes the client's system throw the answer away
    (RFC 9112, section 9.6). So the rest of the body is read, within limits, before the end.
    """

    def __init__(self, receive: Receive, send: Send, *, has_body: bool) -> None:
        self.is_answered = False
        self._receive = receive
        self._send = send
        self._is_read = not has_body

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._is_read = True
        return message

    async def send(self, message: Message) -> None:
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last and not self._is_read:
            await self._send({**message, "more_body": True})
            await self._skip_body()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)
        self.is_answered = self.is_answered or is_last

    async def _skip_body(self) -> None:
        skipped = 0
        with trio.move_on_after(_UNREAD_BODY_SECONDS):
            while not self._is_read and skipped < UNREAD_BODY_MAX_BYTES:
                skipped += len((await self.receive()).get("body", b""))


def _has_body(scope: Scope) -> bool:
    """RFC 9112, section 6.3: without either header a request has no body."""
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def _redirect(scope: Scope, path: str) -> Response:
    location = path.rstrip("/") or "/"
    if location.startswith("//"):
        location = "/" + location.lstrip("/")
    query = scope["query_string"].decode("latin-1")
    return RedirectResponse(f"{location}?{query}" if query else location, 307)


def _host_name(host: str) -> str:
    """Return a Host header's name or address without brackets and port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host

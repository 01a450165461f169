"""What every request passes first: strict slash, rebinding and forgery checks, the last safety net.

A page in a browser on the same machine can send requests to a loopback port. A name of its own
that it lets point here makes it the same site to the browser, answers included (DNS rebinding): so
every request is refused whose ``Host`` is a name nobody listed. Under another name it cannot read
the answers (there are no CORS headers), but a POST would be carried out (cross-site request
forgery): so what changes something is refused when its ``Origin`` is another site.
"""

import ipaddress
import re
from collections.abc import Collection
from typing import Final

import trio
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bftcluster.api.http.asgi import BrokenOffError
from bftcluster.api.http.errors import error_response
from bftcluster.shell_limits import UNREAD_BODY_MAX_BYTES

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_UNREAD_BODY_SECONDS: Final = 5.0
_HOST: Final = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:/@\s]+))(?::[0-9]{0,5})?")
"""RFC 9110, section 7.2: a name or an address, and perhaps a port; nothing else."""


class Guard:
    """Wraps the application, and refuses requests that no route should see."""

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
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        host = hosts[0] if len(hosts) == 1 else ""
        if not self._is_trusted_host(host):
            return error_response(
                403,
                f"host {host[:200]!r} is not one of this peer's names",
                hint="use an address, or list the name in `api.allowed_hosts`",
            )
        path: str = scope["path"]
        if len(path) > 1 and path.endswith("/"):
            return _redirect(scope, path)
        if scope["method"] in _SAFE_METHODS or not origins:
            return None
        own = (f"http://{host}", f"https://{host}")
        if len(origins) > 1 or not (origins[0] in self._origins or origins[0] in own):
            return error_response(
                403,
                f"origin {', '.join(origins)[:200]!r} may not change anything here",
                hint="list it in `api.allowed_origins`",
            )
        return None

    def _is_trusted_host(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"]
        if name is None:
            return _is_address(found["ipv6"], version=6)
        if name == "localhost" or name.endswith(".localhost") or name in self._hosts:
            return True
        return _is_address(name, version=4)


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


def _values(scope: Scope, header: bytes) -> list[str]:
    """Return what each header of that name says, in lower case."""
    found = [value for name, value in scope["headers"] if name.lower() == header]
    return [value.decode("latin-1").lower() for value in found]


def _is_address(text: str, *, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False

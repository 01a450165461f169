"""Serves the application: sockets, limits, access log, and a shutdown that does not linger."""

import resource
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final, cast

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ResponseSummary, WWWScope
from starlette.types import ASGIApp, Receive, Scope, Send

from bftcluster.api.http.admission import Admission
from bftcluster.api.http.errors import RETRY_AFTER_S
from bftcluster.api.http.gates import network_of
from bftcluster.api.http.http1 import HttpConnection
from bftcluster.api.http.list_stream import TRAILERS_EXTENSION
from bftcluster.api.http.listen_address import open_sockets
from bftcluster.api.settings import ApiSettings
from bftcluster.shell_limits import CONNECTIONS_MAX, HEADERS_SIZE_MAX_BYTES

GRACE_SECONDS: Final = 1.0
"""How long requests in flight may take to finish once a shutdown has begun."""

_BODY_PARTS_UNREAD_MAX: Final = 2
"""Of a quarter of a MiB: what a connection holds of a body that nobody reads."""
_IDLE_TIMEOUT_SECONDS: Final = 120
"""ipfs-cluster's."""
_REQUESTS_PER_CONNECTION_MAX: Final = 1_000_000
_TOO_MANY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %d\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n" % RETRY_AFTER_S
)

_log = structlog.get_logger(__name__)


async def serve(
    app: ASGIApp,
    settings: ApiSettings,
    *,
    stop: trio.Event,
    task_status: Any = trio.TASK_STATUS_IGNORED,  # noqa: ANN401 - stubs without TaskStatus
) -> None:
    """Serve ``app`` until ``stop`` is set; then refuse, finish what is in flight, and return.

    Started with the addresses that are really listened on, as ``host:port``. Returns at the latest
    ``GRACE_SECONDS`` after ``stop``; cancelling closes everything at once.

    Raises:
        ConfigError: It cannot listen.
    """
    config = _config(settings)
    context = WorkerContext(None)
    connections = _Connections(app, settings, config, context)
    with ExitStack() as sockets:
        opened = [sockets.enter_context(sock) for sock in open_sockets(settings.listen)]
        listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(sock)) for sock in opened]
        addresses = [_address_text(listener) for listener in listeners]
        async with trio.open_nursery() as handlers:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(
                    partial(
                        trio.serve_listeners,
                        connections.handle,
                        listeners,
                        handler_nursery=handlers,
                    )
                )
                _log.info("api is listening", addresses=addresses)
                task_status.started(addresses)
                await stop.wait()
                accepting.cancel_scope.cancel()
            await context.terminated.set()
            handlers.cancel_scope.deadline = trio.current_time() + GRACE_SECONDS
    _log.info("api has stopped")


class _Connections:
    """Those that are open, up to a limit."""

    def __init__(
        self, app: ASGIApp, settings: ApiSettings, config: Config, context: WorkerContext
    ) -> None:
        self._app = ASGIWrapper(cast("ASGIFramework", _with_trailers(app)))
        self._config = config
        self._context = context
        self._admission = Admission(
            total_max=_connections_max(),
            per_address_max=settings.connections_per_address_max,
        )

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one connection; a bug in it ends it alone."""
        connection = HttpConnection(self._app, self._config, self._context, stream)
        address = network_of(_client_of(stream))
        if not self._admission.admit(address, connection):
            _log.warning("too many connections", open=self._admission.count, address=address)
            with suppress(OSError):
                await stream.socket.send(_TOO_MANY)
            return
        try:
            await connection.run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except* Exception as group:  # noqa: BLE001 - other connections go on
            _log.error("connection failed", exc_info=group)
        finally:
            self._admission.leave(address, connection)


class _StructuredLog(Logger):
    """Hypercorn's log, into ours."""

    def __init__(self, config: Config) -> None:
        self._has_access_log = config.accesslog is not None

    async def access(
        self, request: WWWScope, response: ResponseSummary | None, request_time: float
    ) -> None:
        """Log one request."""
        if self._has_access_log:
            _log.info(
                "request",
                method=request.get("method"),
                path=request["path"],
                status=None if response is None else int(response["status"]),
                ms=round(request_time * 1000, 1),
                client=(request.get("client") or ("",))[0],
            )

    async def exception(self, message: str, *args: object, **_: object) -> None:
        """Log an exception that reached the server: a response was broken off by it."""
        _log.error(message % args if args else message, exc_info=True)

    async def log(self, level: int, message: str, *args: object, **_: object) -> None:
        """Log anything else hypercorn has to say."""
        _log.log(level, message % args if args else message)


def _config(settings: ApiSettings) -> Config:
    config = Config()
    config.logger_class = _StructuredLog
    config.accesslog = "-" if settings.has_access_log else None
    config.include_server_header = False
    config.h11_max_incomplete_size = HEADERS_SIZE_MAX_BYTES - 1  # what is longer has no end yet
    config.max_app_queue_size = _BODY_PARTS_UNREAD_MAX
    config.keep_alive_timeout = _IDLE_TIMEOUT_SECONDS
    config.keep_alive_max_requests = _REQUESTS_PER_CONNECTION_MAX
    return config


def _with_trailers(app: ASGIApp) -> ASGIApp:
    """Tell the application that this server sends trailers; HTTP/1.0 has no place for them."""

    async def tell(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["http_version"] == "1.1":
            scope["extensions"][TRAILERS_EXTENSION] = {}
        await app(scope, receive, send)

    return tell


def _connections_max() -> int:
    """Return how many are served: of the files that we may open they have half, and no more."""
    files_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS_MAX if files_max < 0 else min(CONNECTIONS_MAX, files_max // 2)


def _client_of(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:
        return ""  # gone already


def _address_text(listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

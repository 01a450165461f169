"""A peer's HTTP API, as the commands use it. Every failure is one of our errors, with a hint."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bftcluster.errors import (
    ClusterError,
    NotReachedError,
    RefusedError,
    StoreFullError,
    UsageError,
)
from bftcluster_cli.framework import GlobalOptions, settings_of
from bftcluster_cli.output import emit_all
from bftcluster_cli.untrusted_text import message

if TYPE_CHECKING:
    import httpx

Record = dict[str, Any]
"""A JSON object of the API."""

_NDJSON: Final = "application/x-ndjson"
_CONNECT_TIMEOUT_S: Final = 5.0
_DECISION_MARGIN_S: Final = 10.0
"""More than the peer waits for the cluster to decide, so that its own answer arrives."""
_CONTENT_PATIENCE: Final = 10
"""Content may have to come to the peer first: how many timeouts may pass without a byte."""


class NotThereError(RefusedError):
    """The peer has no such thing."""


class Client:
    """One peer's API. Use as a context manager."""

    def __init__(self, settings: GlobalOptions) -> None:
        """Take the URL and the timeout.

        Raises:
            UsageError: The URL is none.
        """
        import httpx

        self._api = base_url(settings.api)
        self.timeout_s = settings.timeout_s
        self._http = httpx.Client(base_url=self._api, timeout=self._patience(), trust_env=False)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def api(self) -> str:
        """The base URL."""
        return self._api

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Record:
        """Return the object at ``path``.

        Raises:
            NotReachedError: No answer, or a peer that cannot serve.
            NotThereError: Nothing is there.
            ClusterError: Any other refusal.
        """
        return self._object(self._request("GET", path, params=params))

    def post(
        self, path: str, *, params: Mapping[str, str] | None = None, content: bytes = b""
    ) -> Record:
        """Return the object that ``path`` answers to ``content``.

        Raises:
            ClusterError: As ``get``.
        """
        return self._object(self._request("POST", path, params=params, content=content))

    def list(self, path: str) -> "list[Record]":
        """Return the objects in the array at ``path``.

        Raises:
            ClusterError: As ``get``.
        """
        response = self._request("GET", path)
        value = _loaded(response.text)
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise _nonsense(response.text)
        return value

    def is_healthy(self) -> bool:
        """Return whether the peer answers and can serve."""
        import httpx

        try:
            return self._http.get("/health").status_code == 204
        except httpx.TransportError:
            return False

    def lines(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[Record]:
        """Yield the objects that ``path`` streams.

        Raises:
            ClusterError: As ``get``; also in the middle, if the stream breaks off.
        """
        with self.stream("GET", path, params=params, headers={"accept": _NDJSON}) as response:
            if response.status_code == 204:
                return
            for line in response.iter_lines():
                if not line:
                    continue
                record = _parsed(line)
                if set(record) == {"error"} and isinstance(record["error"], dict):
                    raise _error_of(int(record["error"].get("code", 500)), record["error"])
                yield record

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: Iterator[bytes] | None = None,
    ) -> Iterator["httpx.Response"]:
        """Open a response that is read piece by piece.

        Raises:
            ClusterError: As ``get``.
        """
        with (
            self._translated(),
            self._http.stream(
                method,
                path,
                params=params,
                headers=headers,
                content=content,
                timeout=self._patience(factor=_CONTENT_PATIENCE),
            ) as response,
        ):
            if response.is_error or response.is_redirect:
                response.read()
                self._raise(response)
            yield response

    def _patience(self, *, factor: float = 1, margin_s: float = 0.0) -> "httpx.Timeout":
        import httpx

        return httpx.Timeout(
            self.timeout_s * factor + margin_s, connect=min(self.timeout_s, _CONNECT_TIMEOUT_S)
        )

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes = b"",
    ) -> "httpx.Response":
        with self._translated():
            response = self._http.request(
                method,
                path,
                params=params,
                content=content or None,
                timeout=self._patience(margin_s=_DECISION_MARGIN_S if content else 0.0),
            )
        if response.is_error or response.is_redirect:
            self._raise(response)
        return response

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn httpx's errors into ours."""
        import httpx

        try:
            yield
        except httpx.ConnectTimeout:
            raise NotReachedError(
                f"no connection to {self._api} within {_CONNECT_TIMEOUT_S:.0f} s",
                hint="check the address (--api or BFTCLUSTER_API) and the network between",
            ) from None
        except httpx.ConnectError:
            raise NotReachedError(
                f"no peer answers at {self._api}",
                hint="start one with `bftcluster peer run DIR`, or name another with --api",
            ) from None
        except httpx.TimeoutException:
            raise NotReachedError(
                f"{self._api} did not answer within {self.timeout_s:.0f} s",
                hint="see `bftcluster peer status`, or wait longer with --timeout",
            ) from None
        except httpx.TransportError as exc:
            raise NotReachedError(
                f"the connection to {self._api} broke: {exc}",
                hint="the peer may have stopped; see its log",
            ) from None

    def _object(self, response: "httpx.Response") -> Record:
        if response.status_code == 204:
            return {}
        return _parsed(response.text)

    def _raise(self, response: "httpx.Response") -> None:
        try:
            shape = response.json()
        except ValueError:
            shape = None
        if not isinstance(shape, dict):
            raise UsageError(
                f"{self._api} answers {response.status_code} and is no bftcluster peer",
                hint="check --api or BFTCLUSTER_API",
            )
        raise _error_of(response.status_code, shape)


Limit = Annotated[int, typer.Option(help="At most so many, up to 1000.")]
"""Of what a command lists."""


def list_lines(
    ctx: typer.Context, path: str, line_of: Callable[[Record], str], nothing: str
) -> None:
    """Write what the peer streams at ``path``, each in a line; say ``nothing`` if it is empty."""
    settings = settings_of(ctx)
    with Client(settings) as client:
        emit_all(settings, client.lines(path), line_of, nothing)


def base_url(text: str) -> str:
    """Return the base URL that ``text`` means; ``host:port`` is enough.

    Raises:
        UsageError: It is no URL of an HTTP API.
    """
    url = text if "://" in text else f"http://{text}"
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
        raise UsageError(f"not a URL: {text!r}", hint="as in --api http://127.0.0.1:9094")
    return url.rstrip("/")


def _parsed(text: str) -> Record:
    value = _loaded(text)
    if not isinstance(value, dict):
        raise _nonsense(text)
    return value


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _nonsense(text: str) -> ClusterError:
    return ClusterError(
        f"the peer's answer makes no sense: {message(text)}",
        hint="is --api the address of a bftcluster peer, and of the same version?",
    )


def _error_of(status: int, shape: Mapping[str, Any]) -> ClusterError:
    words = message(str(shape.get("message", ""))) or f"the peer answered {status}"
    hint = message(str(shape.get("hint", "")))
    match status:
        case 400 | 405 | 413:
            return UsageError(words, hint=hint)
        case 404:
            return NotThereError(words, hint=hint)
        case 503 | 504:
            return NotReachedError(words, hint=hint or "see `bftcluster peer status`")
        case 507:
            return StoreFullError(words, hint=hint)
        case 500 | 502:
            return ClusterError(f"the peer failed: {words}", hint=hint or "see the peer's log")
        case _:
            return RefusedError(words, hint=hint)

"""Below Starlette: the request body at the client's pace, and noticing that the client has gone."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from starlette.types import Receive

from bftcluster.errors import MessageTooLargeError, UsageError

T = TypeVar("T")


class ClientGoneError(UsageError):
    """The client closed the connection before it had sent its whole request."""


class BrokenOffError(Exception):
    """The answer cannot go on, and has begun: leave it incomplete, so that the client notices.

    No ``ClusterError``: nobody can be told. Where it is raised, the reason has been logged.
    """


class Body:
    """The chunks of a request body, each taken from the socket when it is asked for.

    Attributes:
        ended: Set once the last chunk was taken.
    """

    def __init__(self, receive: Receive) -> None:
        self.ended = trio.Event()
        self._receive = receive

    def __aiter__(self) -> "Body":
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk, never empty.

        Raises:
            ClientGoneError: There will be none, though the body is not complete.
        """
        while not self.ended.is_set():
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGoneError("the request body ended early")
            if not message.get("more_body", False):
                self.ended.set()
            chunk = message.get("body", b"")
            if chunk:
                assert isinstance(chunk, bytes), "ASGI says bytes"
                return chunk
        raise StopAsyncIteration

    async def disconnected(self) -> None:
        """Return when the client has gone. Only after ``ended``."""
        assert self.ended.is_set(), "nobody else is reading"
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def read_body(body: Body, *, size_max_bytes: int) -> bytes:
    """Return a whole small body.

    Raises:
        MessageTooLargeError: It is longer than ``size_max_bytes``.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in body:
        size += len(chunk)
        if size > size_max_bytes:
            raise MessageTooLargeError(f"the body is longer than {size_max_bytes} bytes")
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def while_connected(body: Body, work: Callable[[], Awaitable[T]]) -> T | None:
    """Run ``work``; cancel it and return None when the client goes away.

    ``work`` may read ``body``; the connection is watched once the body has ended.

    Raises:
        Exception: What ``work`` raised, not in a group.
    """
    error: Exception | None = None
    result: T | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch, body, nursery.cancel_scope)
        try:
            result = await work()
        except Exception as exc:  # noqa: BLE001 - raised again outside the nursery
            error = exc
        nursery.cancel_scope.cancel()
    if error is not None:
        raise error
    return result


async def _watch(body: Body, scope: trio.CancelScope) -> None:
    await body.ended.wait()
    await body.disconnected()
    scope.cancel()

"""Below Starlette: the request body at the client's pace, and whether the client is still there."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from starlette.types import Message, Receive

from bftcluster.errors import MessageTooLargeError, UsageError
from bftcluster.shell_limits import BODY_PACE_BYTES, BODY_PACE_TIME_MAX_S, BODY_TIME_MAX_S

T = TypeVar("T")


class ClientGoneError(UsageError):
    """The client closed the connection before it had sent its whole request."""


class SlowClientError(UsageError):
    """The client takes longer to send its request than anybody waits for it."""

    hint = "send faster, or less"


class BrokenOffError(Exception):
    """The answer cannot go on, and has begun: leave it incomplete, so that the client notices.

    No ``ClusterError``: nobody can be told. Where it is raised, the reason has been logged.
    """


class RequestBody:
    """The chunks of a request body, each taken from the socket when it is asked for.

    What counts against the client is the time that we wait for it; a slow disk of ours does not.

    Attributes:
        ended: Set once the last chunk was taken.
    """

    def __init__(self, receive: Receive) -> None:
        self.ended = trio.Event()
        self._receive = receive
        self._deadline_s = trio.current_time() + BODY_TIME_MAX_S
        self._waited_s = 0.0
        self._arrived_bytes = 0
        """Since the last BODY_PACE_BYTES were complete, as is the time before it."""

    def __aiter__(self) -> "RequestBody":
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk, never empty.

        Raises:
            ClientGoneError: There will be none, though the body is not complete.
            SlowClientError: It takes too long.
        """
        while not self.ended.is_set():
            message = await self._receive_in_time()
            if message["type"] != "http.request":
                raise ClientGoneError("the request body ended early")
            if not message.get("more_body", False):
                self.ended.set()
            chunk = message.get("body", b"")
            if chunk:
                assert isinstance(chunk, bytes), "ASGI says bytes"
                return chunk
        raise StopAsyncIteration

    async def _receive_in_time(self) -> Message:
        begun_s = trio.current_time()
        patience_s = BODY_PACE_TIME_MAX_S - self._waited_s
        with trio.CancelScope(deadline=min(begun_s + patience_s, self._deadline_s)):
            message = await self._receive()
            self._waited_s += trio.current_time() - begun_s
            self._arrived_bytes += len(message.get("body", b""))
            if self._arrived_bytes >= BODY_PACE_BYTES:
                self._waited_s, self._arrived_bytes = 0.0, 0
            return message
        raise SlowClientError(
            f"less than {BODY_PACE_BYTES} bytes of the body in {BODY_PACE_TIME_MAX_S} seconds, or"
            f" not all of it in {BODY_TIME_MAX_S}"
        )

    async def disconnected(self) -> None:
        """Return when the client has gone. Only after ``ended``."""
        assert self.ended.is_set(), "nobody else is reading"
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def read_body(body: RequestBody, *, size_max_bytes: int) -> bytes:
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


async def while_connected(body: RequestBody, work: Callable[[], Awaitable[T]]) -> T | None:
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


async def _watch(body: RequestBody, scope: trio.CancelScope) -> None:
    await body.ended.wait()
    await body.disconnected()
    scope.cancel()

"""Many signed requests in one body: each is its length in 4 big-endian bytes, then itself."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import trio

from bftcluster.errors import UsageError
from bftcluster.limits import REQUEST_SIZE_MAX_BYTES

_LENGTH_SIZE_BYTES: Final = 4
_CHUNKS_AHEAD_MAX: Final = 8


def write_frame(request: bytes) -> bytes:
    """Return ``request`` with its length before it."""
    return len(request).to_bytes(_LENGTH_SIZE_BYTES, "big") + request


class RequestPages:
    """Requests that were read ahead, in pages.

    ``read`` runs beside whoever takes pages: while one page is being ordered the next is read, so
    that a page holds what came in meanwhile.
    """

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._writer, self._reader = trio.open_memory_channel[list[bytes]](_CHUNKS_AHEAD_MAX)
        self._waiting: list[bytes] = []
        self._error: Exception | None = None

    async def read(self) -> None:
        """Read the body to its end; an error is kept for ``take``."""
        async with self._writer:
            try:
                await self._read()
            except Exception as exc:  # noqa: BLE001 - raised by take, after what came before it
                self._error = exc

    async def take(self, count_max: int) -> Sequence[bytes]:
        """Return what was read, in order; nothing at the end.

        Raises:
            UsageError: After the last good request: one is too long, or not complete.
        """
        if not self._waiting:
            try:
                self._waiting = await self._reader.receive()
            except trio.EndOfChannel:
                if self._error is not None:
                    raise self._error from None
                return ()
        while len(self._waiting) < count_max and self._reader.statistics().current_buffer_used:
            self._waiting += self._reader.receive_nowait()
        page, self._waiting = self._waiting[:count_max], self._waiting[count_max:]
        return page

    async def _read(self) -> None:
        buffer = bytearray()
        async for chunk in self._body:
            buffer += chunk
            if requests := _take_whole(buffer):
                await self._writer.send(requests)
            size = int.from_bytes(buffer[:_LENGTH_SIZE_BYTES], "big")
            if len(buffer) >= _LENGTH_SIZE_BYTES and not 0 < size <= REQUEST_SIZE_MAX_BYTES:
                raise UsageError(f"a request of {size} bytes, outside 1 … {REQUEST_SIZE_MAX_BYTES}")
        if buffer:
            raise UsageError("the last request is not complete")


def _take_whole(buffer: bytearray) -> list[bytes]:
    """Remove the whole requests at the front, up to the first that is too long."""
    requests: list[bytes] = []
    offset = 0
    while len(buffer) - offset >= _LENGTH_SIZE_BYTES:
        start = offset + _LENGTH_SIZE_BYTES
        size = int.from_bytes(buffer[offset:start], "big")
        if not 0 < size <= REQUEST_SIZE_MAX_BYTES or len(buffer) - start < size:
            break
        requests.append(bytes(buffer[start : start + size]))
        offset = start + size
    del buffer[:offset]
    return requests

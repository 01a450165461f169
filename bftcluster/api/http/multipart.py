"""Uploads as Kubo's clients send them: multipart parts that are files, directories and symlinks.

Everything is pulled: a chunk is taken from the socket when somebody asks for the next bytes of a
part, so a slow store slows the client down, and memory holds one chunk at a time.
"""

import posixpath
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import unquote_plus

import trio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from bftcluster.api.views import ContentKind, UploadPart
from bftcluster.errors import UsageError
from bftcluster.shell_limits import PART_HEADERS_SIZE_MAX_BYTES

_KINDS: Final = {kind.value.encode(): kind for kind in ContentKind}
_BAD_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_BOUNDARY_SIZE_MAX_BYTES: Final = 70
"""RFC 2046, section 5.1.1."""
_PATH_SIZE_MAX_BYTES: Final = 4096
_EVENTS_PER_BITE_MAX: Final = 128
_BITE_MIN_BYTES: Final = 8 << 10
_BITE_MAX_BYTES: Final = 1 << 20


class _Mark(Enum):
    HEADERS_END = "headers end"
    PART_END = "part end"
    BODY_END = "body end"


_Event = _Mark | tuple[bytes, bytes] | bytes
"""A header, a chunk of content, or a mark between them."""


def parse_boundary(content_type: str) -> bytes:
    """Return the boundary of a ``multipart/form-data`` body.

    Raises:
        UsageError: Another type, or no boundary.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= _BOUNDARY_SIZE_MAX_BYTES:
        raise UsageError(
            "the body is not multipart/form-data",
            hint="send files as `curl -F file=@name` does",
        )
    return boundary


async def read_parts(
    body: AsyncIterator[bytes], boundary: bytes, *, hidden: bool
) -> AsyncGenerator[UploadPart, None]:
    """Yield the parts of a body; what the reader leaves of one is skipped.

    Args:
        body: Chunks of the request body.
        boundary: As in the Content-Type.
        hidden: Yield also what lies in a directory and has a name that starts with a dot.

    Raises:
        UsageError: The body is malformed, incomplete, or has no part.
    """
    reader = _Reader(body, boundary)
    count = 0
    while (part := await reader.next_part()) is not None:
        count += 1
        if hidden or not _is_hidden(part.path):
            yield part
    if not count:
        raise UsageError("the upload has no files")


class _Reader:
    """Turns chunks into events, and events into parts."""

    def __init__(self, body: AsyncIterator[bytes], boundary: bytes) -> None:
        self._body = body
        self._events = deque[_Event]()
        self._chunk = b""
        self._bite_bytes = _BITE_MIN_BYTES
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._headers_size_bytes = 0
        self._is_inside = False
        """A part's content is not read to its end yet."""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": lambda: self._events.append(_Mark.HEADERS_END),
                "on_part_data": lambda data, start, end: self._events.append(data[start:end]),
                "on_part_end": lambda: self._events.append(_Mark.PART_END),
                "on_end": lambda: self._events.append(_Mark.BODY_END),
            },
        )

    async def next_part(self) -> UploadPart | None:
        """Skip the rest of the current part; return the next one."""
        await trio.lowlevel.checkpoint()
        while self._is_inside:
            await self.next_chunk()
        headers: dict[bytes, bytes] = {}
        while True:
            event = await self._next_event()
            if event is _Mark.BODY_END:
                await self._skip_epilogue()
                return None
            if event is _Mark.HEADERS_END:
                break
            assert isinstance(event, tuple), "headers come before content"
            headers[event[0].lower()] = event[1]
        self._is_inside = True
        return UploadPart(kind=_kind(headers), path=_path(headers), content=_Content(self))

    async def next_chunk(self) -> bytes | None:
        """Return more of the current part, or None at its end."""
        if not self._is_inside:
            return None
        event = await self._next_event()
        if isinstance(event, bytes):
            return event
        assert event is _Mark.PART_END, "content ends with its part"
        self._is_inside = False
        return None

    async def _next_event(self) -> _Event:
        while not self._events:
            if not self._chunk:
                try:
                    self._chunk = await anext(self._body)
                except StopAsyncIteration:
                    raise UsageError("the multipart body ends early") from None
            self._parse_some()
        return self._events.popleft()

    def _parse_some(self) -> None:
        """Parse as much as takes a millisecond or so: other tasks, PBFT's too, are waiting.

        A large file is a few events for any number of bytes; thousands of small ones are not.
        """
        data, self._chunk = self._chunk[: self._bite_bytes], self._chunk[self._bite_bytes :]
        try:
            self._parser.write(data)
        except FormParserError as exc:
            raise UsageError(f"malformed multipart body: {exc}") from None
        if len(self._events) > _EVENTS_PER_BITE_MAX:
            self._bite_bytes = max(self._bite_bytes // 2, _BITE_MIN_BYTES)
        else:
            self._bite_bytes = min(self._bite_bytes * 2, _BITE_MAX_BYTES)

    async def _skip_epilogue(self) -> None:
        async for _ in self._body:
            pass

    def _on_part_begin(self) -> None:
        self._headers_size_bytes = 0

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]
        self._count_header(end - start)

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]
        self._count_header(end - start)

    def _on_header_end(self) -> None:
        self._events.append((bytes(self._header_name), bytes(self._header_value)))
        self._header_name.clear()
        self._header_value.clear()

    def _count_header(self, size: int) -> None:
        self._headers_size_bytes += size
        if self._headers_size_bytes > PART_HEADERS_SIZE_MAX_BYTES:
            raise UsageError(f"a part's headers exceed {PART_HEADERS_SIZE_MAX_BYTES} bytes")


@dataclass(slots=True)
class _Content:
    """The chunks of the reader's current part."""

    reader: _Reader

    def __aiter__(self) -> "_Content":
        return self

    async def __anext__(self) -> bytes:
        chunk = await self.reader.next_chunk()
        if chunk is None:
            raise StopAsyncIteration
        return chunk


def _kind(headers: dict[bytes, bytes]) -> ContentKind:
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return _KINDS.get(media_type, ContentKind.FILE)


def _path(headers: dict[bytes, bytes]) -> str:
    """Return the part's file name as Kubo reads it: URL-decoded if it can be, and cleaned."""
    _, options = parse_options_header(headers.get(b"content-disposition", b""))
    name = options.get(b"filename", b"")
    if len(name) > _PATH_SIZE_MAX_BYTES:
        raise UsageError(f"a file name of {len(name)} bytes, at most {_PATH_SIZE_MAX_BYTES}")
    try:
        text = name.decode("utf-8")
        path = text if _BAD_ESCAPE.search(text) else unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise UsageError("a file name is not UTF-8") from None
    path = posixpath.normpath("/" + path).lstrip("/")
    if not path or "\0" in path:
        raise UsageError("a part of the upload has no file name")
    return path


def _is_hidden(path: str) -> bool:
    """Return whether a name below the top starts with a dot, as Kubo's adder sees it."""
    return any(name.startswith(".") for name in path.split("/")[1:])

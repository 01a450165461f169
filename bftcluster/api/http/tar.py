"""A directory as a tar, written as it is read. The same DAG always gives the same bytes."""

import tarfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from bftcluster.api.views import ContentKind, ContentView

_PADDING: Final = bytes(tarfile.BLOCKSIZE)


async def write_tar(
    entries: AsyncGenerator[ContentView, None], *, top: str
) -> AsyncGenerator[bytes, None]:
    """Yield a tar of ``entries`` in the pax format, everything below the name ``top``.

    Times are the epoch and owners are nobody: a DAG has neither.
    """
    async with aclosing(entries):
        async for entry in entries:
            info = tarfile.TarInfo(f"{top}/{entry.path}" if entry.path else top)
            async with aclosing(entry.content) as chunks:
                match entry.kind:
                    case ContentKind.DIRECTORY:
                        info.type, info.mode = tarfile.DIRTYPE, 0o755
                    case ContentKind.SYMLINK:
                        info.type, info.linkname = tarfile.SYMTYPE, await _target(chunks)
                    case ContentKind.FILE:
                        info.size = entry.size_bytes
                yield info.tobuf(tarfile.PAX_FORMAT)
                if entry.kind is ContentKind.FILE:
                    async for chunk in chunks:
                        yield chunk
                    yield _PADDING[: -entry.size_bytes % tarfile.BLOCKSIZE]
    yield 2 * _PADDING


async def _target(chunks: AsyncGenerator[bytes, None]) -> str:
    target = b"".join([chunk async for chunk in chunks])
    return target.decode("utf-8", "surrogateescape")

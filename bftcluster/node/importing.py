"""Turns an upload into a DAG in the block store: hashing and disk in threads, sockets outside."""

import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import BinaryIO, Self

import trio

from bftcluster.api.views import AddPart, PartKind
from bftcluster.blocks.adder import Adder, AddEvent
from bftcluster.blocks.car import CarReader
from bftcluster.blocks.ingest import Ingest
from bftcluster.blocks.layout import Entry, Layout
from bftcluster.blocks.port import BlockStore
from bftcluster.cid import Cid
from bftcluster.errors import MalformedContentError, UsageError
from bftcluster.limits import SYMLINK_TARGET_SIZE_MAX_BYTES

_PIECE_SIZE_BYTES = 2 << 20
"""Hashed and handed on per visit to a thread: large enough that the visit costs nothing."""


class Importer:
    """One upload. Leave without ``pin``, and nothing of it stays in the store."""

    def __init__(self, store: BlockStore, layout: Layout) -> None:
        self._adder = Adder(store, layout=layout, progress=self._note)
        self._built: list[tuple[str, Entry]] = []

    async def __aenter__(self) -> Self:
        self._adder.__enter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._adder.__exit__, None, None, None)

    async def file(self, part: AddPart) -> AsyncGenerator[int | Entry, None]:
        """Take a file; yield after each piece how many bytes of it are in, then what it became."""
        self._adder.begin_file(part.path)
        size_bytes = 0
        pieces: list[bytes] = []
        waiting_bytes = 0
        async for chunk in part.content:
            pieces.append(chunk)
            waiting_bytes += len(chunk)
            if waiting_bytes >= _PIECE_SIZE_BYTES:
                await trio.to_thread.run_sync(self._write_all, pieces)
                size_bytes += waiting_bytes
                pieces, waiting_bytes = [], 0
                yield size_bytes
        await trio.to_thread.run_sync(self._write_all, pieces)
        yield await trio.to_thread.run_sync(self._adder.end_file)

    async def other(self, part: AddPart) -> None:
        """Take a directory or a symbolic link.

        Raises:
            UsageError: A path comes twice, or a link's target is too long.
        """
        if part.kind is PartKind.DIRECTORY:
            self._adder.add_directory(part.path)
            return
        target = b""
        async for chunk in part.content:
            target += chunk
            if len(target) > SYMLINK_TARGET_SIZE_MAX_BYTES:
                raise UsageError(f"the symbolic link {part.path!r} is too long")
        self._adder.add_symlink(part.path, target)

    async def build(self, *, wrap: bool) -> tuple[list[tuple[str, Entry]], Entry]:
        """Build the directories; return them, the root last, and the root.

        Raises:
            UsageError: Nothing was uploaded, or several things and no ``wrap``.
        """
        self._built.clear()
        root = await trio.to_thread.run_sync(lambda: self._adder.build(wrap=wrap))
        return self._built, root

    async def pin(self, root: Entry) -> None:
        """Return when everything is durable and the store keeps the root.

        Raises:
            StoreFullError: It does not fit.
        """
        await trio.to_thread.run_sync(self._adder.keep, root)

    def _write_all(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            self._adder.write(piece)

    def _note(self, event: AddEvent) -> None:
        if event.entry is not None:
            self._built.append((event.path, event.entry))


async def import_car_part(store: BlockStore, part: AddPart, keep: Callable[[Cid], None]) -> Cid:
    """Bring an uploaded CAR into the store, and keep its root; all of it or nothing.

    Args:
        store: Where blocks go.
        part: The CAR.
        keep: Told of the root, in a worker thread, before the store lists it.

    Raises:
        MalformedContentError: Not a CAR with exactly one root, or damaged.
        BlockNotFoundError: It lacks a block of its root's DAG, and the store does too.
        StoreFullError: It does not fit.
    """
    stream = io.BufferedReader(_SyncReader(part.content), _PIECE_SIZE_BYTES)
    return await trio.to_thread.run_sync(_import_car, store, stream, keep)


def _import_car(store: BlockStore, stream: BinaryIO, keep: Callable[[Cid], None]) -> Cid:
    reader = CarReader(stream)
    if len(reader.roots) != 1:
        raise MalformedContentError(
            f"a CAR with {len(reader.roots)} roots", hint="one root is pinned"
        )
    [root] = reader.roots
    with Ingest(store) as ingest:
        for block in reader:
            ingest.put(block)
        keep(root)
        ingest.pin(root)
    return root


class _SyncReader(io.RawIOBase):
    """Lets a worker thread read what arrives on the event loop."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = trio.from_thread.run(self._next)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    async def _next(self) -> bytes:
        return await anext(self._chunks, b"")

"""Turns an upload into a DAG in the block store: hashing and disk in threads, sockets outside."""

import contextlib
import io
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Self

import trio

from bftcluster.api.views import ContentKind, UploadPart
from bftcluster.blocks.formats.layout import DagEntry, Layout
from bftcluster.blocks.importer.adder import Adder, AddEvent
from bftcluster.blocks.importer.car import CarReader
from bftcluster.blocks.importer.ingest import Ingest
from bftcluster.blocks.port import BlockStore
from bftcluster.cid import Cid
from bftcluster.errors import MalformedContentError, UsageError
from bftcluster.node.process.threads import Workers
from bftcluster.shell_limits import SYMLINK_TARGET_SIZE_MAX_BYTES

_PIECE_SIZE_BYTES = 2 << 20
"""Hashed and handed on per visit to a thread: large enough that the visit costs nothing."""

Keep = Callable[[Cid], AbstractContextManager[None]]
"""Lets a root stay, unless what is done in the context fails."""


class _Waiting:
    """Chunks that wait until they are worth a visit to a thread."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._pieces: list[bytes] = []

    def is_enough_with(self, chunk: bytes) -> bool:
        """Keep ``chunk``; return whether there is enough now."""
        self._pieces.append(chunk)
        self.size_bytes += len(chunk)
        return self.size_bytes >= _PIECE_SIZE_BYTES

    def take(self) -> list[bytes]:
        """Return what waited, and begin anew."""
        pieces, self._pieces, self.size_bytes = self._pieces, [], 0
        return pieces


class Upload:
    """One upload. Leave without ``pin``, and nothing of it stays in the store."""

    _adder: Adder

    def __init__(self, store: BlockStore, layout: Layout, workers: Workers) -> None:
        self._store = store
        self._layout = layout
        self._workers = workers
        self._built: list[tuple[str, DagEntry]] | None = None
        """The directories, once they are built."""

    async def __aenter__(self) -> Self:
        self._adder = await self._workers.run(self._begin)
        return self

    async def __aexit__(self, *_: object) -> None:
        with trio.CancelScope(shield=True):
            await self._workers.run(self._adder.__exit__, None, None, None)

    async def file(self, part: UploadPart) -> AsyncGenerator[int | DagEntry, None]:
        """Take a file; yield after each piece how many bytes of it are in, then what it became."""
        self._adder.begin_file(part.path)
        size_bytes = 0
        waiting = _Waiting()
        async for chunk in part.content:
            if waiting.is_enough_with(chunk):
                size_bytes += waiting.size_bytes
                await self._workers.run(self._write_all, waiting.take())
                yield size_bytes
        await self._workers.run(self._write_all, waiting.take())
        yield await self._workers.run(self._adder.end_file)

    async def other(self, part: UploadPart) -> None:
        """Take a directory or a symbolic link.

        Raises:
            UsageError: A path comes twice, or a link's target is too long.
        """
        if part.kind is ContentKind.DIRECTORY:
            self._adder.add_directory(part.path)
            return
        target = b""
        async for chunk in part.content:
            target += chunk
            if len(target) > SYMLINK_TARGET_SIZE_MAX_BYTES:
                raise UsageError(f"the symbolic link {part.path!r} is too long")
        await self._workers.run(self._adder.add_symlink, part.path, target)

    async def build(self, *, wrap: bool) -> tuple[list[tuple[str, DagEntry]], DagEntry]:
        """Build the directories; return them, the root last, and the root.

        Raises:
            UsageError: Nothing was uploaded, or several things and no ``wrap``.
        """
        built = self._built = []
        root = await self._workers.run(lambda: self._adder.build(wrap=wrap))
        return built, root

    async def pin(self, root: DagEntry, keep: Keep) -> None:
        """Return when everything is durable and the store keeps the root.

        Args:
            root: What ``build`` returned.
            keep: Entered with the root, in a worker thread, before the store lists it.

        Raises:
            StoreFullError: It does not fit.
        """
        await self._workers.run(self._pin, root, keep)

    def _pin(self, root: DagEntry, keep: Keep) -> None:
        with keep(root.cid):
            self._adder.keep(root)

    def _begin(self) -> Adder:
        """Wait for whoever writes to the store: in a thread."""
        return Adder(
            self._store,
            layout=self._layout,
            progress=self._note,
            pause=trio.from_thread.check_cancelled,
        ).__enter__()

    def _write_all(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            self._adder.write(piece)

    def _note(self, event: AddEvent) -> None:
        if event.entry is not None and self._built is not None:
            self._built.append((event.path, event.entry))


async def import_car_part(store: BlockStore, part: UploadPart, keep: Keep, workers: Workers) -> Cid:
    """Bring an uploaded CAR into the store, and keep its root; all of it or nothing.

    Args:
        store: Where blocks go.
        part: The CAR.
        keep: Entered with the root, in a worker thread, before the store lists it.
        workers: Check and write what has arrived; they never wait for the client.

    Raises:
        MalformedContentError: Not a CAR with exactly one root, or damaged.
        BlockNotFoundError: It lacks a block of its root's DAG, and the store does too.
        StoreFullError: It does not fit.
    """
    car = await workers.run(_ArrivingCar, store)
    try:
        waiting = _Waiting()
        async for chunk in part.content:
            if waiting.is_enough_with(chunk):
                await workers.run(car.take, waiting.take())
        return await workers.run(car.finish, waiting.take(), keep)
    finally:
        with trio.CancelScope(shield=True):
            await workers.run(car.close)


class _ArrivingCar:
    """A CAR of which more and more has arrived; its blocks are stored as they are complete."""

    def __init__(self, store: BlockStore) -> None:
        self._arrived = _Arrived()
        self._reader: CarReader | None = None
        self._ingest = Ingest(store, pause=trio.from_thread.check_cancelled)

    def take(self, pieces: Sequence[bytes]) -> None:
        """Store what is complete with these pieces."""
        self._arrived.add(pieces)
        with contextlib.suppress(_TooEarlyError):
            self._store_blocks()

    def finish(self, pieces: Sequence[bytes], keep: Keep) -> Cid:
        """Store the rest, and keep the root, which is returned."""
        self._arrived.add(pieces)
        self._arrived.is_all = True
        [root] = self._store_blocks().roots
        with keep(root):
            self._ingest.pin(root)
        return root

    def close(self) -> None:
        """Drop what no root holds."""
        self._ingest.__exit__(None, None, None)

    def _store_blocks(self) -> CarReader:
        reader = self._reader = self._reader or self._read_head()
        self._arrived.advance()
        while (block := next(iter(reader), None)) is not None:
            self._ingest.put(block)
            self._arrived.advance()
        return reader

    def _read_head(self) -> CarReader:
        reader = CarReader(self._arrived)
        if len(reader.roots) != 1:
            raise MalformedContentError(
                f"a CAR with {len(reader.roots)} roots", hint="one root is pinned"
            )
        return reader


class _TooEarlyError(Exception):
    """Not all that was asked for has arrived; ask again when more has."""


class _Arrived(io.BytesIO):
    """What has arrived of a stream, read in sections: one that is not complete is read again."""

    def __init__(self) -> None:
        super().__init__()
        self.is_all = False
        self._section = 0
        """Where the section begins that is being read."""

    def add(self, pieces: Sequence[bytes]) -> None:
        """Take more, in place of the sections that were read."""
        self.seek(self._section)
        rest = self.read_now()
        self.seek(0)
        self.truncate()
        self.writelines((rest, *pieces))
        self._section = 0
        self.seek(0)

    def advance(self) -> None:
        """Let a section begin here."""
        self._section = self.tell()

    def read_now(self) -> bytes:
        """Return everything behind the position."""
        return super().read()

    def read(self, size: int | None = -1, /) -> bytes:
        """Return ``size`` bytes; fewer only at the end of the stream.

        Raises:
            _TooEarlyError: They have not arrived.
        """
        data = super().read(size)
        if not self.is_all and size is not None and len(data) < size:
            raise _TooEarlyError
        return data

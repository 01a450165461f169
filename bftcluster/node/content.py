"""Content in and out of this peer: uploads, reading, and fetching what somebody else holds."""

import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Final

import trio

from bftcluster.api.views import (
    AddEvent,
    AddFormat,
    AddOptions,
    AddPart,
    ContentKind,
    ContentView,
    PartKind,
)
from bftcluster.blocks.car import write_car
from bftcluster.blocks.dag_pb import decode_node
from bftcluster.blocks.directory_reader import kind_of, list_directory
from bftcluster.blocks.directory_reader import resolve as resolve_path
from bftcluster.blocks.exchange import Exchange
from bftcluster.blocks.fetch_report import FetchFailedError
from bftcluster.blocks.file_reader import file_size, read_file
from bftcluster.blocks.layout import Entry, Layout
from bftcluster.blocks.store import EmbeddedStore
from bftcluster.blocks.unixfs import Kind, decode_message
from bftcluster.blocks.walk import held_cids, walk
from bftcluster.cid import Cid, text, write_varint
from bftcluster.errors import BlockNotFoundError, UsageError
from bftcluster.ids import PeerId
from bftcluster.node.importing import Importer, import_car_part
from bftcluster.node.pinset import Pinset
from bftcluster.node.proposer import Proposer
from bftcluster.node.replica_loop import Clock
from bftcluster.node.threads import Threads, Workers
from bftcluster.node.uploads import ADDED_KEEP_MS, READ_KEEP_MS, Uploads
from bftcluster.node.views import pin_operation

_READ_SIZE_BYTES: Final = 2 << 20
_KINDS: Final = {
    Kind.FILE: ContentKind.FILE,
    Kind.RAW: ContentKind.FILE,
    Kind.DIRECTORY: ContentKind.DIRECTORY,
    Kind.HAMT_SHARD: ContentKind.DIRECTORY,
    Kind.SYMLINK: ContentKind.SYMLINK,
}


class Content:
    """The block store, as clients of the API use it."""

    def __init__(
        self,
        *,
        blocks: EmbeddedStore,
        exchange: Exchange,
        pinset: Pinset,
        proposer: Proposer,
        uploads: Uploads,
        clock: Clock,
        connected: Callable[[], Sequence[PeerId]],
        threads: Threads,
    ) -> None:
        self._blocks = blocks
        self._exchange = exchange
        self._pinset = pinset
        self._proposer = proposer
        self._uploads = uploads
        self._clock = clock
        self._connected = connected
        self._threads = threads

    async def add(
        self, parts: AsyncIterator[AddPart], options: AddOptions
    ) -> AsyncGenerator[AddEvent, None]:
        """Import an upload, then propose its pin unless ``no_pin``; the last event is the root."""
        if not options.no_pin:
            self._proposer.check()
        if options.format is AddFormat.CAR:
            root = await self._import_car(parts)
        else:
            async with aclosing(self._import(parts, options)) as events:
                root = await anext(events)
                async for event in events:
                    yield root
                    root = event
        assert root.cid is not None, "the last event names the root"
        if options.no_pin:
            yield root
            return
        proposed = await self._proposer.propose(pin_operation(root.cid, options.pin))
        record = await self._pinset.pin(root.cid)
        yield AddEvent(
            name=root.name,
            cid=root.cid,
            size_bytes=root.size_bytes,
            allocations=() if record is None else record.allocations,
            proposal=None if proposed.committed else proposed.digest,
        )

    async def resolve(self, cid: Cid, path: Sequence[str]) -> Cid:
        """Return what ``path`` below ``cid`` is."""
        try:
            return await self._threads.reading.run(resolve_path, self._blocks, cid, "/".join(path))
        except BlockNotFoundError:
            await self._fetch(cid)
        return await self._threads.reading.run(resolve_path, self._blocks, cid, "/".join(path))

    async def open(self, cid: Cid) -> ContentView:
        """Open a file, directory or symlink; fetch it first if it is not all here."""
        await self._make_present(cid)
        return await self._threads.reading.run(self._view, cid, "")

    async def walk(self, cid: Cid) -> AsyncGenerator[ContentView, None]:
        """Yield ``cid`` and everything below it, parents first, names sorted."""
        await self._make_present(cid)
        stack = [(cid, "")]
        while stack:
            here, path = stack.pop()
            view = await self._threads.reading.run(self._view, here, path)
            yield view
            if view.kind is ContentKind.DIRECTORY:
                stack += await self._threads.reading.run(self._entries, here, path)

    async def car(self, cid: Cid) -> AsyncGenerator[bytes, None]:
        """Yield a CARv1 of the DAG below ``cid``, parents first."""
        await self._make_present(cid)
        async for piece in _in_pieces(_car_pieces(self._blocks, cid), self._threads.reading):
            yield piece

    async def collect_garbage(self) -> list[Cid]:
        """Delete blocks that neither a pin nor a recent upload keeps; return the roots given up."""
        given_up = []
        roots = await self._threads.uploads.run(self._blocks.roots)
        for root in roots:
            kept = self._uploads.is_kept(root.cid, wall_ms=self._clock.wall_ms())
            if not kept and await self._pinset.pin(root.cid) is None:
                await self._threads.uploads.run(self._blocks.unpin_root, root.cid)
                given_up.append(root.cid)
        await self._threads.uploads.run(self._blocks.collect_garbage)
        return given_up

    async def _import(
        self, parts: AsyncIterator[AddPart], options: AddOptions
    ) -> AsyncGenerator[AddEvent, None]:
        layout = Layout(
            chunk_size_bytes=options.chunk_size_bytes,
            cid_version=options.cid_version,
            raw_leaves=options.raw_leaves,
        )
        async with Importer(self._blocks, layout, self._threads.uploads) as importer:
            async for part in parts:
                if part.kind is not PartKind.FILE:
                    await importer.other(part)
                    continue
                async with aclosing(importer.file(part)) as steps:
                    async for step in steps:
                        if isinstance(step, Entry):
                            yield AddEvent(name=part.path, cid=step.cid, size_bytes=step.tsize)
                        elif options.progress:
                            yield AddEvent(name=part.path, progress_bytes=step)
            directories, root = await importer.build(wrap=options.wrap_with_directory)
            # Before the store lists it: else the tracker could drop a root that nobody pins yet.
            await self._threads.uploads.run(self._keep_upload, root.cid)
            await importer.pin(root)
            for path, entry in directories:
                yield AddEvent(name=path, cid=entry.cid, size_bytes=entry.tsize)
            assert not directories or directories[-1][1] == root, "the root is built last"

    async def _import_car(self, parts: AsyncIterator[AddPart]) -> AddEvent:
        async for part in parts:
            root = await import_car_part(
                self._blocks, part, self._keep_upload, self._threads.uploads
            )
            return AddEvent(name=part.path, cid=root)
        raise UsageError("nothing was uploaded", hint="send one CAR")

    async def _make_present(self, cid: Cid) -> None:
        root = await self._threads.reading.run(self._blocks.find_root, cid)
        if root is not None and root.complete:
            return
        if not await self._threads.reading.run(self._is_all_here, cid):
            await self._fetch(cid)

    def _is_all_here(self, cid: Cid) -> bool:
        try:
            for _ in held_cids(self._blocks, cid):
                trio.from_thread.check_cancelled()
        except BlockNotFoundError:
            return False
        return True

    async def _fetch(self, cid: Cid) -> None:
        """Bring a DAG here for its reader; it stays for a while, and no longer."""
        record = await self._pinset.pin(cid)
        holders = set() if record is None else set(record.holders)
        providers = sorted(self._connected(), key=lambda peer: peer not in holders)
        await self._threads.reading.run(self._keep, cid, READ_KEEP_MS)
        try:
            await self._exchange.fetch_dag(cid, providers)
        except FetchFailedError as exc:
            if providers and all(provider.fault is None for provider in exc.providers):
                raise BlockNotFoundError(f"nobody has all of {text(cid)}", hint=exc.hint) from exc
            raise

    def _keep_upload(self, cid: Cid) -> None:
        """Let what was added here wait for its maintainers; blocks."""
        self._keep(cid, ADDED_KEEP_MS)

    def _keep(self, cid: Cid, lifetime_ms: int) -> None:
        wall_ms = self._clock.wall_ms()
        self._uploads.keep(cid, until_ms=wall_ms + lifetime_ms, wall_ms=wall_ms)

    def _view(self, cid: Cid, path: str) -> ContentView:
        kind = _KINDS.get(kind_of(self._blocks, cid))
        if kind is None:
            raise UsageError(f"{text(cid)} is neither a file nor a directory")
        size_bytes = 0
        pieces: Iterator[bytes] = iter(())
        if kind is ContentKind.FILE:
            size_bytes = file_size(self._blocks, cid)
            pieces = read_file(self._blocks, cid)
        elif kind is ContentKind.SYMLINK:
            pieces = iter([decode_message(decode_node(self._blocks.get(cid))).data])
        return ContentView(
            cid=cid,
            kind=kind,
            path=path,
            size_bytes=size_bytes,
            content=_in_pieces(pieces, self._threads.reading),
        )

    def _entries(self, cid: Cid, path: str) -> list[tuple[Cid, str]]:
        links = sorted(list_directory(self._blocks, cid), key=lambda link: link.name, reverse=True)
        return [(link.cid, f"{path}/{link.name}" if path else link.name) for link in links]


async def _in_pieces(chunks: Iterator[bytes], reading: Workers) -> AsyncGenerator[bytes, None]:
    """Yield what a blocking iterator makes, a couple of MiB per visit to a thread."""
    while piece := await reading.run(_take, chunks):
        yield piece


def _take(chunks: Iterator[bytes]) -> bytes:
    taken, size = [], 0
    for chunk in chunks:
        trio.from_thread.check_cancelled()
        taken.append(chunk)
        size += len(chunk)
        if size >= _READ_SIZE_BYTES:
            break
    return taken[0] if len(taken) == 1 else b"".join(taken)


def _car_pieces(blocks: EmbeddedStore, root: Cid) -> Iterator[bytes]:
    out = io.BytesIO()
    write_car((root,), (), out)
    yield out.getvalue()
    for block in walk(blocks, root):
        yield write_varint(len(block.cid) + len(block.data)) + block.cid + block.data

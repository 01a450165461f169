"""Content into this peer: what clients upload, and propose to pin."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass

from bftcluster.api.views import ContentKind, UploadEvent, UploadFormat, UploadOptions, UploadPart
from bftcluster.blocks.formats.layout import DagEntry, Layout
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.cid import Cid
from bftcluster.errors import UsageError
from bftcluster.node.ingress.delegated_proposals import DelegatedProposer
from bftcluster.node.ports import Clock
from bftcluster.node.process.temporary_roots import ADDED_KEEP_MS, TemporaryRoots
from bftcluster.node.process.threads import Workers
from bftcluster.node.reads import LedgerReads
from bftcluster.node.service.uploads import Upload, import_car_part


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Fills the block store. Implements the API's port of uploads."""

    blocks: EmbeddedStore
    reads: LedgerReads
    proposer: DelegatedProposer
    temporary_roots: TemporaryRoots
    clock: Clock
    workers: Workers

    async def add(
        self, parts: AsyncIterator[UploadPart], options: UploadOptions
    ) -> AsyncGenerator[UploadEvent, None]:
        """Import an upload, then propose its pin unless ``no_pin``; the last event is the root."""
        if not options.no_pin:
            self.proposer.check()
        if options.format is UploadFormat.CAR:
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
        proposed = await self.proposer.propose(options.pin.operation(root.cid))
        record = await self.reads.pin(root.cid)
        yield UploadEvent(
            name=root.name,
            cid=root.cid,
            size_bytes=root.size_bytes,
            allocations=() if record is None else record.allocations,
            proposal=None if proposed.committed else proposed.digest,
        )

    async def _import(
        self, parts: AsyncIterator[UploadPart], options: UploadOptions
    ) -> AsyncGenerator[UploadEvent, None]:
        layout = Layout(
            chunk_size_bytes=options.chunk_size_bytes,
            cid_version=options.cid_version,
            raw_leaves=options.raw_leaves,
        )
        async with Upload(self.blocks, layout, self.workers) as upload:
            async for part in parts:
                if part.kind is not ContentKind.FILE:
                    await upload.other(part)
                    continue
                async with aclosing(upload.file(part)) as steps:
                    async for step in steps:
                        if isinstance(step, DagEntry):
                            yield UploadEvent(name=part.path, cid=step.cid, size_bytes=step.tsize)
                        elif options.progress:
                            yield UploadEvent(name=part.path, progress_bytes=step)
            directories, root = await upload.build(wrap=options.wrap_with_directory)
            await upload.pin(root, self._keep_upload)
            for path, entry in directories:
                yield UploadEvent(name=path, cid=entry.cid, size_bytes=entry.tsize)
            assert not directories or directories[-1][1] == root, "the root is built last"

    async def _import_car(self, parts: AsyncIterator[UploadPart]) -> UploadEvent:
        async for part in parts:
            root = await import_car_part(self.blocks, part, self._keep_upload, self.workers)
            return UploadEvent(name=part.path, cid=root)
        raise UsageError("nothing was uploaded", hint="send one CAR")

    def _keep_upload(self, cid: Cid) -> AbstractContextManager[None]:
        """Let what was added here wait for its maintainers; blocks.

        It begins before the store lists the root: else the tracker could drop a root that nobody
        pins yet.
        """
        wall_ms = self.clock.wall_ms()
        until_ms = wall_ms + ADDED_KEEP_MS
        return self.temporary_roots.keeping(cid, until_ms=until_ms, wall_ms=wall_ms)

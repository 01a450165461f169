"""Files and directories in memory, named by what is in them."""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from bftcluster import cid as cids
from bftcluster.api.views import ContentKind, ContentView, UploadEvent, UploadPart
from bftcluster.cid import Cid
from bftcluster.errors import BlockNotFoundError, StoreFullError
from bftcluster.ids import Seq
from bftcluster.ledger.state.loans.invitations import InviteRecord
from tests.unit.ledger.invitees import invitation
from tests.unit.ledger.world import PEERS, peer_id

Directory = dict[str, Cid]
Tree = dict[str, "Cid | Tree"]


@dataclass
class MemoryContent:
    """What one peer stores."""

    quota_bytes: int = 1 << 40
    content_of: dict[Cid, bytes | Directory] = field(default_factory=dict)
    symlinks: set[Cid] = field(default_factory=set)
    torn: set[Cid] = field(default_factory=set)
    """Files whose second half nobody has."""
    added_parts: list[tuple[ContentKind, str, int]] = field(default_factory=list)

    async def invites(self) -> Sequence[InviteRecord]:
        came = (peer_id(PEERS[3]),)
        return [InviteRecord(invite=invitation(uses=3), seq=Seq(1), came=came)]

    async def resolve(self, cid: Cid, path: Sequence[str]) -> Cid:
        for name in path:
            directory = self._entry(cid)
            if not isinstance(directory, dict) or name not in directory:
                raise BlockNotFoundError(f"no {name!r} below {cids.text(cid)}")
            cid = directory[name]
        return cid

    async def open(self, cid: Cid) -> ContentView:
        return self._content_view(cid, "")

    async def walk(self, cid: Cid) -> AsyncGenerator[ContentView, None]:
        waiting = [("", cid)]
        while waiting:
            path, current = waiting.pop()
            yield self._content_view(current, path)
            entry = self._entry(current)
            if isinstance(entry, dict):
                waiting += [
                    (f"{path}/{name}".lstrip("/"), child)
                    for name, child in sorted(entry.items(), reverse=True)
                ]

    async def car(self, cid: Cid) -> AsyncGenerator[bytes, None]:
        self._entry(cid)
        yield b"car of "
        yield cids.text(cid).encode()

    async def import_part(
        self, part: UploadPart, tree: "Tree", *, progress: bool
    ) -> AsyncGenerator[UploadEvent, None]:
        """Keep one part; a file over a megabyte is hashed but not kept."""
        data, digest, size = bytearray(), hashlib.sha256(), 0
        async for chunk in part.content:
            size += len(chunk)
            if size > self.quota_bytes:
                raise StoreFullError("the quota is used up")
            digest.update(chunk)
            data += chunk if size < 1 << 20 else b""
            if progress:
                yield UploadEvent(name=part.path, progress_bytes=size)
        self.added_parts.append((part.kind, part.path, size))
        *above, name = part.path.split("/")
        for directory in above:
            child = tree.setdefault(directory, {})
            assert isinstance(child, dict), "a file is no directory"
            tree = child
        if part.kind is ContentKind.DIRECTORY:
            tree.setdefault(name, {})
            return
        cid = cids.from_bytes(b"\x01\x55\x12\x20" + digest.digest())
        self.content_of[cid] = bytes(data)
        tree[name] = cid
        yield UploadEvent(name=part.path, cid=cid, size_bytes=size)

    def store_tree(self, path: str, tree: "Tree") -> list[UploadEvent]:
        """Return an event for each directory, children first, the root last."""
        events: list[UploadEvent] = []
        entries: Directory = {}
        for name, child in sorted(tree.items()):
            if isinstance(child, dict):
                events += self.store_tree(f"{path}/{name}".lstrip("/"), child)
                assert events[-1].cid is not None, "a directory has a CID"
                entries[name] = events[-1].cid
            else:
                entries[name] = child
        listing = repr(sorted(entries.items())).encode()
        cid = cids.of_block(listing, codec=cids.DAG_PB)
        self.content_of[cid] = entries
        return [*events, UploadEvent(name=path, cid=cid, size_bytes=len(listing))]

    def _entry(self, cid: Cid) -> bytes | Directory:
        if cid not in self.content_of:
            raise BlockNotFoundError(f"{cids.text(cid)} is not to be had")
        return self.content_of[cid]

    def _content_view(self, cid: Cid, path: str) -> ContentView:
        entry = self._entry(cid)
        kind = ContentKind.DIRECTORY if isinstance(entry, dict) else ContentKind.FILE
        kind = ContentKind.SYMLINK if cid in self.symlinks else kind
        data = b"" if isinstance(entry, dict) else entry
        return ContentView(
            cid=cid,
            kind=kind,
            path=path,
            size_bytes=len(data) if kind is ContentKind.FILE else 0,
            content=self._halves(cid, data),
        )

    async def _halves(self, cid: Cid, data: bytes) -> AsyncGenerator[bytes, None]:
        middle = len(data) // 2
        if data[:middle]:
            yield data[:middle]
        if cid in self.torn:
            raise BlockNotFoundError("the second half is not to be had")
        if data[middle:]:
            yield data[middle:]

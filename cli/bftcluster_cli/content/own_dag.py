"""The CID of what is uploaded, computed here from the very bytes that are sent.

A maintainer signs the CID that this machine computed. A peer that answers with another one could
otherwise have them sign for content they have never seen.
"""

from typing import TYPE_CHECKING

from bftcluster.api.views import ContentKind
from bftcluster.limits import PIN_BLOCKS_MAX
from bftcluster_cli.content.uploads import UploadEntry

if TYPE_CHECKING:
    from bftcluster.blocks.formats.block import Block
    from bftcluster.blocks.formats.layout import DagEntry as Built
    from bftcluster.blocks.formats.layout import Layout
    from bftcluster.blocks.importer.file_builder import FileBuilder
    from bftcluster.cid import Cid
    from bftcluster.ledger.wire.block_tree import PinContents

    _Tree = dict[str, "_Tree | Built"]


class OwnDag:
    """Follows an upload, keeping no block: only what parents need to know of their children."""

    def __init__(self, layout: "Layout") -> None:
        self._layout = layout
        self._top: _Tree = {}
        self._open: tuple[UploadEntry, FileBuilder] | None = None
        self._blocks = _BlockNotes()

    def begin(self, entry: UploadEntry) -> None:
        """Take the next entry; its bytes follow."""
        from bftcluster.blocks.importer.file_builder import FileBuilder

        self._close()
        if entry.kind is ContentKind.DIRECTORY:
            self._directory(entry.name.split("/"))
        else:
            self._open = entry, FileBuilder(self._blocks.note, self._layout)

    def write(self, data: bytes) -> None:
        """Take bytes of the file, or the target of the symlink, that was begun last."""
        assert self._open is not None, "a file or symlink was begun"
        entry, builder = self._open
        if entry.kind is ContentKind.SYMLINK:
            self._place(entry, self._symlink(data))
            self._open = None
        else:
            builder.write(data)

    def root(self, *, is_wrapped: bool) -> "Cid":
        """Return the CID of everything, in a directory around it if that was asked for."""
        self._close()
        if is_wrapped:
            return self._build(self._top).cid
        [(_, node)] = self._top.items()
        return self._build(node).cid

    def contents(self, root: "Cid") -> "PinContents | None":
        """Return what a pin of ``root`` is to name; None if that is too much."""
        return self._blocks.contents(root)

    def _close(self) -> None:
        if self._open is not None:
            entry, builder = self._open
            self._place(entry, builder.finish())
            self._open = None

    def _symlink(self, target: bytes) -> "Built":
        from bftcluster.blocks.importer.file_builder import build_symlink

        return build_symlink(target, self._blocks.note, self._layout)

    def _place(self, entry: UploadEntry, built: "Built") -> None:
        *parents, name = entry.name.split("/")
        self._directory(parents)[name] = built

    def _directory(self, names: list[str]) -> "_Tree":
        node = self._top
        for name in names:
            below = node.setdefault(name, {})
            assert isinstance(below, dict), "paths come from a file system"
            node = below
        return node

    def _build(self, node: "_Tree | Built") -> "Built":
        """Build directories after what is in them; as deep as the file system was."""
        from bftcluster.blocks.importer.directory import build_directory

        if not isinstance(node, dict):
            return node
        entries = {name: self._build(below) for name, below in node.items()}
        return build_directory(entries, self._blocks.note, self._layout)


class _BlockNotes:
    """Sizes and links of the blocks that were built: what a walk over them needs, and no bytes."""

    def __init__(self) -> None:
        self._sizes: dict[Cid, int] = {}
        self._links: dict[Cid, tuple[Cid, ...]] = {}
        self._are_too_many = False

    def note(self, block: "Block") -> None:
        """Take the next block, of children before that of their parent."""
        from bftcluster.blocks.dag.walk import linked
        from bftcluster.blocks.formats.links import may_link

        if self._are_too_many:
            return
        self._sizes[block.cid] = len(block.data)
        if may_link(block.cid) and (links := tuple(linked(block.cid, block.data))):
            self._links[block.cid] = links
        if len(self._sizes) > PIN_BLOCKS_MAX:
            self._are_too_many = True
            self._sizes, self._links = {}, {}

    def contents(self, root: "Cid") -> "PinContents | None":
        """Return what is behind ``root``; None if it is too much to be named."""
        from bftcluster.blocks.dag.walk import in_order
        from bftcluster.ledger.wire.block_tree import PinContents, root_of

        if self._are_too_many:
            return None
        found = list(in_order(root, lambda cid: (self._sizes[cid], self._links.get(cid, ()))))
        if not found:
            return None  # The whole content is in the CID.
        return PinContents(
            size_bytes=sum(size for _, size in found),
            blocks=len(found),
            root=root_of(cid for cid, _ in found),
        )

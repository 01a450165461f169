"""A tree of files, directories and symbolic links: the one walk behind a tar and `get`.

A few blocks can describe a tree without end: directories that hold a smaller one twice, forty
levels deep. So the walk first looks at each directory once and counts what a whole tree would
have, in numbers of any size; what cannot be walked, or holds a name or link that leads elsewhere,
is refused before the first entry comes out.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Final

from bftcluster.blocks.dag.directory_reader import list_directory
from bftcluster.blocks.dag.file_reader import size_of
from bftcluster.blocks.dag.walk_budget import WalkBudget
from bftcluster.blocks.formats.dag_pb import DagLink, decode_node
from bftcluster.blocks.formats.entry_names import climbs_of
from bftcluster.blocks.formats.unixfs import UnixFsKind, decode_message
from bftcluster.blocks.port import BlockSource
from bftcluster.cid import DAG_PB, RAW, Cid, codec_of, text
from bftcluster.errors import MalformedContentError
from bftcluster.shell_limits import (
    DIRECTORY_DEPTH_MAX,
    TREE_DIRECTORIES_MAX,
    TREE_ENTRIES_BASE,
    TREE_REPEATS_MAX,
)

_FILES_REMEMBERED: Final = 4096
_DIRECTORIES: Final = (UnixFsKind.DIRECTORY, UnixFsKind.HAMT_SHARD)
_FILES: Final = (UnixFsKind.FILE, UnixFsKind.RAW)
"""A survey does not earn by what they hold, so it does not pay for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """A file, directory or symbolic link, where it stands in the tree."""

    cid: Cid
    kind: UnixFsKind
    name: str = ""
    """In its directory; empty at the root."""
    path: str = ""
    """Below the root; empty at the root."""
    depth: int = 0
    size_bytes: int = 0
    """Of a file's bytes, as it claims."""
    target: bytes = b""
    """Of a symbolic link."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What there is at and below one node."""

    entries: int = 1
    content_bytes: int = 0
    """Of files as they claim; nothing of files of one raw block, unless they were read."""
    levels: int = 0
    """Of directories."""
    climbs: int = 0
    """Directories above the one that this stands in, to which a link leads."""


class Tree:
    """A tree that can be walked, once it was looked at."""

    def __init__(self, source: BlockSource, root: Cid, *, reads_leaves: bool = False) -> None:
        """Prepare; nothing is read.

        Args:
            source: Where blocks are read.
            root: The root.
            reads_leaves: Whether files of one raw block count with their bytes.
        """
        self._source = source
        self._root = root
        self._survey = _Survey(source, root, reads_leaves=reads_leaves)
        self.budget = WalkBudget()
        """For reading the files, too."""

    @property
    def extent(self) -> Extent:
        """What there is in it."""
        assert self._survey.extent is not None, "it was looked at"
        return self._survey.extent

    def look(self) -> Iterator[None]:
        """Look at every directory, once; pause after each entry. Blocking.

        Raises:
            UsageError: Not UnixFS.
            MalformedContentError: A name or link that leads elsewhere, a broken DAG, or a tree
                that is out of all proportion to its blocks.
            BlockNotFoundError: A block is not in ``source``.
        """
        return self._survey.run()

    def __iter__(self) -> Iterator[TreeEntry]:
        """Yield the entries, parents first, in the DAG's order. Blocking.

        Raises:
            MalformedContentError: The budget is used up.
            BlockNotFoundError: A block is not in ``source``.
        """
        assert self._survey.extent is not None, "it was looked at"
        root = self._entry(self._root, "", "", 0)
        yield root
        open_directories = [self._list(root)]
        while open_directories:
            parent, links = open_directories[-1]
            link = next(links, None)
            if link is None:
                open_directories.pop()
                continue
            path = f"{parent.path}/{link.name}" if parent.path else link.name
            entry = self._entry(link.cid, link.name, path, len(open_directories))
            self.budget.earn_entry()
            yield entry
            if entry.kind in _DIRECTORIES:
                open_directories.append(self._list(entry))

    def _list(self, entry: TreeEntry) -> tuple[TreeEntry, Iterator[DagLink]]:
        if entry.kind in _DIRECTORIES:
            return entry, list_directory(self._source, entry.cid, self.budget)
        return entry, iter(())

    def _entry(self, cid: Cid, name: str, path: str, depth: int) -> TreeEntry:
        block = self._source.get(cid)
        self.budget.spend(block)
        kind, size_bytes, target = _open(cid, block)
        return TreeEntry(
            cid=cid,
            kind=kind,
            name=name,
            path=path,
            depth=depth,
            size_bytes=size_bytes,
            target=target,
        )


def tree_of(source: BlockSource, root: Cid, *, reads_leaves: bool = False) -> Tree:
    """Return a tree that was looked at; raises as ``Tree.look`` does. Blocking."""
    tree = Tree(source, root, reads_leaves=reads_leaves)
    for _ in tree.look():
        pass
    return tree


def open_entry(source: BlockSource, cid: Cid) -> TreeEntry:
    """Return what ``cid`` is by itself, without looking at what is below it.

    Raises:
        UsageError: Not UnixFS.
        MalformedContentError: Not what its codec says, or metadata.
        BlockNotFoundError: It is not in ``source``.
    """
    kind, size_bytes, target = _open(cid, source.get(cid))
    return TreeEntry(cid=cid, kind=kind, size_bytes=size_bytes, target=target)


@dataclass(slots=True)
class _Open:
    """A directory whose entries are being counted."""

    cid: Cid
    links: Iterator[DagLink]
    extent: Extent = field(default_factory=Extent)

    def add(self, below: Extent, *, is_directory: bool) -> None:
        mine = self.extent
        climbs = below.climbs - 1 if is_directory else below.climbs
        self.extent = Extent(
            entries=mine.entries + below.entries,
            content_bytes=mine.content_bytes + below.content_bytes,
            levels=max(mine.levels, below.levels + is_directory),
            climbs=max(mine.climbs, climbs),
        )


class _Survey:
    """Counts a tree, reading each directory once."""

    def __init__(self, source: BlockSource, root: Cid, *, reads_leaves: bool) -> None:
        self._source = source
        self._root = root
        self._reads_leaves = reads_leaves
        self._budget = WalkBudget()
        self._links = 0
        """Of different directories."""
        self._directories: dict[Cid, Extent] = {}
        self._others: dict[Cid, Extent] = {}
        self.extent: Extent | None = None

    def run(self) -> Iterator[None]:
        extent = yield from self._extent_of(self._root)
        if extent.climbs:
            raise MalformedContentError(f"{text(self._root)} holds symbolic links to the outside")
        if extent.entries > TREE_ENTRIES_BASE + TREE_REPEATS_MAX * self._links:
            raise MalformedContentError(
                f"{text(self._root)} describes a tree of {extent.entries:,} entries"
                f" with {self._links:,} links",
                hint="it was made to keep its readers busy, or fill their disks",
            )
        self.extent = extent

    def _extent_of(self, root: Cid) -> Generator[None, None, Extent]:
        below = self._look(root)
        if below is not None:
            return below
        stack = [self._begin(root)]
        while True:
            yield
            directory = stack[-1]
            link = next(directory.links, None)
            if link is None:
                stack.pop()
                self._directories[directory.cid] = directory.extent
                if not stack:
                    return directory.extent
                stack[-1].add(directory.extent, is_directory=True)
                continue
            self._links += 1
            self._budget.earn_entry()
            below = self._look(link.cid)
            if below is not None:
                is_directory = link.cid in self._directories
                directory.add(below, is_directory=is_directory)
            else:
                stack.append(self._begin(link.cid))
            if len(stack) + directory.extent.levels > DIRECTORY_DEPTH_MAX:
                raise MalformedContentError(f"directories deeper than {DIRECTORY_DEPTH_MAX}")

    def _begin(self, cid: Cid) -> _Open:
        if len(self._directories) >= TREE_DIRECTORIES_MAX:
            raise MalformedContentError(f"more than {TREE_DIRECTORIES_MAX:,} directories")
        return _Open(cid, list_directory(self._source, cid, self._budget))

    def _look(self, cid: Cid) -> Extent | None:
        """Return what is at and below ``cid``; None if it is a directory not seen before."""
        known = self._directories.get(cid) or self._others.get(cid)
        if known is not None:
            return known
        if codec_of(cid) == RAW and not self._reads_leaves:
            return Extent()
        block = self._source.get(cid)
        kind, size_bytes, target = _open(cid, block)
        if kind not in _FILES:
            self._budget.spend(block)
        if kind in _DIRECTORIES:
            return None
        climbs = climbs_of(cid, target) if kind is UnixFsKind.SYMLINK else 0
        if len(self._others) == _FILES_REMEMBERED:
            self._others.clear()
        self._others[cid] = found = Extent(content_bytes=size_bytes, climbs=climbs)
        return found


def _open(cid: Cid, block: bytes) -> tuple[UnixFsKind, int, bytes]:
    """Return the kind of a node, the size of a file, and the target of a symbolic link."""
    if codec_of(cid) != DAG_PB:
        return UnixFsKind.FILE, size_of(cid, block), b""
    message = decode_message(decode_node(block))
    match message.kind:
        case UnixFsKind.FILE | UnixFsKind.RAW:
            return message.kind, size_of(cid, block), b""
        case UnixFsKind.SYMLINK:
            return message.kind, 0, message.data
        case UnixFsKind.DIRECTORY | UnixFsKind.HAMT_SHARD:
            return message.kind, 0, b""
        case UnixFsKind.METADATA:
            raise MalformedContentError(f"{text(cid)} is of the kind metadata")

"""Files, directories and links, given in any order by their path, become one DAG in a store."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Self

from bftcluster.blocks.formats.entry_names import check_name
from bftcluster.blocks.formats.layout import DagEntry, Layout
from bftcluster.blocks.importer.directory import build_directory
from bftcluster.blocks.importer.file_builder import FileBuilder, build_symlink
from bftcluster.blocks.importer.ingest import Ingest
from bftcluster.blocks.port import BlockStore, no_pause
from bftcluster.errors import UsageError
from bftcluster.shell_limits import (
    ADD_MEMORY_MAX_BYTES,
    DIRECTORY_DEPTH_MAX,
    SYMLINK_TARGET_SIZE_MAX_BYTES,
)

_ENTRY_SIZE_BYTES: Final = 400
"""What an entry takes beside its name; a directory has its whole path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddEvent:
    """How far an `add` is."""

    path: str
    """Below the root, with slashes; empty for the root itself."""
    bytes_read: int
    """Content read so far, over all files."""
    entry: DagEntry | None
    """What the path became, once it is built; directories come last, the root at the end."""


@dataclass(slots=True)
class _Directory:
    entries: "dict[str, DagEntry | _Directory]" = field(default_factory=dict)


class Adder:
    """Builds while it is fed. Nothing stays in the store unless ``finish`` returns.

    Blocking, and for one thread at a time; use it in a ``with`` statement.
    """

    def __init__(
        self,
        store: BlockStore,
        *,
        layout: Layout | None = None,
        progress: Callable[[AddEvent], None] | None = None,
        pause: Callable[[], None] = no_pause,
    ) -> None:
        """Prepare; ``pause`` is called now and then by ``keep``, which ends with what it raises."""
        self._layout = layout or Layout()
        self._progress = progress
        self._ingest = Ingest(store, pause=pause)
        self._root = _Directory()
        self._file: tuple[str, FileBuilder] | None = None
        self._bytes_read = 0
        self._memory_bytes = 0

    def __enter__(self) -> Self:
        self._ingest.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ingest.__exit__(*exc)

    def begin_file(self, path: str) -> None:
        """Start a file; ``write`` and ``end_file`` follow before anything else does.

        Raises:
            UsageError: The path cannot stand in a directory, or is taken; or there are too many.
        """
        assert self._file is None, "one file at a time"
        self._place(path)
        self._file = path, FileBuilder(self._ingest.put, self._layout)

    def write(self, data: bytes) -> None:
        """Take the next bytes of the file.

        Raises:
            StoreFullError: What came before did not fit.
        """
        assert self._file is not None, "bytes belong to a file"
        path, builder = self._file
        builder.write(data)
        self._bytes_read += len(data)
        self._tell(path, None)

    def end_file(self) -> DagEntry:
        """Finish the file and return what it became."""
        assert self._file is not None, "a file was begun"
        path, builder = self._file
        self._file = None
        return self._set(path, builder.finish())

    def add_file(self, path: str, chunks: Iterable[bytes]) -> DagEntry:
        """Add a whole file; raises as ``begin_file`` and ``write`` do."""
        self.begin_file(path)
        for chunk in chunks:
            self.write(chunk)
        return self.end_file()

    def add_symlink(self, path: str, target: bytes) -> DagEntry:
        """Add a symbolic link, which is kept as it is and not followed.

        Raises:
            UsageError: As ``begin_file``, or the target is empty or too long.
        """
        if not 1 <= len(target) <= SYMLINK_TARGET_SIZE_MAX_BYTES:
            raise UsageError(f"{path!r} is a symbolic link to {len(target)} bytes")
        self._place(path)
        return self._set(path, build_symlink(target, self._ingest.put, self._layout))

    def add_directory(self, path: str) -> None:
        """Add a directory that may stay empty; one that is there already is no error.

        Raises:
            UsageError: The path cannot stand in a directory, or is a file.
        """
        self._directory(_segments(path))

    def finish(self, *, wrap: bool = False) -> DagEntry:
        """Build the directories, make everything durable, keep the root and return it.

        Raises:
            UsageError: As ``build``.
            StoreFullError: As ``keep``.
        """
        root = self.build(wrap=wrap)
        self.keep(root)
        return root

    def keep(self, root: DagEntry) -> None:
        """Make everything durable and keep what ``build`` returned.

        Raises:
            StoreFullError: It does not fit.
        """
        self._ingest.pin(root.cid)

    def build(self, *, wrap: bool = False) -> DagEntry:
        """Build the directories and return the root, which nothing keeps yet.

        Args:
            wrap: Whether the root is a directory around what was added. Otherwise the one thing
                at the top is the root.

        Raises:
            UsageError: Nothing was added, or several things and no ``wrap``.
        """
        assert self._file is None, "the last file has ended"
        if wrap:
            root = self._build(self._root, "")
        else:
            if len(self._root.entries) != 1:
                raise UsageError(
                    f"{len(self._root.entries)} things to add, not one",
                    hint="wrap them in a directory" if self._root.entries else "",
                )
            name, top = next(iter(self._root.entries.items()))
            root = self._build(top, name) if isinstance(top, _Directory) else top
        return root

    def _build(self, directory: _Directory, path: str) -> DagEntry:
        built = {
            name: self._build(entry, f"{path}/{name}" if path else name)
            if isinstance(entry, _Directory)
            else entry
            for name, entry in directory.entries.items()
        }
        entry = build_directory(built, self._ingest.put, self._layout)
        self._tell(path, entry)
        return entry

    def _place(self, path: str) -> None:
        """Check that something new may be put at ``path``."""
        *parents, name = _segments(path) or [""]
        check_name(name)
        if name in self._directory(parents).entries:
            raise UsageError(f"{path!r} comes twice")
        self._remember(len(name))

    def _remember(self, chars: int) -> None:
        """Take memory for an entry with a text; all are kept until the directories are built."""
        self._memory_bytes += _ENTRY_SIZE_BYTES + chars
        if self._memory_bytes > ADD_MEMORY_MAX_BYTES:
            raise UsageError(
                "more files and directories than can be added at once",
                hint="add them in parts, or as a CAR",
            )

    def _set(self, path: str, entry: DagEntry) -> DagEntry:
        *parents, name = _segments(path)
        self._directory(parents).entries[name] = entry
        self._tell(path, entry)
        return entry

    def _directory(self, segments: list[str]) -> _Directory:
        if len(segments) > DIRECTORY_DEPTH_MAX:
            raise UsageError(f"directories deeper than {DIRECTORY_DEPTH_MAX}")
        directory, path_chars = self._root, 0
        for segment in segments:
            path_chars += len(segment) + 1
            if segment not in directory.entries:
                check_name(segment)
                self._remember(path_chars)
            below = directory.entries.setdefault(segment, _Directory())
            if not isinstance(below, _Directory):
                raise UsageError(f"{segment!r} is a file and a directory")
            directory = below
        return directory

    def _tell(self, path: str, entry: DagEntry | None) -> None:
        if self._progress is not None:
            self._progress(AddEvent(path=path, bytes_read=self._bytes_read, entry=entry))


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]

"""What the demonstration pins, and whether it comes back the same."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PIECE_SIZE_BYTES: Final = 1 << 20
_LARGE_FILE_SIZE_BYTES: Final = 1_500_000
_PAGES: Final = 20


def make_sample(directory: Path) -> None:
    """Make a small archive: nested directories, text, an empty file, and one of several blocks."""
    (directory / "letters" / "1889").mkdir(parents=True)
    (directory / "scans").mkdir()
    (directory / "README.txt").write_text("An archive that should be here in twenty years.\n")
    (directory / "empty").touch()
    for page in range(_PAGES):
        text = f"Page {page + 1}.\n" + "Dear friend, nothing is lost that many keep.\n" * (page + 1)
        (directory / "letters" / "1889" / f"page {page + 1:02}.txt").write_text(text)
    (directory / "letters" / "grüße.txt").write_text("Grüße aus dem Archiv.\n")
    (directory / "scans" / "map.raw").write_bytes(os.urandom(_LARGE_FILE_SIZE_BYTES))


def make_second_sample(directory: Path) -> None:
    """Make what is pinned while a peer is dead."""
    directory.mkdir(parents=True)
    (directory / "diary.txt").write_text("Written while one of us was away.\n" * 100)
    (directory / "photo.raw").write_bytes(os.urandom(_LARGE_FILE_SIZE_BYTES // 3))


def measure(directory: Path) -> tuple[int, int]:
    """Return how many files there are, and their bytes."""
    sizes = [
        path.stat().st_size
        for path in _everything(directory)
        if path.is_file() and not path.is_symlink()
    ]
    return len(sizes), sum(sizes)


def first_difference(left: Path, right: Path) -> str:
    """Return where two directories or files differ, in words; empty if they do not.

    Names, kinds, symlink targets and every byte count; modes and times do not.
    """
    if left.is_file() and right.is_file():
        return "" if _digest(left) == _digest(right) else f"{left.name} has other bytes"
    names = {path.relative_to(left): path for path in _everything(left)}
    others = {path.relative_to(right): path for path in _everything(right)}
    for name in sorted(names.keys() ^ others.keys()):
        return f"{name} is only in {'the source' if name in names else 'what came back'}"
    for name in sorted(names):
        if _shape(names[name]) != _shape(others[name]):
            return f"{name} differs"
    return ""


def first_link_outside(directory: Path) -> Path | None:
    """Return a symbolic link that does not stay inside, as ``get`` refuses to write those."""
    top = Path(os.path.abspath(directory))  # noqa: PTH100 - resolve() would follow links
    for path in _everything(top):
        if path.is_symlink():
            target = path.readlink()
            end = Path(os.path.normpath(path.parent / target))
            if target.is_absolute() or top not in end.parents:
                return directory / path.relative_to(top)
    return None


def _everything(directory: Path) -> Iterator[Path]:
    for root, directories, files in os.walk(directory):
        for name in (*directories, *files):
            yield Path(root, name)


def _shape(path: Path) -> tuple[str, bytes]:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "symlink", os.fsencode(path.readlink())
    if stat.S_ISDIR(mode):
        return "directory", b""
    return "file", _digest(path)


def _digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_SIZE_BYTES):
            digest.update(piece)
    return digest.digest()

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bftcluster.blocks.dag.directory_reader import list_directory, resolve
from bftcluster.blocks.dag.file_reader import read_file
from bftcluster.blocks.dag.tree import open_entry
from bftcluster.blocks.formats.layout import DagEntry, Layout
from bftcluster.blocks.formats.unixfs import UnixFsKind
from bftcluster.blocks.importer.add import AddOptions, Symlinks, add_parts, add_path
from bftcluster.blocks.importer.adder import Adder, AddEvent
from bftcluster.blocks.pin_store import Root
from bftcluster.blocks.port import BlockStore, no_pause
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import Cid
from bftcluster.errors import StoreFullError, UsageError
from tests.unit.blocks.content import SMALL, pattern


def names(store: BlockStore, cid: Cid) -> list[str]:
    return sorted(link.name for link in list_directory(store, cid))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "sub" / "empty").mkdir(parents=True)
    (top / "a").write_bytes(b"content of a")
    (top / "sub" / "b").write_bytes(pattern(5000))
    (top / ".hidden").write_bytes(b"secret")
    (top / "link").symlink_to("sub/b")
    return top


def test_a_tree_that_was_added_is_kept_and_reads_back(store: BlockStore, tree: Path) -> None:
    root = add_path(store, tree, AddOptions(layout=SMALL))

    assert names(store, root.cid) == ["a", "link", "sub"]
    assert names(store, resolve(store, root.cid, "sub")) == ["b", "empty"]
    assert b"".join(read_file(store, resolve(store, root.cid, "sub/b"))) == pattern(5000)
    assert root.size_bytes == 12 + 5000
    assert store.roots() == [Root(cid=root.cid, complete=True)]
    assert store.collect_garbage() == 0


def test_hidden_files_are_added_when_asked(store: BlockStore, tree: Path) -> None:
    root = add_path(store, tree, AddOptions(hidden=True))

    assert ".hidden" in names(store, root.cid)


def test_a_hidden_path_that_is_named_itself_is_added(store: BlockStore, tree: Path) -> None:
    root = add_path(store, tree / ".hidden")

    assert b"".join(read_file(store, root.cid)) == b"secret"


def test_a_symbolic_link_is_kept_as_one(store: BlockStore, tree: Path) -> None:
    root = add_path(store, tree)

    assert open_entry(store, resolve(store, root.cid, "link")).kind is UnixFsKind.SYMLINK


def test_symbolic_links_are_refused_when_asked(store: BlockStore, tree: Path) -> None:
    with pytest.raises(UsageError, match="symbolic link"):
        add_path(store, tree, AddOptions(symlinks=Symlinks.REFUSE))


def test_a_wrapped_file_keeps_its_name(store: BlockStore, tree: Path) -> None:
    root = add_path(store, tree / "a", AddOptions(wrap=True))

    assert names(store, root.cid) == ["a"]


def test_adding_what_is_not_there_is_a_usage_error(store: BlockStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        add_path(store, tmp_path / "nothing")


def test_a_pipe_is_refused_without_waiting_for_it(store: BlockStore, tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    empty = store.stat()

    with pytest.raises(UsageError, match="neither a file"):
        add_path(store, tree)

    assert store.stat() == empty


def test_a_name_that_is_not_utf8_is_refused(store: BlockStore, tree: Path) -> None:
    (tree / os.fsdecode(b"\xff")).write_bytes(b"x")

    with pytest.raises(UsageError, match="UTF-8"):
        add_path(store, tree)


def test_an_add_that_does_not_fit_leaves_nothing(store: BlockStore, tmp_path: Path) -> None:
    empty = store.stat()
    (tmp_path / "large").write_bytes(os.urandom(70 << 20))

    with pytest.raises(StoreFullError):
        add_path(store, tmp_path / "large")

    assert store.stat() == empty
    assert store.roots() == []


def test_an_add_that_is_broken_off_leaves_nothing(store: BlockStore) -> None:
    empty = store.stat()

    def content():
        yield pattern(100_000)
        raise UsageError("the client went away")

    with pytest.raises(UsageError):
        add_parts(store, [("file", content())], AddOptions(layout=SMALL))

    assert store.stat() == empty


def test_an_add_that_is_broken_off_leaves_what_was_there(store: BlockStore) -> None:
    add_parts(store, [("file", [pattern(50_000)])], AddOptions(layout=SMALL))
    before = store.stat()

    with pytest.raises(UsageError):
        add_parts(store, [("file", [pattern(50_000)]), ("file", [b"twice"])])

    assert store.stat() == before


def test_adding_the_same_again_changes_nothing(store: BlockStore, tree: Path) -> None:
    first = add_path(store, tree)
    before = store.stat()

    assert add_path(store, tree) == first
    assert store.stat() == before


def test_parts_become_a_tree(store: BlockStore) -> None:
    parts = [("top/x/1", [b"one"]), ("top/2", [b"t", b"wo"]), ("top/x/y/3", [])]

    root = add_parts(store, parts)

    assert names(store, root.cid) == ["2", "x"]
    assert b"".join(read_file(store, resolve(store, root.cid, "2"))) == b"two"
    assert b"".join(read_file(store, resolve(store, root.cid, "x/y/3"))) == b""


def test_several_parts_at_the_top_need_a_directory_around_them(store: BlockStore) -> None:
    parts = [("1", [b"one"]), ("2", [b"two"])]

    with pytest.raises(UsageError) as refused:
        add_parts(store, parts)
    root = add_parts(store, parts, AddOptions(wrap=True))

    assert "wrap" in refused.value.hint
    assert names(store, root.cid) == ["1", "2"]


@pytest.mark.parametrize(
    "paths",
    [
        ["a/../b"],
        [".."],
        ["./a"],
        [""],
        ["/"],
        ["a\0b"],
        ["x" * 256],
        ["a", "a"],
        ["a", "a/b"],
        ["a/b", "a"],
        ["/".join("d" * 300)],
    ],
)
def test_paths_that_cannot_be_are_refused(store: BlockStore, paths: list[str]) -> None:
    empty = store.stat()

    with pytest.raises(UsageError):
        add_parts(store, [(path, [b"x"]) for path in paths], AddOptions(wrap=True))

    assert store.stat() == empty


def test_nothing_to_add_is_refused_unless_wrapped(store: BlockStore) -> None:
    with pytest.raises(UsageError):
        add_parts(store, [])

    assert names(store, add_parts(store, [], AddOptions(wrap=True)).cid) == []


@pytest.mark.parametrize("target", [b"", b"x" * 4097])
def test_a_link_to_nothing_possible_is_refused(target: bytes) -> None:
    with Adder(MemoryBlockStore()) as adder, pytest.raises(UsageError):
        adder.add_symlink("link", target)


def test_progress_names_every_file_and_ends_with_the_root(tree: Path) -> None:
    told: list[AddEvent] = []

    root = add_path(MemoryBlockStore(), tree, AddOptions(layout=Layout()), progress=told.append)

    built = {event.path: event.entry for event in told if event.entry is not None}
    assert set(built) == {"tree", "tree/a", "tree/link", "tree/sub", "tree/sub/b", "tree/sub/empty"}
    assert told[-1] == AddEvent(path="tree", bytes_read=5012, entry=root)
    assert [event.bytes_read for event in told] == sorted(event.bytes_read for event in told)


@pytest.mark.parametrize("path", ["{}", "{}/in", "deep/" * 200 + "{}/in"])
def test_files_and_directories_without_end_are_refused(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("bftcluster.blocks.importer.adder.ADD_MEMORY_MAX_BYTES", 1 << 20)
    parts = ((path.format(number), []) for number in range(3000))

    with pytest.raises(UsageError, match="at once"):
        add_parts(MemoryBlockStore(), parts)


def test_directories_count_with_the_paths_that_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bftcluster.blocks.importer.adder.ADD_MEMORY_MAX_BYTES", 1 << 20)
    with Adder(MemoryBlockStore()) as adder, pytest.raises(UsageError, match="at once"):
        adder.add_directory("/".join(["x" * 60] * 250))


class LeftError(Exception):
    """A client has gone."""


def test_who_leaves_takes_nothing_along_that_another_has_added_meanwhile(
    tmp_path: Path,
) -> None:
    store = EmbeddedStore(tmp_path / "blocks", 1 << 30)
    content = pattern(600 * 10)
    layout = Layout(chunk_size_bytes=10, raw_leaves=True)

    def upload(pause: Callable[[], None]) -> tuple[Adder, DagEntry]:
        adder = Adder(store, layout=layout, pause=pause).__enter__()
        adder.begin_file("file")
        adder.write(content)
        adder.end_file()
        return adder, adder.build(wrap=False)

    first, root = upload(no_pause)

    def leave_once_the_other_is_done() -> None:
        first.keep(root)
        raise LeftError

    second, same = upload(leave_once_the_other_is_done)
    assert same.cid == root.cid
    with pytest.raises(LeftError):
        second.keep(same)
    for adder in (first, second):
        adder.__exit__(None, None, None)

    assert store.roots() == [Root(cid=root.cid, complete=True)]
    assert b"".join(read_file(store, root.cid)) == content
    store.close()

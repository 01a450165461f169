"""A real Kubo reads what we make, and makes what we would."""

import filecmp
import json
import random
from pathlib import Path

import pytest

from bftcluster.blocks.formats.layout import KUBO_V0, UNIXFS_V1_2025, Layout
from bftcluster.blocks.importer.add import AddOptions, add_path
from bftcluster.blocks.importer.car import export_car
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import text
from tests.integration.blocks.foreign import kubo

pytestmark = pytest.mark.kubo

LAYOUTS = {
    "version 1, raw leaves": Layout(),
    "one MiB chunks, 1024 links": UNIXFS_V1_2025,
    "version 0": KUBO_V0,
    "tiny chunks, four links": Layout(chunk_size_bytes=1000, width=4),
}


def make_tree(directory: Path, *, links: bool) -> Path:
    """A directory with empty, large, nested and many files.

    The library's own download writes a symbolic link as a file, so only CIDs are compared of those.
    """
    content = random.Random(1)
    top = directory / "tree"
    (top / "deep" / "er" / "still").mkdir(parents=True)
    (top / "empty directory").mkdir()
    (top / "empty").write_bytes(b"")
    (top / "exactly one chunk").write_bytes(content.randbytes(256 << 10))
    (top / "grüße, 世界").write_bytes(b"hello\n")
    (top / "deep" / "er" / "still" / "five megabytes").write_bytes(content.randbytes(5_000_000))
    many = top / "many"
    many.mkdir()
    for number in range(3500):
        (many / f"{number:040d}").write_bytes(b"%d" % number)
    if links:
        (top / "link").symlink_to("deep/er")
    return top


def assert_same_tree(left: Path, right: Path) -> None:
    names = sorted(path.relative_to(left) for path in left.rglob("*"))
    assert names == sorted(path.relative_to(right) for path in right.rglob("*"))
    for name in names:
        if (left / name).is_file():
            assert filecmp.cmp(left / name, right / name, shallow=False), name


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_kubo_reads_the_blocks_of_our_car(tmp_path: Path, layout: Layout) -> None:
    tree = make_tree(tmp_path, links=False)
    store = MemoryBlockStore()
    root = add_path(store, tree, AddOptions(layout=layout))
    with (tmp_path / "content.car").open("wb") as out:
        export_car(store, root.cid, out)

    with kubo(tmp_path / "kubo") as node:
        assert node.ask(start=True) == "true"
        assert int(node.ask(put_car=str(tmp_path / "content.car"))) == store.stat().blocks
        assert node.ask(get=text(root.cid), to=str(tmp_path / "out")) == "0"

    assert_same_tree(tree, tmp_path / "out")


def test_kubo_gives_files_and_directories_the_cids_that_we_give(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, links=True)
    sizes = (0, 1, (256 << 10) - 1, (256 << 10) + 1, 45_613_056, 45_613_057)
    for size in sizes:
        (tmp_path / f"file of {size}").write_bytes(random.Random(size).randbytes(size))
    paths = [tree, *(tmp_path / f"file of {size}" for size in sizes)]
    options = AddOptions(layout=KUBO_V0)

    with kubo(tmp_path / "kubo") as node:
        assert node.ask(start=True) == "true"
        theirs = [json.loads(node.ask(add=str(path))) for path in paths]

    assert theirs == [text(add_path(MemoryBlockStore(), path, options).cid) for path in paths]

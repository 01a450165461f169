"""The JavaScript importer makes the CIDs that we make, for layouts that no other oracle knows."""

import random
from pathlib import Path

import pytest

from bftcluster.blocks.formats.layout import Layout
from bftcluster.blocks.importer.add import AddOptions, add_path
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import text
from tests.integration.blocks.foreign import js_importer

pytestmark = pytest.mark.js

LAYOUTS = [
    Layout(chunk_size_bytes=chunk, width=width, raw_leaves=raw, cid_version=version)
    for chunk, width in ((1 << 18, 174), (1 << 20, 174), (1 << 20, 1024), (1000, 3), (262, 8))
    for raw, version in ((True, 1), (False, 1), (False, 0))
]


def leaf_counts(layout: Layout) -> list[int]:
    """Around every size at which the tree grows, as far as it stays cheap."""
    counts = {0, 1, 2, layout.width - 1, layout.width, layout.width + 1, 2 * layout.width}
    counts |= {layout.width**2, layout.width**2 + 1, layout.width**3 + layout.width + 1}
    return sorted(count for count in counts if count * layout.chunk_size_bytes <= 50 << 20)


def test_files_have_the_cids_of_the_javascript_importer(tmp_path: Path) -> None:
    content = random.Random(2).randbytes(51 << 20)
    file = tmp_path / "file"
    compared = 0
    with js_importer(tmp_path) as importer:
        for layout in LAYOUTS:
            for leaves in leaf_counts(layout):
                size = max(0, leaves * layout.chunk_size_bytes - leaves % 2)
                file.write_bytes(content[:size])
                theirs = importer.ask(
                    path=str(file),
                    chunk=layout.chunk_size_bytes,
                    width=layout.width,
                    raw=layout.raw_leaves,
                    version=layout.cid_version,
                )
                ours = add_path(MemoryBlockStore(), file, AddOptions(layout=layout))
                assert text(ours.cid) == theirs, (layout, size)
                compared += 1

    assert compared >= 80


@pytest.mark.parametrize("count", [1, 30, 5461, 5462, 7000])
def test_directories_have_the_cids_of_the_javascript_importer(tmp_path: Path, count: int) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    for number in range(count):
        (tree / "sub" / f"{number:012d}").write_bytes(b"%d" % (number % 5))

    with js_importer(tmp_path) as importer:
        theirs = importer.ask(path=str(tree), chunk=1 << 18, width=174, raw=True, version=1)

    assert text(add_path(MemoryBlockStore(), tree).cid) == theirs

import pytest

from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.formats.layout import Layout
from bftcluster.blocks.importer.file_builder import FileBuilder, build_file
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import text
from bftcluster.errors import UsageError
from tests.unit.blocks.content import SMALL, add_file, pattern


def test_a_file_of_one_chunk_is_its_leaf() -> None:
    blocks: list[Block] = []

    entry = build_file([b"hello world"], blocks.append, Layout())

    assert text(entry.cid) == "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    assert [block.data for block in blocks] == [b"hello world"]


def test_leaves_come_before_the_nodes_over_them() -> None:
    blocks: list[Block] = []

    entry = build_file([pattern(20_000)], blocks.append, SMALL)

    assert blocks[-1].cid == entry.cid
    assert sum(len(block.data) for block in blocks) == entry.tsize
    assert entry.size_bytes == 20_000


@pytest.mark.parametrize("step", [1, 7, 1023, 1024, 1025, 5000])
def test_the_pieces_in_which_content_comes_do_not_matter(step: int) -> None:
    data = pattern(9_000)
    whole = build_file([data], lambda _: None, SMALL)

    builder = FileBuilder(lambda _: None, SMALL)
    for start in range(0, len(data), step):
        builder.write(data[start : start + step])

    assert builder.finish() == whole


def test_only_one_open_node_per_level_is_kept() -> None:
    builder = FileBuilder(lambda _: None, SMALL)

    for _ in range(4**5):
        builder.write(bytes(1024))

    assert sum(len(level) for level in builder._levels) <= 6 * SMALL.width


def test_equal_content_is_stored_once() -> None:
    store = MemoryBlockStore()

    add_file(store, bytes(64 * 1024))

    assert store.stat().blocks < 8


@pytest.mark.parametrize(
    "layout",
    [
        {"chunk_size_bytes": 0},
        {"chunk_size_bytes": (1 << 20) + 1},
        {"width": 1},
        {"width": 8193},
        {"cid_version": 2},
    ],
)
def test_a_layout_that_cannot_be_is_refused(layout: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Layout(**layout)

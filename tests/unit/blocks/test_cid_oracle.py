"""Our CIDs against those of `aleph-cid`, an independent importer in Rust."""

import random
from pathlib import Path

import aleph_cid
import pytest

from bftcluster.blocks.formats.layout import KUBO_V0, Layout
from bftcluster.blocks.importer.add import AddOptions, add_path
from bftcluster.blocks.importer.file_builder import build_file
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import text

CHUNK = 256 << 10
LEAVES = (0, 1, 2, 3, 7, 20, 174, 175)
SIZES = sorted(
    {max(0, leaves * CHUNK + extra) for leaves in LEAVES for extra in (-1, 0, 1)}
    | {2**power for power in range(20)}
)
CONTENT = random.Random(1).randbytes(max(SIZES))


@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_version_0_has_the_cid_of_the_oracle(size: int) -> None:
    ours = build_file([CONTENT[:size]], lambda _: None, KUBO_V0)

    assert text(ours.cid) == aleph_cid.compute_cid(CONTENT[:size])


@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_version_1_with_raw_leaves_has_the_cid_of_the_oracle(size: int) -> None:
    hasher = aleph_cid.CidHasher.for_ipfs_v1_raw_leaves()
    hasher.update(CONTENT[:size])

    ours = build_file([CONTENT[:size]], lambda _: None, Layout())

    assert text(ours.cid) == hasher.finalize()


def flat(count: int, name_size: int = 8) -> dict[str, bytes]:
    return {f"{index:0{name_size}d}": b"%d" % (index % 7) for index in range(count)}


TREES: dict[str, dict[str, bytes]] = {
    "one file": {"a": b"x"},
    "one empty file": {"empty": b""},
    "nested": {"a/b/c/d/e/f": b"deep", "a/b/x": b"1", "a/y": b"2", "z": b"3"},
    "names of all kinds": {
        "ä": b"1", "Z": b"2", "a": b"3", "日本語": b"4", "a b": b"5", "~": b"6", "€uro/ß": b"7",
        "emoji-🦊": b"8", "UPPER": b"9", "upper": b"10", "-dash": b"11", "%41": b"12",
    },
    "a file of several blocks": {"big": CONTENT[: 3 * CHUNK + 17], "small": b"s"},
    "a wide file": {"wide/big": CONTENT[: 175 * CHUNK], "same": CONTENT[: 175 * CHUNK]},
    "names to 255 bytes": {"n" * size: b"x" for size in (1, 127, 128, 254, 255)},
    **{f"{count} files": flat(count) for count in (2, 3, 10, 100, 1000)},
    **{
        f"{count} files of long names, around the shard threshold": flat(count, 200)
        for count in (1110, 1111, 1112)
    },
    "a HAMT": flat(6000),
    "a HAMT in a directory": {f"sub/{name}": data for name, data in flat(4200, 30).items()},
    "a HAMT of two": {
        f"{part}/{name}": data
        for part in ("left", "right")
        for name, data in flat(2000, 100).items()
    },
    **{
        f"random tree {seed}": {
            "/".join(
                f"{random.Random(f'{seed}/{index}/{level}').randrange(4)}"
                for level in range(random.Random(f"{seed}/{index}").randrange(4))
            )
            + f"/f{index}": CONTENT[: random.Random(f"{seed}-{index}").randrange(3000)]
            for index in range(seed)
        }
        for seed in range(1, 26)
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=TREES.values(), ids=TREES.keys())
def tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in the file system, made once for both versions."""
    top = tmp_path_factory.mktemp("tree")
    for name, data in request.param.items():
        path = top / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return top


@pytest.mark.parametrize("layout", [KUBO_V0, Layout()], ids=["version 0", "version 1"])
def test_a_directory_has_the_cid_of_the_oracle(tree: Path, layout: Layout) -> None:
    theirs = aleph_cid.hash_folder(str(tree), cid_version=layout.cid_version)

    assert text(add_path(MemoryBlockStore(), tree, AddOptions(layout=layout)).cid) == theirs

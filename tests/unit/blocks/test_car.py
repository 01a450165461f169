import io
from pathlib import Path

import aleph_cid
import pytest

from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.importer.add import add_parts
from bftcluster.blocks.importer.car import CarReader, export_car, import_car, write_car
from bftcluster.blocks.pin_store import Root
from bftcluster.blocks.port import BlockStore
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.cid import DAG_PB, from_bytes, of_block, parse
from bftcluster.errors import BlockNotFoundError, MalformedContentError, StoreFullError
from tests.unit.blocks.content import add_file, pattern


def car_of(size: int) -> tuple[MemoryBlockStore, bytes, Root]:
    store = MemoryBlockStore()
    entry = add_file(store, pattern(size))
    out = io.BytesIO()
    written = export_car(store, entry.cid, out)
    assert written == len(out.getvalue())
    return store, out.getvalue(), Root(cid=entry.cid, complete=True)


@pytest.mark.parametrize("size", [0, 1, 50_000])
def test_a_dag_goes_out_and_comes_in_again(store: BlockStore, size: int) -> None:
    original, car, root = car_of(size)

    assert import_car(store, io.BytesIO(car)) == (root.cid,)

    assert store.roots() == [root]
    assert list(store.multihashes()) == list(original.multihashes())


def test_the_root_comes_first_and_parents_before_children() -> None:
    _, car, root = car_of(50_000)
    reader = CarReader(io.BytesIO(car))

    blocks = list(reader)

    assert reader.roots == (root.cid,)
    assert blocks[0].cid == root.cid


def test_the_car_of_another_implementation_is_read(store: BlockStore, tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "file").write_bytes(pattern(1_000_000))
    theirs = aleph_cid.write_folder_car(str(tmp_path / "in"), str(tmp_path / "car"))

    with (tmp_path / "car").open("rb") as stream:
        (root,) = import_car(store, stream)

    assert root == parse(theirs)
    ours = add_parts(MemoryBlockStore(), [("in/sub/file", [pattern(1_000_000)])])
    assert ours.cid == root


def test_another_implementation_reads_our_header(tmp_path: Path) -> None:
    _, car, root = car_of(5000)
    (tmp_path / "car").write_bytes(car)

    assert parse(aleph_cid.read_carv1_root(str(tmp_path / "car"))) == root.cid


def test_several_roots_and_none_are_read() -> None:
    for count in (0, 1, 2, 30, 256):
        roots = [of_block(b"%d" % number) for number in range(count)]
        out = io.BytesIO()
        write_car(roots, [], out)

        assert CarReader(io.BytesIO(out.getvalue())).roots == tuple(roots)


def test_a_root_of_version_0_is_read(store: BlockStore) -> None:
    block = Block.make(b"\x0a\x02\x08\x01", codec=DAG_PB, version=0)
    out = io.BytesIO()
    write_car([block.cid], [block], out)

    assert import_car(store, io.BytesIO(out.getvalue())) == (block.cid,)


def test_blocks_that_no_root_reaches_are_not_kept(store: BlockStore) -> None:
    original, _, root = car_of(50_000)
    out = io.BytesIO()
    stowaway = Block.make(b"stowaway")
    write_car([root.cid], [*walk(original, root.cid), stowaway], out)

    import_car(store, io.BytesIO(out.getvalue()))

    assert not store.has(stowaway.cid)


def test_a_car_that_lacks_a_block_leaves_nothing(store: BlockStore) -> None:
    original, _, root = car_of(50_000)
    empty = store.stat()
    out = io.BytesIO()
    write_car([root.cid], list(walk(original, root.cid))[:-1], out)

    with pytest.raises(BlockNotFoundError):
        import_car(store, io.BytesIO(out.getvalue()))

    assert store.stat() == empty
    assert store.roots() == []


def test_a_second_root_that_lacks_a_block_leaves_nothing_of_the_first(store: BlockStore) -> None:
    original, _, root = car_of(50_000)
    empty = store.stat()
    out = io.BytesIO()
    write_car([root.cid, of_block(b"absent")], walk(original, root.cid), out)

    with pytest.raises(BlockNotFoundError):
        import_car(store, io.BytesIO(out.getvalue()))

    assert store.stat() == empty
    assert store.roots() == []


def test_a_car_that_does_not_fit_leaves_nothing() -> None:
    _, car, _ = car_of(500_000)
    store = MemoryBlockStore(quota_bytes=100_000)

    with pytest.raises(StoreFullError):
        import_car(store, io.BytesIO(car))

    assert store.stat().blocks == 0


def test_a_car_without_roots_is_refused(store: BlockStore) -> None:
    out = io.BytesIO()
    write_car([], [Block.make(b"x")], out)

    with pytest.raises(MalformedContentError, match="no roots"):
        import_car(store, io.BytesIO(out.getvalue()))


CAR = car_of(5000)[1]
HEADER_SIZE = CAR[0] + 1


@pytest.mark.parametrize(
    "car",
    [
        pytest.param(b"", id="empty"),
        pytest.param(CAR[:-1], id="cut short in a block"),
        pytest.param(CAR[: HEADER_SIZE + 1], id="cut short in a size"),
        pytest.param(CAR[:10], id="cut short in the header"),
        pytest.param(CAR[:-1] + bytes((CAR[-1] ^ 1,)), id="a flipped bit"),
        pytest.param(b"\x0a\xa1gversion\x02" + CAR, id="version 2"),
        pytest.param(b"\x0a\xa1gversion\x01" + CAR, id="a header without roots"),
        pytest.param(b"\x11\xa2eroots\x80gversion\x02", id="roots and version 2"),
        pytest.param(b"\xff" * 8 + b"\x7f", id="an enormous header"),
        pytest.param(CAR + b"\x00", id="an empty section"),
        pytest.param(CAR + b"\x80\x00", id="a size that is not minimal"),
        pytest.param(CAR + b"\xff\xff\xff\x7f", id="an enormous section"),
        pytest.param(CAR + b"\x05\x01\x55\x12\x20a", id="a section shorter than its CID"),
        pytest.param(CAR + b"\x01\x05", id="a section that is no CID"),
        pytest.param(b"hello world, this is no car at all", id="text"),
    ],
)
def test_what_is_no_whole_car_is_refused_and_leaves_nothing(store: BlockStore, car: bytes) -> None:
    empty = store.stat()

    with pytest.raises(MalformedContentError):
        import_car(store, io.BytesIO(car))

    assert store.stat() == empty


def test_an_identity_cid_in_a_car_is_read() -> None:
    cid = from_bytes(b"\x01\x55\x00\x03abc")
    out = io.BytesIO()
    write_car([cid], [Block.check(cid, b"abc")], out)

    (block,) = CarReader(io.BytesIO(out.getvalue()))

    assert block.data == b"abc"

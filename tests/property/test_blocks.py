"""Any content goes in and comes out; any bytes are a value or a refusal."""

import contextlib
import io

from hypothesis import given
from hypothesis import strategies as st

from bftcluster.blocks.dag.dag_stream import DagStream
from bftcluster.blocks.dag.directory_reader import list_directory, resolve
from bftcluster.blocks.dag.file_reader import file_size, read_file
from bftcluster.blocks.dag.walk import walk
from bftcluster.blocks.exchange.exchange_messages import Blocks, from_frame, to_frame
from bftcluster.blocks.formats.dag_cbor import cids_in
from bftcluster.blocks.formats.dag_pb import decode_node, encode_node
from bftcluster.blocks.formats.layout import Layout
from bftcluster.blocks.formats.unixfs import decode_message
from bftcluster.blocks.importer.add import AddOptions, add_parts
from bftcluster.blocks.importer.car import CarReader, export_car, import_car
from bftcluster.blocks.importer.file_builder import build_file
from bftcluster.blocks.store.memory import MemoryBlockStore
from bftcluster.errors import BlockStoreError, MalformedContentError, RemoteProtocolError

layouts = st.builds(
    Layout,
    chunk_size_bytes=st.integers(1, 50),
    width=st.integers(2, 6),
    cid_version=st.sampled_from([0, 1]),
    raw_leaves=st.booleans(),
    shard_threshold_bytes=st.sampled_from([0, 100, 1 << 18]),
)
names = st.text(min_size=1, max_size=20).filter(
    lambda name: (
        name not in {".", ".."}
        and not set(name) & {"/", "\0"}
        and not any(0xD800 <= ord(char) <= 0xDFFF for char in name)
    )
)


@given(pieces=st.lists(st.binary(max_size=200), max_size=10), layout=layouts)
def test_a_file_reads_as_it_was_written(pieces: list[bytes], layout: Layout) -> None:
    store = MemoryBlockStore()
    blocks = []

    entry = build_file(pieces, blocks.append, layout)
    store.put_many(blocks)

    assert b"".join(read_file(store, entry.cid)) == b"".join(pieces)
    assert file_size(store, entry.cid) == entry.size_bytes == sum(map(len, pieces))
    assert entry.tsize == sum(len(block.data) for block in blocks)


@given(
    data=st.binary(max_size=600),
    layout=layouts,
    offset=st.integers(0, 700),
    size=st.integers(0, 700),
)
def test_a_range_reads_as_that_part(data: bytes, layout: Layout, offset: int, size: int) -> None:
    store = MemoryBlockStore()
    blocks = []
    entry = build_file([data], blocks.append, layout)
    store.put_many(blocks)

    part = b"".join(read_file(store, entry.cid, offset=offset, size_max_bytes=size))

    assert part == data[offset : offset + size]


@given(files=st.dictionaries(names, st.binary(max_size=100), max_size=30), layout=layouts)
def test_a_directory_goes_through_a_car_and_every_path_leads_to_its_file(
    files: dict[str, bytes], layout: Layout
) -> None:
    store, copy = MemoryBlockStore(), MemoryBlockStore()
    options = AddOptions(layout=layout, wrap=True)
    root = add_parts(store, [(name, [data]) for name, data in files.items()], options)
    car = io.BytesIO()
    export_car(store, root.cid, car)
    car.seek(0)

    import_car(copy, car)

    assert sorted(link.name for link in list_directory(copy, root.cid)) == sorted(files)
    for name, data in files.items():
        assert b"".join(read_file(copy, resolve(copy, root.cid, name))) == data


@given(data=st.binary(max_size=2000), layout=layouts, budget=st.integers(0, 3000))
def test_what_a_provider_sends_is_part_of_the_dag_and_has_every_node(
    data: bytes, layout: Layout, budget: int
) -> None:
    store = MemoryBlockStore()
    blocks = []
    entry = build_file([data], blocks.append, layout)
    store.put_many(blocks)
    whole = {block.cid: block.data for block in walk(store, entry.cid)}
    nodes = {cid for cid, block in whole.items() if cid[1] == 0x70 and decode_node(block).links}

    stream = DagStream(store, [entry.cid], budget)
    sent = []
    while not stream.finished:
        sent += stream.next_batch(500)

    assert len(sent) == len(dict(sent))
    assert all(whole[cid] == block for cid, block in sent)
    assert nodes <= set(dict(sent))


@given(block=st.binary(max_size=300))
def test_any_bytes_are_a_node_or_refused(block: bytes) -> None:
    with contextlib.suppress(MalformedContentError):
        node = decode_node(block)
        assert decode_node(encode_node(node.links, node.data)) == node
    with contextlib.suppress(MalformedContentError):
        decode_message(decode_node(encode_node((), block)))
    with contextlib.suppress(MalformedContentError):
        cids_in(block)


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_car_or_refused(data: bytes) -> None:
    with contextlib.suppress(BlockStoreError):
        list(CarReader(io.BytesIO(data)))


@given(cut=st.integers(0, 2000), flip=st.integers(0, 2000), bit=st.integers(0, 7))
def test_a_damaged_car_never_yields_other_blocks(cut: int, flip: int, bit: int) -> None:
    store = MemoryBlockStore()
    root = add_parts(store, [("f", [bytes(range(256)) * 8])], AddOptions(layout=Layout(width=2)))
    car = io.BytesIO()
    export_car(store, root.cid, car)
    data = bytearray(car.getvalue()[: cut + 60])
    data[flip % len(data)] ^= 1 << bit
    whole = {(block.cid, block.data) for block in walk(store, root.cid)}

    with contextlib.suppress(BlockStoreError):
        for block in CarReader(io.BytesIO(bytes(data))):
            assert (block.cid, block.data) in whole or block.cid[0] == 1


@given(frame=st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(frame: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert to_frame(from_frame(frame)) == frame


@given(data=st.binary(max_size=100), position=st.integers(0, 200), byte=st.integers(0, 255))
def test_a_changed_frame_is_another_message_or_refused(
    data: bytes, position: int, byte: int
) -> None:
    blocks = []
    build_file([data], blocks.append, Layout(chunk_size_bytes=10))
    message = Blocks(request=3, blocks=tuple((block.cid, block.data) for block in blocks[:4]))
    frame = bytearray(to_frame(message))
    frame[position % len(frame)] = byte

    with contextlib.suppress(RemoteProtocolError):
        assert to_frame(from_frame(bytes(frame))) == bytes(frame)

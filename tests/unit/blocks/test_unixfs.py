import pytest

from bftcluster.blocks.formats.dag_pb import DagNode
from bftcluster.blocks.formats.unixfs import (
    HAMT_FANOUT,
    HAMT_MURMUR3_X64_64,
    UnixFs,
    UnixFsKind,
    decode_message,
    file_message,
    hamt_message,
    symlink_message,
)
from bftcluster.errors import MalformedContentError


def decode(message: bytes | None) -> UnixFs:
    return decode_message(DagNode(links=(), data=message))


def test_a_file_message_says_what_it_was_given() -> None:
    message = decode(file_message(b"abc", 1003, [600, 400]))

    assert message.kind is UnixFsKind.FILE
    assert message.data == b"abc"
    assert message.file_size == 1003
    assert message.block_sizes == (600, 400)


def test_an_empty_file_has_a_size_and_no_data() -> None:
    assert file_message(b"", 0, ()) == b"\x08\x02\x18\x00"


def test_a_symlink_message_holds_its_target() -> None:
    message = decode(symlink_message(b"../there"))

    assert message.kind is UnixFsKind.SYMLINK
    assert message.data == b"../there"


def test_a_hamt_message_drops_leading_zeros_of_its_bit_field() -> None:
    message = decode(hamt_message(0b1_0000_0001))

    assert message.kind is UnixFsKind.HAMT_SHARD
    assert message.data == b"\x01\x01"
    assert (message.hash_type, message.fanout) == (HAMT_MURMUR3_X64_64, HAMT_FANOUT)


def test_packed_sizes_and_unknown_fields_are_read() -> None:
    mode, fixed32, fixed64, mtime = (
        b"\x38\xa4\x03",
        b"\x4d1234",
        b"\x5112345678",
        b"\x42\x02\x08\x01",
    )

    message = decode(b"\x08\x02" + mode + fixed32 + fixed64 + mtime + b"\x22\x03\x01\xac\x02")

    assert message.block_sizes == (1, 300)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(None, id="absent"),
        pytest.param(b"", id="without a kind"),
        pytest.param(b"\x08\x63", id="of an unknown kind"),
        pytest.param(b"\x08", id="cut short in a number"),
        pytest.param(b"\x08\x02\x12\x05ab", id="cut short in the data"),
        pytest.param(b"\x08\x02\x13", id="with a group"),
        pytest.param(b"\x08\x02\x22\x01\x80", id="with packed sizes cut short"),
        pytest.param(b"\x08\x02\x4d12", id="with a fixed field cut short"),
    ],
)
def test_what_is_no_unixfs_is_refused(message: bytes | None) -> None:
    with pytest.raises(MalformedContentError):
        decode(message)

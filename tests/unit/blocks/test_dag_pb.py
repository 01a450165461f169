import pytest

from bftcluster.blocks.formats.dag_pb import DagLink, decode_node, encode_node
from bftcluster.cid import of_block
from bftcluster.errors import MalformedContentError

CID = of_block(b"x")
LINK = DagLink(cid=CID, name="name", tsize=300)
BLOCK = encode_node([LINK], b"data")


def test_a_node_is_decoded_as_it_was_encoded() -> None:
    other = DagLink(cid=of_block(b"y"), name="", tsize=0)

    node = decode_node(encode_node([LINK, other], b"data"))

    assert node.links == (LINK, other)
    assert node.data == b"data"


def test_a_node_without_data_differs_from_one_with_empty_data() -> None:
    assert decode_node(encode_node([], None)).data is None
    assert decode_node(encode_node([], b"")).data == b""


def test_data_before_links_is_read_as_older_writers_wrote_it() -> None:
    links_first = encode_node([LINK], None)

    node = decode_node(encode_node([], b"data") + links_first)

    assert node.links == (LINK,)
    assert node.data == b"data"


def field(tag: int, value: bytes) -> bytes:
    return bytes((tag, len(value))) + value


HASH = field(0x0A, CID)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(BLOCK[:-1], id="cut short"),
        pytest.param(BLOCK + b"\x0a\x00", id="data twice"),
        pytest.param(BLOCK + b"\x1a\x00", id="an unknown field"),
        pytest.param(BLOCK + b"\x0a", id="a tag without a size"),
        pytest.param(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", id="an enormous size"),
        pytest.param(b"\x0a\x80\x00", id="a size that is not minimal"),
        pytest.param(field(0x12, b""), id="a link without a CID"),
        pytest.param(field(0x12, field(0x0A, b"no cid")), id="a link to no CID"),
        pytest.param(field(0x12, HASH + HASH), id="a link with two CIDs"),
        pytest.param(field(0x12, field(0x12, b"n") + HASH), id="link fields out of order"),
        pytest.param(field(0x12, HASH + field(0x12, b"\xff")), id="a name that is not UTF-8"),
        pytest.param(field(0x12, HASH + field(0x1A, b"")), id="an unknown link field"),
        pytest.param(field(0x12, HASH + b"\x18" + b"\xff" * 10), id="a tsize over 63 bits"),
        pytest.param(bytes((2 << 20) + 1), id="larger than a block may be"),
    ],
)
def test_what_is_no_dag_pb_is_refused(block: bytes) -> None:
    with pytest.raises(MalformedContentError):
        decode_node(block)

import pytest

from bftcluster.blocks.formats.dag_cbor import cids_in
from bftcluster.blocks.formats.links import links_of
from bftcluster.cid import DAG_CBOR, from_bytes, of_block
from bftcluster.errors import MalformedContentError

CID = of_block(b"x")
LINK = b"\xd8\x2a\x58" + bytes((len(CID) + 1,)) + b"\0" + CID


def test_links_are_found_wherever_they_stand() -> None:
    block = b"\xa2\x61a" + LINK + b"\x61b\x82" + LINK + b"\xa1\x61c" + LINK

    assert cids_in(block) == [CID, CID, CID]
    assert [link.cid for link in links_of(of_block(block, codec=DAG_CBOR), block)] == [CID] * 3


def test_values_of_every_kind_are_passed_over() -> None:
    numbers = (
        b"\x00\x18\xff\x19\x01\x00\x1a\x00\x01\x00\x00\x1b\x00\x00\x00\x01\x00\x00\x00\x00\x20"
    )
    others = b"\x43abc\x63abc\xf4\xf5\xf6\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00\x80\xa0"

    assert cids_in(b"\x8e" + numbers + others) == []


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00\x00", id="trailing bytes"),
        pytest.param(b"\x82\x00", id="an array cut short"),
        pytest.param(b"\x43ab", id="bytes cut short"),
        pytest.param(b"\x19\x01", id="a number cut short"),
        pytest.param(b"\x9f\xff", id="an indefinite length"),
        pytest.param(b"\xc0\x61a", id="another tag"),
        pytest.param(b"\xd8\x2a\x61a", id="a link that is no bytes"),
        pytest.param(b"\xd8\x2a\x42\x01a", id="a link without its prefix"),
        pytest.param(b"\xd8\x2a\x42\x00a", id="a link to no CID"),
        pytest.param(b"\xf7", id="undefined"),
        pytest.param(b"\x81" * 2000 + b"\x00", id="too deep"),
        pytest.param(b"\x9b" + b"\xff" * 8, id="an enormous array"),
    ],
)
def test_what_is_no_dag_cbor_is_refused(block: bytes) -> None:
    with pytest.raises(MalformedContentError):
        cids_in(block)


def test_a_codec_whose_links_are_unknown_is_refused() -> None:
    json = from_bytes(b"\x01\xa9\x02" + of_block(b"{}")[2:])

    with pytest.raises(MalformedContentError, match="codec 0x129"):
        links_of(json, b"{}")

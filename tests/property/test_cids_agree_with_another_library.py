"""Our CIDs against those of py-cid, and any text or bytes against our parser."""

import cid as other
from hypothesis import example, given
from hypothesis import strategies as st

from bftcluster import cid
from bftcluster.errors import InvalidCidError

CODECS = {cid.RAW: "raw", cid.DAG_PB: "dag-pb", cid.DAG_CBOR: "dag-cbor"}
BASES = {"b": "base32", "z": "base58btc", "f": "base16", "k": "base36", "u": "base64url"}


@given(st.binary(max_size=100), st.sampled_from(sorted(CODECS)), st.sampled_from(sorted(BASES)))
def test_both_libraries_read_and_write_the_same_text(block: bytes, codec: int, base: str) -> None:
    ours = cid.of_block(block, codec=codec)
    code, digest = cid.multihash(ours)
    assert code == 0x12
    theirs = other.make_cid(1, CODECS[codec], b"\x12\x20" + digest)

    text = theirs.encode(BASES[base]).decode()
    assert text[0] == base
    assert cid.parse(text) == theirs.buffer == ours
    assert other.make_cid(cid.text(ours)) == theirs


@given(st.binary(max_size=100))
def test_version_0_is_the_same_text_in_both_libraries(block: bytes) -> None:
    ours = cid.of_block(block, codec=cid.DAG_PB, version=0)
    theirs = other.make_cid(0, "dag-pb", bytes(ours))

    assert cid.text(ours) == theirs.encode().decode()
    assert cid.parse(cid.text(ours)) == ours


@given(st.text(max_size=80) | st.from_regex(r"[bBfFkKuz][0-9A-Za-z_\-]{0,80}", fullmatch=True))
@example("b\u00df")
@example("Qm" + "1" * 44)
def test_any_text_is_a_cid_or_refused(text: str) -> None:
    try:
        parsed = cid.parse(text)
    except InvalidCidError:
        return
    assert cid.parse(cid.text(parsed)) == parsed


@given(st.binary(max_size=140))
@example(b"\x01\x55\x00\x00")
def test_any_bytes_are_a_cid_or_refused(data: bytes) -> None:
    try:
        parsed = cid.from_bytes(data)
    except InvalidCidError:
        return
    assert parsed == data
    assert cid.parse(cid.text(parsed)) == parsed


@given(st.integers(min_value=0, max_value=(1 << 63) - 1), st.binary(max_size=4))
def test_varints_read_back(value: int, behind: bytes) -> None:
    encoding = cid.write_varint(value)

    assert cid.read_varint(encoding + behind, 0) == (value, len(encoding))

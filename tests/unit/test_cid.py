"""CIDs: every customary text form reads, one text per multibase; blocks are checked."""

import hashlib

import pytest

from bftcluster import cid
from bftcluster.errors import CidMismatchError, ClusterError, InvalidCidError
from bftcluster.limits import CID_SIZE_MAX_BYTES, CID_TEXT_SIZE_MAX_CHARS

HELLO = b"hello world"
HELLO_RAW = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
HELLO_IN_EVERY_BASE = [
    HELLO_RAW,
    "BAFKREIFZJUT3TE2NHYEKKLSS27NH3K72YSCO7Y32KOAO5EEI66WOF36N5E",
    "zb2rhj7crUKTQYRGCRATFaQ6YFLTde2YzdqbbhAASkL9uRDXn",
    "k2cwued9o1pvrt3q271rrqbo49x30tbxwpoeaq75z14e5ui2rzygpbe1",
    "K2CWUED9O1PVRT3Q271RRQBO49X30TBXWPOEAQ75Z14E5UI2RZYGPBE1",
    "f01551220b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
    "F01551220B94D27B9934D3E08A52E52D7DA7DABFAC484EFE37A5380EE9088F7ACE2EFCDE9",
    "uAVUSILlNJ7mTTT4IpS5S19p9q_rEhO_jelOA7pCI96zi783p",
]
EMPTY_DIRECTORY = b"\x0a\x02\x08\x01"
EMPTY_DIRECTORY_V0 = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
EMPTY_DIRECTORY_V1 = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"

NOT_CIDS = {
    "nothing": "",
    "a multibase prefix alone": "b",
    "base32 alone": "baaaa",
    "unknown multibase": "9" + HELLO_RAW[1:],
    "mixed case": HELLO_RAW[:-1] + "E",
    "upper prefix, lower digits": "B" + HELLO_RAW[1:],
    "one character short": HELLO_RAW[:-1],
    "one character long": HELLO_RAW + "a",
    "padding": HELLO_RAW + "=",
    "stray bits in the last character": HELLO_RAW[:-1] + "f",
    "digit outside base32": HELLO_RAW[:-1] + "1",
    "letter that upper-cases into base32": HELLO_RAW.replace("ss", "\u00df"),
    "long s": HELLO_RAW.replace("s", "\u017f"),
    "space behind": HELLO_RAW + " ",
    "space before": " " + HELLO_RAW,
    "line end behind base58": HELLO_IN_EVERY_BASE[2] + "\n",
    "spaces between hex digits": "f 01551220" + HELLO_IN_EVERY_BASE[5][9:],
    "upper-case digits in lower-case hex": "f" + HELLO_IN_EVERY_BASE[6][1:],
    "underscore in base36": HELLO_IN_EVERY_BASE[3][:20] + "_" + HELLO_IN_EVERY_BASE[3][20:],
    "sign in base36": "k+" + HELLO_IN_EVERY_BASE[3][1:],
    "minus in base36": "k-" + HELLO_IN_EVERY_BASE[3][1:],
    "minus in upper-case base36": "K-1",
    "base64 where base64url is due": HELLO_IN_EVERY_BASE[7].replace("_", "/"),
    "version 0 behind a multibase prefix": "z" + EMPTY_DIRECTORY_V0,
    "version 0, a character outside base58": EMPTY_DIRECTORY_V0[:-1] + "0",
    "version 0, one character short": EMPTY_DIRECTORY_V0[:-1],
    "version 0, line end in place of a character": EMPTY_DIRECTORY_V0[:-1] + "\n",
    "version 2": "f02551220" + HELLO_IN_EVERY_BASE[5][9:],
    "sha1": "f01551114" + "00" * 20,
    "sha2-256 of 31 bytes": "f0155121f" + "00" * 31,
    "sha2-256 of 33 bytes": "f01551221" + "00" * 33,
    "trailing bytes": HELLO_IN_EVERY_BASE[5] + "00",
    "codec not minimal": "f01d5001220" + HELLO_IN_EVERY_BASE[5][9:],
    "codec of ten bytes": "f01" + "ff" * 9 + "01" + "1220" + HELLO_IN_EVERY_BASE[5][9:],
    "truncated in the codec": "f01ff",
    "identity of 65 bytes": "f01550041" + "00" * 65,
    "very long": "f" + "00" * 1000,
    "a path": "/ipfs/" + HELLO_RAW,
}


@pytest.mark.parametrize("text", HELLO_IN_EVERY_BASE)
def test_every_customary_multibase_names_the_same_cid(text: str) -> None:
    hello = cid.parse(text)

    assert hello == bytes.fromhex("01551220") + hashlib.sha256(HELLO).digest()
    assert cid.text(hello) == HELLO_RAW


@pytest.mark.parametrize("text", NOT_CIDS.values(), ids=NOT_CIDS.keys())
def test_what_is_no_cid_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(InvalidCidError) as refusal:
        cid.parse(text)

    assert isinstance(refusal.value, ClusterError)
    assert refusal.value.hint


def test_version_0_and_1_of_one_block_share_their_multihash() -> None:
    v0, v1 = cid.parse(EMPTY_DIRECTORY_V0), cid.parse(EMPTY_DIRECTORY_V1)

    assert (cid.version_of(v0), cid.version_of(v1)) == (0, 1)
    assert cid.codec_of(v0) == cid.codec_of(v1) == cid.DAG_PB
    assert (
        cid.multihash(v0) == cid.multihash(v1) == (0x12, hashlib.sha256(EMPTY_DIRECTORY).digest())
    )
    assert (cid.text(v0), cid.text(v1)) == (EMPTY_DIRECTORY_V0, EMPTY_DIRECTORY_V1)


def test_cids_are_made_from_blocks() -> None:
    assert cid.text(cid.of_block(HELLO)) == HELLO_RAW
    assert cid.text(cid.of_block(EMPTY_DIRECTORY, codec=cid.DAG_PB)) == EMPTY_DIRECTORY_V1
    v0 = cid.of_block(EMPTY_DIRECTORY, codec=cid.DAG_PB, version=0)
    assert cid.text(v0) == EMPTY_DIRECTORY_V0


@pytest.mark.parametrize(
    ("prefix", "digest"),
    [
        ("01551220", hashlib.sha256(HELLO).digest()),
        ("01551340", hashlib.sha512(HELLO).digest()),
        ("0155a0e40220", hashlib.blake2b(HELLO, digest_size=32).digest()),
        ("0155000b", HELLO),
        ("01711220", hashlib.sha256(HELLO).digest()),
        ("1220", hashlib.sha256(HELLO).digest()),
    ],
)
def test_blocks_are_checked_with_the_hash_that_the_cid_names(prefix: str, digest: bytes) -> None:
    hello = cid.from_bytes(bytes.fromhex(prefix) + digest)

    cid.verify_block(hello, HELLO)
    with pytest.raises(CidMismatchError, match="12 bytes are not the block"):
        cid.verify_block(hello, HELLO + b"!")


@pytest.mark.parametrize("size", range(35))
def test_no_part_of_a_cid_is_a_cid(size: int) -> None:
    whole = cid.parse(HELLO_RAW)

    with pytest.raises(InvalidCidError):
        cid.from_bytes(whole[:size])


def test_size_is_measured_before_anything_is_parsed() -> None:
    with pytest.raises(InvalidCidError, match="of 257 characters"):
        cid.parse("b" * (CID_TEXT_SIZE_MAX_CHARS + 1))
    with pytest.raises(InvalidCidError, match="of 129 bytes"):
        cid.from_bytes(bytes(CID_SIZE_MAX_BYTES + 1))


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (16384, "808001"),
        ((1 << 63) - 1, "ff" * 8 + "7f"),
    ],
)
def test_varints_are_written_and_read_in_their_shortest_form(value: int, encoding: str) -> None:
    assert cid.write_varint(value).hex() == encoding
    assert cid.read_varint(b"\xee" + bytes.fromhex(encoding), 1) == (value, 1 + len(encoding) // 2)


@pytest.mark.parametrize("encoding", ["", "80", "8000", "ff" * 9 + "01", "818000"])
def test_other_varints_are_refused(encoding: str) -> None:
    with pytest.raises(ValueError, match="varint"):
        cid.read_varint(bytes.fromhex(encoding), 0)

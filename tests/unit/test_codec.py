"""The codec: one encoding for every value, and nothing else decodes."""

from typing import Any

import cbor2
import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.limits import CBOR_DEPTH_MAX, CBOR_SIZE_MAX_BYTES

REFUSED = {
    "integer longer than needed": "1801",
    "integer in two bytes that fits one": "190017",
    "byte string's length longer than needed": "590001ff",
    "text's length longer than needed": "780161",
    "array's length longer than needed": "980100",
    "map's length longer than needed": "b8010000",
    "repeated text key": "a2616100616101",
    "unsorted text keys": "a2616200616100",
    "longer text key before a shorter": "a262616100616200",
    "repeated integer key": "a201000100",
    "unsorted integer keys": "a20a000100",
    "text and integer keys together": "a20100616100",
    "negative key": "a12000",
    "bytes as a key": "a1416100",
    "array as a key": "a18000",
    "null as a key": "a1f600",
    "boolean as a key": "a1f400",
    "array of indefinite length": "9f01ff",
    "map of indefinite length": "bf0100ff",
    "bytes of indefinite length": "5f4101ff",
    "text of indefinite length": "7f6161ff",
    "break alone": "ff",
    "trailing item": "0102",
    "half float": "f97e01",
    "half float one": "f93c00",
    "single float": "fa3f800000",
    "double float": "fb3ff8000000000000",
    "undefined": "f7",
    "simple value 0": "e0",
    "simple value 32": "f820",
    "simple value in the reserved form": "f801",
    "boolean in two bytes": "f814",
    "date and time": "c074323031332d30332d32315432303a30343a30305a",
    "epoch time": "c11a514b67b0",
    "big number": "c24101",
    "negative big number": "c34101",
    "decimal fraction": "c48221196ab3",
    "shared reference to itself": "d81c81d81d00",
    "regular expression": "d8236128",
    "MIME message": "d824613a",
    "UUID": "d82550c0ffee00000000000000000000000000",
    "string reference namespace": "d9010080",
    "set": "d9010280",
    "tag of a CBOR file": "d9d9f701",
    "unknown tag": "d90fff01",
    "text that is not UTF-8": "61ff",
    "text with a surrogate": "63eda080",
    "nothing": "",
    "truncated bytes": "42ff",
    "truncated array": "8201",
    "array of a length nobody can hold": "9bffffffffffffffff",
    "bytes of a length nobody can hold": "5b7fffffffffffffff",
    "map of a length nobody can hold": "bb00ffffffffffffff",
    "reserved additional information": "1c",
    "negative integer below 64 bits": "3b8000000000000000",
    "lowest integer CBOR has": "3bffffffffffffffff",
    "float deep inside": "8181a10181f93c00",
}

ENCODINGS = [  # RFC 8949, appendix A
    (0, "00"),
    (23, "17"),
    (24, "1818"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-1, "20"),
    (-1000, "3903e7"),
    (-9223372036854775808, "3b7fffffffffffffff"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (b"", "40"),
    (bytes.fromhex("01020304"), "4401020304"),
    ("", "60"),
    ("IETF", "6449455446"),
    ("\u00fc", "62c3bc"),
    ("\u6c34", "63e6b0b4"),
    ("\U00010151", "64f0908591"),
    ([], "80"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    ({}, "a0"),
    ({1: 2, 3: 4}, "a201020304"),
    ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    # The largest number of each length of head, and the next.
    (255, "18ff"),
    (256, "190100"),
    (0xFFFF, "19ffff"),
    (0x10000, "1a00010000"),
    (0xFFFFFFFF, "1affffffff"),
    (0x100000000, "1b0000000100000000"),
    (-256, "38ff"),
    (-257, "390100"),
    (bytes(255), "58ff" + "00" * 255),
    (bytes(256), "590100" + "00" * 256),
]

NOT_VALUES: list[Any] = [
    1.5,
    float("nan"),
    {1, 2},
    frozenset(),
    bytearray(b"x"),
    memoryview(b"x"),
    object(),
    1j,
    cbor2.CBORTag(1, 0),
    cbor2.CBORSimpleValue(3),
    cbor2.undefined,
    1 << 64,
    -(1 << 63) - 1,
    {1: 0, "a": 0},
    {-1: 0},
    {1 << 64: 0},
    {b"a": 0},
    {True: 0},
    {None: 0},
    {(1,): 0},
    "\ud800",
    {"\udfff": 0},
]


@pytest.mark.parametrize("encoding", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_the_only_encoding_of_a_value_is_malformed(encoding: str) -> None:
    with pytest.raises(MalformedMessageError):
        codec.decode(bytes.fromhex(encoding))


@pytest.mark.parametrize(("value", "encoding"), ENCODINGS)
def test_values_encode_as_in_the_standard_and_back(value: object, encoding: str) -> None:
    assert codec.encode(value).hex() == encoding

    decoded = codec.decode(bytes.fromhex(encoding))
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize("value", NOT_VALUES, ids=lambda value: type(value).__name__)
def test_a_value_without_a_canonical_encoding_is_refused_wherever_it_stands(value: object) -> None:
    for container in (value, [value], [[1, value]], {"key": value}, {7: [value]}):
        with pytest.raises(MalformedMessageError):
            codec.encode(container)


def test_a_subclass_is_not_taken_for_its_base() -> None:
    class Number(int):
        pass

    with pytest.raises(MalformedMessageError, match="Number has no canonical encoding"):
        codec.encode([Number(1)])


def test_a_tuple_encodes_as_an_array() -> None:
    assert codec.decode(codec.encode((1, (b"x",)))) == [1, [b"x"]]


@pytest.mark.parametrize(
    "wrap", [lambda inner: [inner], lambda inner: {"k": inner}], ids=["array", "map"]
)
def test_depth_is_bounded_alike_in_both_directions(wrap: Any) -> None:
    deepest: object = []
    for _ in range(CBOR_DEPTH_MAX - 1):
        deepest = wrap(deepest)
    too_deep = wrap(deepest)

    assert codec.decode(codec.encode(deepest)) == deepest
    with pytest.raises(MalformedMessageError, match="deeper"):
        codec.encode(too_deep)
    with pytest.raises(MalformedMessageError):
        codec.decode(cbor2.dumps(too_deep))


def test_a_value_that_contains_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(MalformedMessageError, match="deeper"):
        codec.encode(endless)


def test_size_is_measured_before_anything_is_parsed() -> None:
    data = codec.encode(bytes(100))

    assert codec.decode(data, size_max_bytes=len(data)) == bytes(100)
    with pytest.raises(MalformedMessageError, match="102 bytes, at most 101"):
        codec.decode(data, size_max_bytes=len(data) - 1)
    with pytest.raises(MalformedMessageError, match="at most"):
        codec.decode(bytes(CBOR_SIZE_MAX_BYTES + 1))


def test_decoding_takes_any_buffer() -> None:
    assert codec.decode(bytearray(b"\x01")) == 1


def test_the_order_of_a_map_does_not_change_its_encoding() -> None:
    one = {"b": 1, "aa": 2, "a": 3}
    other = {"a": 3, "aa": 2, "b": 1}

    assert codec.encode(one) == codec.encode(other) == bytes.fromhex("a361610361620162616102")


@pytest.mark.parametrize("size", [0, 1, 23, 24, 255, 256, 0xFFFF, 0x10000])
def test_strings_behind_a_number_are_read_without_what_they_hold(size: int) -> None:
    data, text = bytes(size), "x" * size

    assert codec.strings_after_number(codec.encode([1, data])) == [data]
    assert codec.strings_after_number(codec.encode([23, data, text, b""])) == [
        data,
        text.encode(),
        b"",
    ]
    assert codec.strings_after_number(b"\x82\x01\x62\xff\xff") == [b"\xff\xff"]


@pytest.mark.parametrize(
    "value",
    [
        [1],
        [24, b""],
        [-1, b""],
        [b"", b""],
        [1, 1],
        [1, [b""]],
        [1, b"", None],
        [1, *[b""] * 23],
        1,
    ],
    ids=repr,
)
def test_where_anything_else_is_there_are_no_strings_behind_a_number(value: object) -> None:
    assert codec.strings_after_number(codec.encode(value)) == []


@pytest.mark.parametrize(
    "kind",
    [
        "byte string's length longer than needed",
        "text's length longer than needed",
        "bytes of indefinite length",
        "text of indefinite length",
        "truncated bytes",
        "bytes of a length nobody can hold",
        "unknown tag",
        "nothing",
    ],
)
def test_strings_in_another_encoding_are_none(kind: str) -> None:
    assert codec.strings_after_number(b"\x82\x01" + bytes.fromhex(REFUSED[kind])) == []
    assert codec.strings_after_number(b"\x82\x18\x01\x40") == []


def test_strings_that_are_cut_short_or_followed_by_anything_are_none() -> None:
    data = codec.encode([1, bytes(300), "text"])

    assert codec.strings_after_number(data)
    for size in range(len(data)):
        assert codec.strings_after_number(data[:size]) == []
    assert codec.strings_after_number(data + b"\x40") == []

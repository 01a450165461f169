"""Values and their encodings correspond one to one, and no bytes crash the decoder."""

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bftcluster import codec
from bftcluster.errors import MalformedMessageError

INTEGERS = st.integers(min_value=codec.INTEGER_MIN, max_value=codec.INTEGER_MAX)
SCALARS = st.none() | st.booleans() | INTEGERS | st.binary(max_size=40) | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.dictionaries(st.integers(min_value=0, max_value=codec.INTEGER_MAX), inner, max_size=4)
    ),
    max_leaves=20,
)
ANYTHING = st.recursive(
    SCALARS
    | st.floats()
    | st.decimals()
    | st.uuids()
    | st.datetimes(timezones=st.timezones())
    | st.just(cbor2.undefined)
    | st.integers()
    | st.frozensets(st.integers()),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(SCALARS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_was_encoded_decodes_to_the_same_value(value: object) -> None:
    data = codec.encode(value)

    decoded = codec.decode(data)
    assert decoded == value
    assert repr(decoded) == repr(codec.decode(codec.encode(decoded)))


@given(VALUES)
def test_another_encoder_makes_the_same_of_a_value(value: object) -> None:
    assert codec.encode(value) == cbor2.dumps(value, canonical=True)


@given(VALUES, VALUES)
def test_two_values_share_an_encoding_only_if_they_are_the_same(a: object, b: object) -> None:
    # True equals 1 in Python, but not on the wire.
    assert (codec.encode(a) == codec.encode(b)) == (_shape(a) == _shape(b))


def assert_value_or_malformed(data: bytes) -> None:
    try:
        value = codec.decode(data)
    except MalformedMessageError:
        return
    assert codec.encode(value) == data


@given(st.binary(max_size=64))
@example(bytes.fromhex("3bffffffffffffffff"))
def test_any_bytes_are_a_value_or_malformed(data: bytes) -> None:
    assert_value_or_malformed(data)


@given(ANYTHING, st.booleans())
def test_whatever_another_encoder_makes_is_a_value_or_malformed(
    value: object, indefinite: bool
) -> None:
    try:
        data = cbor2.dumps(value, indefinite_containers=indefinite, date_as_datetime=True)
    except (cbor2.CBOREncodeError, UnicodeEncodeError):
        return
    assert_value_or_malformed(data)


@given(VALUES, st.data())
def test_a_flipped_bit_is_a_different_value_or_malformed(
    value: object, data: st.DataObject
) -> None:
    encoding = bytearray(codec.encode(value))
    bit = data.draw(st.integers(min_value=0, max_value=len(encoding) * 8 - 1))
    encoding[bit // 8] ^= 1 << bit % 8

    try:
        decoded = codec.decode(bytes(encoding))
    except MalformedMessageError:
        return
    assert _shape(decoded) != _shape(value)


@pytest.mark.slow
@settings(max_examples=20_000)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_value_or_malformed_in_a_longer_search(data: bytes) -> None:
    assert_value_or_malformed(data)


def _shape(value: object) -> object:
    """Return what equals only for equal values of equal types."""
    if isinstance(value, list):
        return ("array", [_shape(item) for item in value])
    if isinstance(value, dict):
        items = [(_shape(key), _shape(item)) for key, item in value.items()]
        return ("map", sorted(items, key=repr))
    return (type(value).__name__, value)

"""Bytes to frames, or a protocol error: for any bytes, in any pieces."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bftcluster.errors import RemoteProtocolError
from bftcluster.net.yamux_frames import DATA, PING, SYN, WINDOW_UPDATE, Frame, FrameDecoder, encode

BODY_MAX = 64

frames = st.one_of(
    st.builds(
        lambda flags, sid, body: encode(DATA, flags, sid, len(body), body),
        st.integers(0, 15),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=BODY_MAX),
    ),
    st.builds(
        encode,
        st.integers(1, 3),
        st.integers(0, 0xFFFF),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
    ),
)
noise = st.lists(st.one_of(frames, st.binary(max_size=40)), max_size=12).map(b"".join)


def decode(pieces: list[bytes]) -> tuple[list[Frame], str]:
    """Return what a decoder makes of ``pieces``, and how it ended."""
    decoder = FrameDecoder(body_size_max=BODY_MAX)
    decoded: list[Frame] = []
    try:
        for piece in pieces:
            decoded += decoder.feed(piece)
    except RemoteProtocolError as exc:
        return decoded, str(exc)
    return decoded, ""


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(at)]


@settings(deadline=None)
@given(noise)
def test_any_bytes_are_frames_or_a_protocol_error(data: bytes) -> None:
    decoded, error = decode([data])

    encoded = b"".join(encode(*frame) for frame in decoded)
    assert data.startswith(encoded)
    assert error or len(data) - len(encoded) < 12 + BODY_MAX


@settings(deadline=None)
@given(st.lists(frames, max_size=8).map(b"".join), st.lists(st.integers(0, 10_000), max_size=20))
def test_it_does_not_matter_where_the_stream_is_cut(data: bytes, places: list[int]) -> None:
    assert decode(cut(data, places)) == decode([data])


@settings(deadline=None)
@given(noise, st.lists(st.integers(0, 10_000), max_size=20))
def test_cutting_neither_hides_nor_makes_an_error(data: bytes, places: list[int]) -> None:
    assert bool(decode(cut(data, places))[1]) == bool(decode([data])[1])


@pytest.mark.parametrize("data", [b"\x01" + bytes(11), b"\x00\x04" + bytes(10)])
def test_another_version_or_kind_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        FrameDecoder(body_size_max=BODY_MAX).feed(data)


def test_a_body_over_the_limit_is_refused_at_its_header() -> None:
    with pytest.raises(RemoteProtocolError):
        FrameDecoder(body_size_max=BODY_MAX).feed(encode(DATA, 0, 1, BODY_MAX + 1))


def test_only_data_has_a_body() -> None:
    decoder = FrameDecoder(body_size_max=BODY_MAX)

    decoded = decoder.feed(encode(WINDOW_UPDATE, SYN, 1, 1 << 20) + encode(PING, SYN, 0, 7))

    assert [frame.value for frame in decoded] == [1 << 20, 7]
    assert [frame.body for frame in decoded] == [b"", b""]

"""Length-prefixed frames on a stream."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bftcluster.errors import MessageTooLargeError, RemoteProtocolError
from bftcluster.limits import FRAME_SIZE_MAX_BYTES
from bftcluster.net.frames import HEARTBEAT, FrameReader, encode_frame


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=300)), st.lists(st.integers(0, 3000)))
def test_frames_come_out_as_they_went_in_wherever_the_stream_is_cut(
    frames: list[bytes], places: list[int]
) -> None:
    data = b"".join(encode_frame(frame) + HEARTBEAT for frame in frames)
    at = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    reader = FrameReader()

    read = [frame for a, b in pairwise(at) for frame in reader.feed(data[a:b])]

    assert read == frames


def test_a_frame_over_the_limit_is_refused_at_both_ends() -> None:
    with pytest.raises(MessageTooLargeError):
        encode_frame(bytes(FRAME_SIZE_MAX_BYTES + 1))
    with pytest.raises(RemoteProtocolError):
        FrameReader().feed((FRAME_SIZE_MAX_BYTES + 1).to_bytes(4, "big"))


def test_a_frame_at_the_limit_passes() -> None:
    frame = bytes(FRAME_SIZE_MAX_BYTES)

    assert FrameReader().feed(encode_frame(frame)) == [frame]

"""Frames on a stream: a 4-byte big-endian length, then that many bytes. Length 0 is a heartbeat."""

import struct
from typing import Final

from bftcluster.errors import MessageTooLargeError, RemoteProtocolError
from bftcluster.limits import FRAME_SIZE_MAX_BYTES

_LENGTH: Final = struct.Struct(">I")

HEARTBEAT: Final = _LENGTH.pack(0)
"""Says that the sender lives, and nothing else."""


def encode_frame(frame: bytes) -> bytes:
    """Return ``frame`` as it goes on a stream.

    Raises:
        MessageTooLargeError: Over ``FRAME_SIZE_MAX_BYTES``.
    """
    assert frame, "an empty frame is a heartbeat"
    if len(frame) > FRAME_SIZE_MAX_BYTES:
        raise MessageTooLargeError(f"{len(frame)} bytes, at most {FRAME_SIZE_MAX_BYTES}")
    return _LENGTH.pack(len(frame)) + frame


class FrameReader:
    """Cuts what arrives on a stream into frames."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that ``data`` completes, in order, without heartbeats.

        Raises:
            RemoteProtocolError: A length over ``FRAME_SIZE_MAX_BYTES``.
        """
        source: bytes | bytearray = data
        if self._pending:
            self._pending += data
            source = self._pending
        frames: list[bytes] = []
        end = len(source)
        at = 0
        while end - at >= _LENGTH.size:
            size = _LENGTH.unpack_from(source, at)[0]
            if size > FRAME_SIZE_MAX_BYTES:
                raise RemoteProtocolError(f"a frame of {size} bytes")
            start = at + _LENGTH.size
            if end - start < size:
                break
            at = start + size
            if size:
                frames.append(bytes(source[start:at]))
        if source is data:
            self._pending += data[at:]
        else:
            del self._pending[:at]
        return frames

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


class Unread:
    """What has arrived and is not a whole frame yet; what is whole is copied once."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def with_more(self, data: bytes) -> bytes | bytearray:
        """Return all that there is now that ``data`` has arrived; ``keep`` has to follow."""
        if not self._pending:
            return data
        self._pending += data
        return self._pending

    def keep(self, source: bytes | bytearray, start: int) -> None:
        """Keep what ``with_more`` returned, from ``start`` on."""
        if source is self._pending:
            del self._pending[:start]
        else:
            self._pending += source[start:]


class FrameReader:
    """Cuts what arrives on a stream into frames."""

    def __init__(self) -> None:
        self._unread = Unread()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that ``data`` completes, in order, without heartbeats.

        Raises:
            RemoteProtocolError: A length over ``FRAME_SIZE_MAX_BYTES``.
        """
        source = self._unread.with_more(data)
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
        self._unread.keep(source, at)
        return frames

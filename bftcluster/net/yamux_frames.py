"""The frames of yamux (``/yamux/1.0.0``): a 12-byte header, and a body if it is data.

No I/O here: bytes in, frames out, or a protocol error.
Source: https://github.com/hashicorp/yamux/blob/master/spec.md
"""

import struct
from enum import IntFlag
from typing import Final, NamedTuple

from bftcluster.errors import RemoteProtocolError
from bftcluster.net.frames import Unread

HEADER: Final = struct.Struct("!BBHII")
HEADER_SIZE_BYTES: Final = HEADER.size
_VERSION: Final = 0

DATA: Final = 0
WINDOW_UPDATE: Final = 1
PING: Final = 2
GO_AWAY: Final = 3


class Flag(IntFlag):
    """What a frame says besides its kind."""

    SYN = 1
    ACK = 2
    FIN = 4
    RST = 8


SYN: Final = int(Flag.SYN)
ACK: Final = int(Flag.ACK)
FIN: Final = int(Flag.FIN)
RST: Final = int(Flag.RST)


class Frame(NamedTuple):
    """One frame, as received."""

    kind: int
    flags: int
    stream_id: int
    """0 means the connection itself."""
    value: int
    """Body size of data, credit of a window update, opaque of a ping, reason of a go-away."""
    body: bytes


def encode(kind: int, flags: int, stream_id: int, value: int, body: bytes = b"") -> bytes:
    """Return a frame's bytes."""
    return HEADER.pack(_VERSION, kind, flags, stream_id, value) + body


class FrameDecoder:
    """Cuts a stream of bytes into frames.

    Holds at most one unfinished frame, so never more than ``body_size_max`` and a read.
    """

    def __init__(self, *, body_size_max: int) -> None:
        self._body_size_max = body_size_max
        self._unread = Unread()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that ``data`` completes, in order.

        Raises:
            RemoteProtocolError: Another version, an unknown kind, or a body over the limit. The
                decoder is of no use after that.
        """
        source = self._unread.with_more(data)
        frames: list[Frame] = []
        end = len(source)
        at = 0
        while end - at >= HEADER_SIZE_BYTES:
            version, kind, flags, stream_id, value = HEADER.unpack_from(source, at)
            if version != _VERSION or kind > GO_AWAY:
                raise RemoteProtocolError(f"yamux frame of version {version}, kind {kind}")
            start = at + HEADER_SIZE_BYTES
            if kind != DATA:
                frames.append(Frame(kind, flags, stream_id, value, b""))
                at = start
                continue
            if value > self._body_size_max:
                raise RemoteProtocolError(f"yamux body of {value} bytes")
            if end - start < value:
                break
            at = start + value
            frames.append(Frame(kind, flags, stream_id, value, bytes(source[start:at])))
        self._unread.keep(source, at)
        return frames

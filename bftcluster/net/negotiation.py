"""Bounds what a remote may send while a connection or a stream is being negotiated.

py-libp2p reads whatever length a multistream-select message claims: hundreds of megabytes from a
stranger, before Noise, and from a member on every stream.
"""

from libp2p.abc import IMultiselectCommunicator
from libp2p.exceptions import ParseError
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import IOException
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.protocol_muxer.exceptions import MultiselectCommunicatorError
from libp2p.utils.varint import encode_delim, read_varint_prefixed_bytes_limited

from bftcluster.errors import RemoteProtocolError
from bftcluster.limits import HANDSHAKE_READ_SIZE_MAX_BYTES, NEGOTIATION_SIZE_MAX_BYTES


class BoundedConnection(RawConnection):
    """A raw connection that reads no more at a time than a handshake needs.

    Once Noise is done, its session reads from the socket and not through this.
    """

    async def read(self, n: int | None = None) -> bytes:
        """Return up to ``n`` bytes.

        Raises:
            RemoteProtocolError: The remote has announced more than a handshake needs.
        """
        if n is None or n > HANDSHAKE_READ_SIZE_MAX_BYTES:
            raise RemoteProtocolError(f"{n} bytes announced in a handshake")
        return await super().read(n)


class BoundedCommunicator(IMultiselectCommunicator):
    """multistream-select on one stream, with messages as long as a protocol's name at most."""

    def __init__(self, stream: ReadWriteCloser) -> None:
        self._stream = stream

    async def write(self, msg_str: str) -> None:
        """Send one message.

        Raises:
            MultiselectCommunicatorError: The stream is gone.
        """
        try:
            await self._stream.write(encode_delim(msg_str.encode()))
        except IOException as exc:
            raise MultiselectCommunicatorError(str(exc)) from exc

    async def read(self) -> str:
        """Return the next message.

        Raises:
            MultiselectCommunicatorError: Not a message, too long a one, or the stream is gone.
        """
        try:
            data = await read_varint_prefixed_bytes_limited(
                self._stream, NEGOTIATION_SIZE_MAX_BYTES
            )
            text = data.decode()
        except (ParseError, IOException, UnicodeDecodeError) as exc:
            raise MultiselectCommunicatorError(str(exc)) from exc
        if not text.endswith("\n"):
            raise MultiselectCommunicatorError("a message without its newline")
        return text[:-1]

"""A fast Noise session and an allow-list, in py-libp2p's security slot. On the wire: ``/noise``.

The handshake (Noise XX, signed static keys) is py-libp2p's. What follows it is ours: one receive
takes whatever the socket holds and opens every message in it, and sealing is separate from
sending, so that the multiplexer can seal in one place and never leave half a message behind when
a writer is cancelled.
"""

import os
import struct
from collections.abc import Awaitable, Callable
from typing import Final, cast

import trio
from cryptography.exceptions import InvalidTag
from libp2p.abc import IRawConnection, ISecureConn
from libp2p.connection_types import ConnectionType
from libp2p.crypto.keys import KeyPair, PrivateKey
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.security.base_session import BaseSession
from libp2p.security.exceptions import HandshakeFailure
from libp2p.security.noise.io import NoiseTransportReadWriter
from libp2p.security.noise.transport import Transport
from libp2p.security.secure_session import SecureSession
from multiaddr import Multiaddr

from bftcluster.errors import RemoteProtocolError
from bftcluster.limits import (
    HANDSHAKE_READ_SIZE_MAX_BYTES,
    NOISE_MESSAGES_MAX,
    NOISE_PLAINTEXT_SIZE_MAX_BYTES,
)

_NONCE: Final = struct.Struct("<4xQ")
"""ChaChaPoly's nonce: four zero bytes, then the counter (Noise specification, 12.3)."""
_LENGTH: Final = struct.Struct(">H")
_RECEIVE_SIZE_SMALL_BYTES: Final = 16 << 10
_RECEIVE_SIZE_LARGE_BYTES: Final = 256 << 10

_Cipher = Callable[[bytes, bytes | memoryview, None], bytes]


class AllowedNoise(Transport):
    """Noise that finishes a handshake only with peers that ``is_allowed`` knows.

    The refusal comes as soon as the remote has proven who it is and before anything else is
    negotiated, so a stranger never reaches the multiplexer. Before it goes, it may say something to
    whoever takes ``strangers``.
    """

    def __init__(
        self,
        key_pair: KeyPair,
        noise_key: PrivateKey,
        is_allowed: Callable[[ID], bool],
        strangers: "Callable[[NoiseSession], Awaitable[None]] | None" = None,
    ) -> None:
        super().__init__(key_pair, noise_privkey=noise_key)
        self._is_allowed = is_allowed
        self._strangers = strangers

    async def secure_inbound(self, conn: IRawConnection) -> ISecureConn:
        """Answer a handshake.

        Raises:
            HandshakeFailure: The remote is not allowed.
        """
        session = await super().secure_inbound(conn)
        if self._strangers is not None and not self._is_allowed(session.get_remote_peer()):
            await self._strangers(NoiseSession(cast("SecureSession", session)))
        return await self._admit(session)

    async def secure_outbound(self, conn: IRawConnection, peer_id: ID) -> ISecureConn:
        """Start a handshake with ``peer_id``, which may have lost its place since we dialled.

        Raises:
            HandshakeFailure: The remote is not allowed.
        """
        return await self._admit(await super().secure_outbound(conn, peer_id))

    async def _admit(self, session: ISecureConn) -> ISecureConn:
        if not self._is_allowed(session.get_remote_peer()):
            await session.close()
            raise HandshakeFailure(f"{session.get_remote_peer()} is not a member")
        return NoiseSession(cast("SecureSession", session))


class NoiseSession(BaseSession):
    """A finished handshake's two ciphers over its connection.

    The multiplexer uses ``seal``, ``try_send``, ``send_sealed`` and ``read_some``; py-libp2p's
    negotiation before it uses ``read`` and ``write``.
    """

    def __init__(self, handshake: SecureSession) -> None:
        super().__init__(
            local_peer=handshake.local_peer,
            local_private_key=handshake.local_private_key,
            remote_peer=handshake.remote_peer,
            remote_permanent_pubkey=handshake.remote_permanent_pubkey,
            is_initiator=handshake.is_initiator,
        )
        assert handshake.low_watermark == handshake.high_watermark, "nothing was read ahead"
        transport = cast("NoiseTransportReadWriter", handshake.conn)
        self._raw = cast("RawConnection", transport.read_writer.read_write_closer)
        tcp = self._raw.stream
        self._socket = tcp.stream if isinstance(tcp, TrioTCPStream) else None
        """The socket itself, if there is one; otherwise everything goes through ``_raw``."""
        if not isinstance(self._socket, trio.SocketStream):
            self._socket = None
        ciphers = transport.noise_state.noise_protocol
        self._encrypt: _Cipher = ciphers.cipher_state_encrypt.cipher.cipher.encrypt
        self._decrypt: _Cipher = ciphers.cipher_state_decrypt.cipher.cipher.decrypt
        self._sent_messages: int = ciphers.cipher_state_encrypt.n
        self._received_messages: int = ciphers.cipher_state_decrypt.n
        self._ciphertext = bytearray()
        self._plaintext = bytearray()
        self._receive_size = _RECEIVE_SIZE_SMALL_BYTES
        self._write_lock = trio.Lock()

    def seal(self, plaintext: bytes) -> bytes:
        """Return ``plaintext`` as Noise messages. Sealed bytes must be sent in the order sealed.

        Raises:
            ConnectionClosedError: The session has used up its nonces.
        """
        if len(plaintext) <= NOISE_PLAINTEXT_SIZE_MAX_BYTES:
            return self._seal_message(plaintext)
        view = memoryview(plaintext)
        step = NOISE_PLAINTEXT_SIZE_MAX_BYTES
        return b"".join(
            [self._seal_message(view[at : at + step]) for at in range(0, len(view), step)]
        )

    def try_send(self, sealed: bytes) -> int:
        """Return how many bytes the socket took at once; 0 if it takes none.

        Writes to the file descriptor, because trio's sockets cannot send without yielding. The
        descriptor is asked for each time: after a close its number may be another socket's.

        Raises:
            ConnectionClosedError: The connection is gone.
        """
        if self._socket is None:
            return 0
        descriptor = self._socket.socket.fileno()
        if descriptor < 0:
            raise ConnectionClosedError("the connection is closed")
        try:
            return os.write(descriptor, sealed)
        except BlockingIOError:
            return 0
        except OSError as exc:
            raise ConnectionClosedError(str(exc)) from exc

    async def send_sealed(self, sealed: bytes | memoryview) -> None:
        """Send sealed bytes to the last. One task at a time.

        Raises:
            ConnectionClosedError: The connection is gone.
        """
        try:
            if self._socket is not None:
                await self._socket.send_all(sealed)
            else:
                await self._raw.write(bytes(sealed))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise ConnectionClosedError(str(exc)) from exc

    async def read_some(self) -> bytes:
        """Return all that has arrived, at least a byte; empty at the end of the connection.

        Raises:
            ConnectionClosedError: The connection broke.
            RemoteProtocolError: A message was not sealed by the remote.
        """
        if self._plaintext:
            plaintext = bytes(self._plaintext)
            self._plaintext.clear()
            return plaintext
        while True:
            plaintext = self._open_messages()
            if plaintext:
                return plaintext
            received = await self._receive()
            if not received:
                return b""
            self._ciphertext += received

    async def read(self, n: int | None = None) -> bytes:
        """Return exactly ``n`` bytes, fewer only at the end; without ``n`` what has arrived.

        Raises:
            ConnectionClosedError: The connection ended, or broke.
            RemoteProtocolError: A message was not sealed by the remote, or it has announced more
                than negotiating a multiplexer needs.
        """
        if n is None:
            return await self.read_some()
        if n > HANDSHAKE_READ_SIZE_MAX_BYTES:
            raise RemoteProtocolError(f"{n} bytes announced in a negotiation")
        kept = bytearray()
        while len(kept) < n:
            chunk = await self.read_some()
            if not chunk:
                break
            kept += chunk
        if n and not kept:
            raise ConnectionClosedError("the connection ended")
        self._plaintext = kept[n:]
        return bytes(kept[:n])

    async def write(self, data: bytes) -> None:
        """Seal and send ``data``.

        Raises:
            ConnectionClosedError: The connection is gone.
        """
        async with self._write_lock:
            await self.send_sealed(self.seal(bytes(data)))

    async def close(self) -> None:
        """Close the connection."""
        await self._raw.close()

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return the remote's address and port."""
        return self._raw.get_remote_address()

    def get_transport_addresses(self) -> list[Multiaddr]:
        """Return the remote's address as libp2p wants it."""
        return self._raw.get_transport_addresses()

    def get_connection_type(self) -> ConnectionType:
        """Return whether the connection is direct."""
        return self._raw.get_connection_type()

    def _seal_message(self, chunk: bytes | memoryview) -> bytes:
        if self._sent_messages >= NOISE_MESSAGES_MAX:
            raise ConnectionClosedError("the session has used up its nonces")
        sealed = self._encrypt(_NONCE.pack(self._sent_messages), chunk, None)
        self._sent_messages += 1
        return _LENGTH.pack(len(sealed)) + sealed

    def _open_messages(self) -> bytes:
        """Return the plaintext of every whole message received; keep the rest."""
        buffer = self._ciphertext
        end = len(buffer)
        at = 0
        opened: list[bytes] = []
        with memoryview(buffer) as view:
            while end - at >= _LENGTH.size:
                start = at + _LENGTH.size
                stop = start + _LENGTH.unpack_from(buffer, at)[0]
                if stop > end:
                    break
                opened.append(self._open_message(view[start:stop]))
                at = stop
        del buffer[:at]
        return opened[0] if len(opened) == 1 else b"".join(opened)

    def _open_message(self, sealed: memoryview) -> bytes:
        if self._received_messages >= NOISE_MESSAGES_MAX:
            raise RemoteProtocolError("the remote has used up its nonces")
        with sealed:
            try:
                opened = self._decrypt(_NONCE.pack(self._received_messages), sealed, None)
            except (InvalidTag, ValueError):
                raise RemoteProtocolError("a Noise message is not authentic") from None
        self._received_messages += 1
        return opened

    async def _receive(self) -> bytes:
        """Take what the socket holds. A full read asks for more next time, a small one for less."""
        try:
            if self._socket is None:
                return await self._raw.read(HANDSHAKE_READ_SIZE_MAX_BYTES)
            received = await self._socket.receive_some(self._receive_size)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise ConnectionClosedError(str(exc)) from exc
        if len(received) == self._receive_size:
            self._receive_size = _RECEIVE_SIZE_LARGE_BYTES
        elif len(received) < _RECEIVE_SIZE_SMALL_BYTES:
            self._receive_size = _RECEIVE_SIZE_SMALL_BYTES
        return bytes(received)

"""What a remote may announce before it has proven anything."""

import pytest
from libp2p.io.trio import TrioTCPStream
from libp2p.protocol_muxer.exceptions import MultiselectCommunicatorError
from trio.testing import memory_stream_pair

from bftcluster.errors import RemoteProtocolError
from bftcluster.net.negotiation import BoundedCommunicator, BoundedConnection


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff\xff\xff\xff\x7f" + bytes(100),
        b"\x00",
        b"\x03abc",
        b"\x03\xff\xfe\n",
        b"\xff" * 11,
        b"\x05ab",
    ],
    ids=["huge", "empty", "no newline", "not text", "no length", "cut off"],
)
async def test_what_is_no_protocol_name_ends_the_negotiation(sent: bytes) -> None:
    ours, theirs = memory_stream_pair()
    await theirs.send_all(sent)
    await theirs.send_eof()

    with pytest.raises(MultiselectCommunicatorError):
        await BoundedCommunicator(TrioTCPStream(ours)).read()


async def test_names_pass_in_both_directions() -> None:
    ours, theirs = memory_stream_pair()
    await BoundedCommunicator(TrioTCPStream(ours)).write("/bftcluster/rpc/1")

    assert await BoundedCommunicator(TrioTCPStream(theirs)).read() == "/bftcluster/rpc/1"


@pytest.mark.parametrize("size", [None, 65536, 1 << 40])
async def test_a_handshake_reads_no_more_than_a_noise_message(size: int | None) -> None:
    ours, _ = memory_stream_pair()

    with pytest.raises(RemoteProtocolError):
        await BoundedConnection(TrioTCPStream(ours), False).read(size)

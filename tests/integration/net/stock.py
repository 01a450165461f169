"""A stock py-libp2p host, and a bare host of ours, for tests of what travels between them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from libp2p import new_host
from libp2p.abc import IHost
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as x25519_key_pair
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as StockNoise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux as StockYamux
from multiaddr import Multiaddr

from bftcluster.net import tcp
from bftcluster.net.host import ClusterHost, running_host
from bftcluster.net.settings import NetworkSettings

ANY = "/ip4/127.0.0.1/tcp/0"


def everyone(_: ID) -> bool:
    return True


@asynccontextmanager
async def fast_host(
    number: int,
    is_allowed: Callable[[ID], bool] = everyone,
    settings: NetworkSettings | None = None,
) -> AsyncIterator[ClusterHost]:
    """Run a host of ours."""
    async with running_host(
        seed=bytes([number]) * 32,
        sockets=await tcp.bind([ANY]),
        is_allowed=is_allowed,
        settings=settings or NetworkSettings(),
    ) as host:
        yield host


@asynccontextmanager
async def stock_host(number: int, **options: object) -> AsyncIterator[IHost]:
    """Run a host of py-libp2p as it comes, but for Noise and yamux being all it offers."""
    key_pair = create_new_key_pair(bytes([number]) * 32)
    options.setdefault("sec_opt", {NOISE: StockNoise(key_pair, x25519_key_pair().private_key)})
    options.setdefault("muxer_opt", {TProtocol(YAMUX): StockYamux})
    host = new_host(key_pair=key_pair, **options)
    async with host.run([Multiaddr(ANY)]):
        yield host
        await host.close()


def address_of(host: IHost) -> str:
    """Return where a host listens."""
    return str(host.get_transport_addrs()[0])


async def read_exactly(stream, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        data += await stream.read(min(65536, size - len(data)))
    return bytes(data)


async def echo(stream) -> None:
    """Send back whatever comes, until the other side ends the stream."""
    while True:
        await stream.write(await stream.read(65536))


async def swallow(task: Callable, *args: object) -> None:
    """Run a stock handler's work; its exceptions would stop the stock host."""
    try:
        await task(*args)
    except (OSError, trio.BrokenResourceError, Exception):  # noqa: BLE001
        return

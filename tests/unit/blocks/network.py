"""Peers whose frames travel through memory channels, and may be tampered with on the way."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from bftcluster.blocks.exchange.exchange import Exchange
from bftcluster.blocks.exchange.settings import ExchangeSettings
from bftcluster.blocks.port import BlockStore
from bftcluster.errors import PeerUnreachableError, RemoteProtocolError
from bftcluster.ids import PeerId

_T = TypeVar("_T")
Filter = Callable[[bytes], list[bytes]]


async def inline(work: Callable[[], _T], /) -> _T:
    """Run at once: a virtual clock must not jump while a thread works."""
    await trio.lowlevel.checkpoint()
    return work()


def peer_id(number: int) -> PeerId:
    return PeerId(bytes([number]) * 32)


class Network:
    """A full mesh. ``tamper[peer]`` sees every frame that the peer sends."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._links: dict[tuple[PeerId, PeerId], trio.MemorySendChannel[bytes]] = {}
        self.ends: dict[PeerId, Exchange] = {}
        self.tamper: dict[PeerId, Filter] = {}
        self.gone: set[PeerId] = set()
        self.sent: list[tuple[PeerId, PeerId, bytes]] = []
        self.protocol_errors: list[RemoteProtocolError] = []

    async def add(
        self, peer: PeerId, store: BlockStore, settings: ExchangeSettings | None = None
    ) -> Exchange:
        async def send(to: PeerId, frame: bytes) -> None:
            await self._send(peer, to, frame)

        end = Exchange(store=store, send=send, settings=settings, offload=inline)
        await self._nursery.start(end.run)
        self.ends[peer] = end
        return end

    async def _send(self, sender: PeerId, to: PeerId, frame: bytes) -> None:
        if to in self.gone or sender in self.gone:
            raise PeerUnreachableError("gone")
        if (sender, to) not in self._links:
            channel, frames = trio.open_memory_channel[bytes](4)
            self._links[sender, to] = channel
            self._nursery.start_soon(self._deliver, sender, to, frames)
        for sent in self.tamper.get(sender, lambda frame: [frame])(frame):
            self.sent.append((sender, to, sent))
            await self._links[sender, to].send(sent)

    async def _deliver(
        self, sender: PeerId, to: PeerId, frames: trio.MemoryReceiveChannel[bytes]
    ) -> None:
        async for frame in frames:
            try:
                await self.ends[to].on_frame(sender, frame)
            except RemoteProtocolError as exc:
                self.protocol_errors.append(exc)


@asynccontextmanager
async def open_network() -> AsyncIterator[Network]:
    async with trio.open_nursery() as nursery:
        yield Network(nursery)
        nursery.cancel_scope.cancel()

"""Two or more networks on 127.0.0.1, in one trio process."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import trio

from bftcluster.ids import PeerId
from bftcluster.net.door import Doorkeeper
from bftcluster.net.inbox import FrameHandler
from bftcluster.net.network import Network
from bftcluster.net.rpc import Method
from bftcluster.net.settings import NetworkSettings
from bftcluster.net.streams import StreamClass

TIMEOUT_S = 10
QUICK = NetworkSettings(
    dial_head_start_s=0.05, backoff_min_s=0.02, backoff_max_s=0.2, heartbeat_interval_s=0.1
)


class Node:
    """A network and what it received."""

    def __init__(
        self,
        number: int,
        settings: NetworkSettings = QUICK,
        methods: Mapping[str, Method] | None = None,
        handlers: Mapping[StreamClass, FrameHandler] | None = None,
        listen: str = "/ip4/127.0.0.1/tcp/0",
        doorkeeper: Doorkeeper | None = None,
    ) -> None:
        self.received: list[tuple[PeerId, StreamClass, bytes]] = []
        self.arrived = trio.Event()
        self.network = Network(
            seed=bytes([number]) * 32,
            listen=[listen],
            peers={},
            handlers={each: self.taker(each) for each in StreamClass if each is not StreamClass.RPC}
            | dict(handlers or {}),
            methods=methods,
            settings=settings,
            doorkeeper=doorkeeper,
        )
        self.me = self.network.me

    def taker(self, stream_class: StreamClass) -> Callable:
        async def take(peer: PeerId, frame: bytes) -> None:
            self.received.append((peer, stream_class, frame))
            self.arrived.set()

        return take

    async def wait_for_frames(self, count: int) -> None:
        while len(self.received) < count:
            self.arrived = trio.Event()
            await self.arrived.wait()

    async def linked_to(self, *others: "Node") -> None:
        """Wait until frames reach the others."""
        await self.network.wait_for_links(
            lambda links: all(o.me in links and links[o.me].connected for o in others)
        )

    async def unlinked_from(self, other: "Node") -> None:
        """Wait until frames no longer reach the other."""
        await self.network.wait_for_links(lambda links: not links[other.me].connected)


def introduce(*nodes: Node) -> None:
    """Let every node know every other."""
    addresses = {node.me: node.network.addresses for node in nodes}
    for node in nodes:
        node.network.allow(addresses)


async def linked(*nodes: Node) -> None:
    """Wait until frames reach everyone from everyone."""
    with trio.fail_after(TIMEOUT_S):
        for node in nodes:
            await node.linked_to(*(other for other in nodes if other is not node))


@asynccontextmanager
async def running(*nodes: Node) -> AsyncIterator[trio.Nursery]:
    """Run networks; leaving stops them."""
    async with trio.open_nursery() as nursery:
        for node in nodes:
            await nursery.start(node.network.run)
        yield nursery
        nursery.cancel_scope.cancel()

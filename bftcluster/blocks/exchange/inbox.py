"""Brings what providers send to the requests that wait for it."""

import math
from collections.abc import Sequence
from typing import Final

import trio

from bftcluster.blocks.exchange.exchange_messages import End
from bftcluster.blocks.exchange.fetch_plan import ProviderFault
from bftcluster.blocks.formats.block import Block
from bftcluster.ids import PeerId
from bftcluster.shell_limits import BLOCK_SIZE_MAX_BYTES

Event = Sequence[Block] | End | ProviderFault
"""Blocks that were verified, the end of the request, or what the provider did wrong."""


class RequestInbox:
    """Where frames for one request arrive: blocks that were verified, its end, or a fault."""

    def __init__(self, peer: PeerId, window_bytes: int) -> None:
        self._sender, self._receiver = trio.open_memory_channel[Event](math.inf)
        self.peer: Final = peer
        self._window_bytes = window_bytes
        self._held_bytes = 0

    def put(self, event: Event) -> None:
        """Take an event; blocks beyond the window become a fault, so this stays bounded."""
        if not isinstance(event, End | ProviderFault):
            self._held_bytes += sum(len(block.data) for block in event)
            if self._held_bytes > self._window_bytes + BLOCK_SIZE_MAX_BYTES:
                event = ProviderFault.FLOODING
        self._sender.send_nowait(event)

    async def get(self) -> Event:
        """Wait for the next event."""
        return await self._receiver.receive()

    def credit(self, size_bytes: int) -> None:
        """So much more may come."""
        self._held_bytes -= size_bytes


class Router:
    """Numbers requests, and brings what comes for them to their inboxes."""

    def __init__(self) -> None:
        self._inboxes: dict[int, RequestInbox] = {}
        self._next_number = 0

    def open(self, peer: PeerId, window_bytes: int) -> tuple[int, RequestInbox]:
        """Return a new number and its inbox."""
        self._next_number += 1
        inbox = self._inboxes[self._next_number] = RequestInbox(peer, window_bytes)
        return self._next_number, inbox

    def close(self, number: int) -> None:
        """Let what still comes for a request be ignored."""
        del self._inboxes[number]

    def find(self, peer: PeerId, number: int) -> RequestInbox | None:
        """Return the inbox of a live request to ``peer``."""
        inbox = self._inboxes.get(number)
        return inbox if inbox is not None and inbox.peer == peer else None

    def blame(self, peer: PeerId, fault: ProviderFault) -> None:
        """End every request to ``peer``."""
        for inbox in self._inboxes.values():
            if inbox.peer == peer:
                inbox.put(fault)

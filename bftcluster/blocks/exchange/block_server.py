"""Serves blocks to other peers: the provider's side of block exchange."""

import functools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import trio

from bftcluster.blocks.dag.dag_stream import DagStream
from bftcluster.blocks.exchange import exchange_messages as messages
from bftcluster.blocks.port import BlockSource
from bftcluster.cid import Cid
from bftcluster.errors import ClusterError, TransportError
from bftcluster.ids import PeerId
from bftcluster.log_pace import LogPace, also
from bftcluster.shell_limits import (
    BLOCKS_FRAME_SIZE_BYTES,
    END_ABSENT_MAX,
    SERVED_REQUESTS_PER_PEER_MAX,
    WINDOW_SIZE_MAX_BYTES,
)

log = logging.getLogger(__name__)

_T = TypeVar("_T")

Send = Callable[[PeerId, bytes], Awaitable[None]]
"""Send one frame to a peer on the block stream; waits while its queue is full.

Raises:
    TransportError: The peer cannot be reached.
"""


class Offload(Protocol):
    """Runs something that blocks away from the event loop."""

    async def __call__(self, work: Callable[[], _T], /) -> _T:
        """Return what ``work`` returns."""
        ...


Elsewhere = Callable[[PeerId, messages.Want], Awaitable[tuple[BlockSource, Offload] | None]]
"""Returns from where else to serve a peer what it asks for, and where to read that; None: from
nowhere."""


async def nowhere(peer: PeerId, want: messages.Want) -> None:
    """Serve our own blocks only."""


@dataclass(slots=True)
class _Serving:
    window_bytes: int
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    credited: trio.Event = field(default_factory=trio.Event)


class BlockServer:
    """Streams what peers ask for, as fast as they give credit."""

    def __init__(
        self,
        store: BlockSource,
        send: Send,
        offload: Offload,
        *,
        credit_timeout_s: float,
    ) -> None:
        """Serve from ``store``; give a request up when no credit came for so many seconds."""
        self.elsewhere: Elsewhere = nowhere
        """From where else peers are served."""
        self._store = store
        self._send = send
        self._offload: Final = offload
        self._credit_timeout_s = credit_timeout_s
        self._servings: dict[PeerId, dict[int, _Serving]] = {}
        self._refusing: set[PeerId] = set()
        self._pace = LogPace()

    async def serve(self, peer: PeerId, want: messages.Want) -> None:
        """Answer one request to its end; a request whose number is in use is ignored."""
        servings = self._servings.setdefault(peer, {})
        if want.request in servings:
            return
        if len(servings) >= SERVED_REQUESTS_PER_PEER_MAX:
            await self._refuse(peer, want)
            return
        serving = _Serving(min(want.window_bytes, WINDOW_SIZE_MAX_BYTES))
        servings[want.request] = serving
        try:
            with serving.scope:
                await self._stream(peer, want, serving)
        finally:
            del servings[want.request]
            if not servings:
                self._servings.pop(peer, None)

    def credit(self, peer: PeerId, credit: messages.Credit) -> None:
        """Let a request go on; late credit for one that has ended is nothing."""
        serving = self._servings.get(peer, {}).get(credit.request)
        if serving is not None:
            granted = serving.window_bytes + credit.size_bytes
            serving.window_bytes = min(granted, WINDOW_SIZE_MAX_BYTES)
            serving.credited.set()

    def cancel(self, peer: PeerId, cancel: messages.CancelWant) -> None:
        """Stop a request."""
        serving = self._servings.get(peer, {}).get(cancel.request)
        if serving is not None:
            serving.scope.cancel()

    async def _stream(self, peer: PeerId, want: messages.Want, serving: _Serving) -> None:
        found = await self.elsewhere(peer, want)
        if found is None and want.holder is not None:
            await self._end(peer, want, messages.EndStatus.SERVED, want.cids[:END_ABSENT_MAX])
            return
        source, offload = found or (self._store, self._offload)
        stream = DagStream(source, want.cids, want.leaf_budget_bytes)
        try:
            while not stream.finished:
                if not await self._has_credit(serving):
                    return
                limit = min(serving.window_bytes, BLOCKS_FRAME_SIZE_BYTES)
                frame, size_bytes = await offload(
                    functools.partial(_next_frame, stream, want.request, limit)
                )
                if frame:
                    serving.window_bytes -= size_bytes
                    await self._send(peer, frame)
            await self._end(peer, want, messages.EndStatus.SERVED, tuple(stream.absent))
        except TransportError:
            return
        except ClusterError as exc:
            if (left_out := self._pace.left_out(peer, trio.current_time())) is not None:
                log.warning("a peer is not served: %s%s", exc, also(left_out))
            await self._refuse(peer, want)

    async def _has_credit(self, serving: _Serving) -> bool:
        """Wait for credit; return False if the requester has forgotten us."""
        with trio.move_on_after(self._credit_timeout_s):
            while serving.window_bytes <= 0:
                serving.credited = trio.Event()
                await serving.credited.wait()
        return serving.window_bytes > 0

    async def _refuse(self, peer: PeerId, want: messages.Want) -> None:
        """Say that we are busy; while that is being sent, further requests are ignored."""
        if peer in self._refusing:
            return
        self._refusing.add(peer)
        try:
            await self._end(peer, want, messages.EndStatus.BUSY, ())
        finally:
            self._refusing.discard(peer)

    async def _end(
        self, peer: PeerId, want: messages.Want, status: messages.EndStatus, absent: tuple[Cid, ...]
    ) -> None:
        end = messages.End(request=want.request, status=status, absent=absent)
        await self._send(peer, messages.to_frame(end))


def _next_frame(stream: DagStream, request: int, size_max_bytes: int) -> tuple[bytes, int]:
    """Return the next frame and how many bytes of blocks are in it; no blocks, no frame."""
    batch = stream.next_batch(size_max_bytes)
    if not batch:
        return b"", 0
    size_bytes = sum(len(data) for _, data in batch)
    return messages.to_frame(messages.Blocks(request=request, blocks=tuple(batch))), size_bytes

"""Block exchange between our own peers: fetches whole DAGs, and serves them to others.

Frames travel on one one-way stream each way (`exchange_messages`); this neither opens streams nor
knows how they are encrypted.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import trio

from bftcluster.blocks.exchange.block_server import (
    BlockServer,
    Elsewhere,
    Offload,
    Send,
)
from bftcluster.blocks.exchange.dag_fetch import DagFetch
from bftcluster.blocks.exchange.exchange_messages import (
    Blocks,
    CancelWant,
    Credit,
    End,
    Message,
    Want,
    from_frame,
    to_frame,
)
from bftcluster.blocks.exchange.fetch_plan import ProviderFault
from bftcluster.blocks.exchange.fetch_report import FetchProgress, FetchReport
from bftcluster.blocks.exchange.inbox import Router
from bftcluster.blocks.exchange.settings import ExchangeSettings
from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.formats.links import may_link
from bftcluster.blocks.port import BlockStore
from bftcluster.cid import Cid, text
from bftcluster.errors import (
    BlockNotFoundError,
    CidMismatchError,
    MalformedMessageError,
    TransportError,
)
from bftcluster.ids import PeerId
from bftcluster.shell_limits import BLOCK_SIZE_MAX_BYTES

_INLINE_SIZE_MAX_BYTES = 16 << 10
"""Smaller frames are decoded on the event loop: a thread would cost more."""

_ALONE_S = 1.0
"""For so long a peer is the only one that is asked for a block."""

_TRIES_MAX = 3
"""A DAG that shares blocks with one that is being dropped may lose them before it holds them."""


class Exchange:
    """One peer's end of block exchange."""

    def __init__(
        self,
        *,
        store: BlockStore,
        send: Send,
        offload: Offload,
        offload_serving: Offload | None = None,
        settings: ExchangeSettings | None = None,
    ) -> None:
        """Serve from and fetch into ``store``.

        Args:
            store: Where blocks are and go; it blocks, so it is called through ``offload``.
            send: Sends one frame to a peer.
            offload: Runs what blocks; a test with a virtual clock calls it directly.
            offload_serving: Likewise, what blocks for other peers, if that is to be apart.
            settings: How fetches behave.
        """
        self._store = store
        self._hand_over = send
        self.sent_bytes = 0
        """In frames handed over, since the start."""
        self.received_bytes = 0
        self._settings = settings or ExchangeSettings()
        self._offload = offload
        self._router = Router()
        self._server = BlockServer(
            store,
            self._send,
            offload_serving or offload,
            credit_timeout_s=self._settings.credit_timeout_s,
        )
        self._slow: set[PeerId] = set()
        """Peers that did not answer in ``_ALONE_S`` when they were asked for a block last."""
        self._nursery: trio.Nursery | None = None

    async def run(self, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:  # noqa: ANN401
        """Serve others until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def serve_elsewhere(self, elsewhere: Elsewhere) -> None:
        """Serve others from somewhere else as well."""
        self._server.elsewhere = elsewhere

    async def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Take one frame from a peer; the next one of this peer comes when this returns.

        Raises:
            MalformedMessageError: Not a message; every request to this peer has failed.
        """
        self.received_bytes += len(frame)
        try:
            if len(frame) <= _INLINE_SIZE_MAX_BYTES:
                message = from_frame(frame)
            else:
                message = await self._offload(lambda: from_frame(frame))
        except MalformedMessageError:
            self._router.blame(peer, ProviderFault.MALFORMED)
            raise
        await self._dispatch(peer, message)

    async def fetch_dag(
        self,
        root: Cid,
        providers: Sequence[PeerId],
        *,
        progress: Callable[[FetchProgress], None] | None = None,
    ) -> FetchReport:
        """Bring everything below ``root`` here, and keep it; durable on return.

        What is here already is not asked for again, so a fetch that was cut short resumes. The
        root is listed by the store, incomplete, from the start: ``unpin_root`` gives it up.

        Args:
            root: The root of the DAG.
            providers: Peers to ask, all at once; those that lie or fall silent are dropped.
            progress: Called from the event loop whenever a group has been stored.

        Raises:
            FetchFailedError: The providers together do not have it all.
            StoreFullError: It does not fit.
            MalformedContentError: The DAG cannot be walked.
            BlockNotFoundError: Blocks that were here are deleted again and again meanwhile.
            BlockStoreError: ``unpin_root`` gave it up meanwhile.
        """
        for _ in range(_TRIES_MAX - 1):
            with contextlib.suppress(BlockNotFoundError, CidMismatchError):
                return await self._fetch(root, providers, progress)
        return await self._fetch(root, providers, progress)

    async def fetch_block(
        self, cid: Cid, providers: Sequence[PeerId], *, holder: PeerId | None = None
    ) -> bytes:
        """Return one block from the first provider that sends it; it is not kept.

        Args:
            cid: Which; nothing below it is sent.
            providers: Peers to ask, one after the other, each for a moment alone. Who made us wait
                for longer the last time is asked last.
            holder: Whose copy they are to send, if not their own.

        Raises:
            BlockNotFoundError: None of them has it.
        """
        found: list[bytes] = []
        async with trio.open_nursery() as nursery:

            async def ask(peer: PeerId, ended: trio.Event) -> None:
                asked_s = trio.current_time()
                data = await self._ask(peer, cid, holder)
                if trio.current_time() < asked_s + _ALONE_S:
                    self._slow.discard(peer)
                if data is not None:
                    found.append(data)
                    nursery.cancel_scope.cancel()
                ended.set()

            for peer in sorted(providers, key=self._slow.__contains__):
                ended = trio.Event()
                nursery.start_soon(ask, peer, ended)
                with trio.move_on_after(_ALONE_S):
                    await ended.wait()
                if not ended.is_set():
                    self._slow.add(peer)
        if found:
            return found[0]
        raise BlockNotFoundError(f"no peer that is connected has the block {text(cid)}")

    async def _send(self, peer: PeerId, frame: bytes) -> None:
        await self._hand_over(peer, frame)
        self.sent_bytes += len(frame)

    async def _ask(self, peer: PeerId, cid: Cid, holder: PeerId | None) -> bytes | None:
        data: bytes | None = None
        number, inbox = self._router.open(peer, BLOCK_SIZE_MAX_BYTES)
        # The first block is always sent; with a window of one byte, nothing below it is.
        window_bytes = 1 if may_link(cid) else BLOCK_SIZE_MAX_BYTES
        want = Want(
            request=number,
            window_bytes=window_bytes,
            leaf_budget_bytes=0,
            cids=(cid,),
            holder=holder,
        )
        try:
            with trio.move_on_after(self._settings.silence_timeout_s):
                await self._send(peer, to_frame(want))
                match await inbox.get():
                    case ProviderFault() | End():
                        pass
                    case blocks:
                        data = next((block.data for block in blocks if block.cid == cid), None)
                if may_link(cid):
                    await self._send(peer, to_frame(CancelWant(request=number)))
        except TransportError:
            return None
        finally:
            self._router.close(number)
        return data

    async def _fetch(
        self,
        root: Cid,
        providers: Sequence[PeerId],
        progress: Callable[[FetchProgress], None] | None,
    ) -> FetchReport:
        fetch = DagFetch(
            root,
            providers,
            store=self._store,
            send=self._send,
            offload=self._offload,
            router=self._router,
            settings=self._settings,
            progress=progress,
        )
        return await fetch.run()

    async def _dispatch(self, peer: PeerId, message: Message) -> None:
        match message:
            case Want():
                assert self._nursery is not None, "frames come only while `run` runs"
                self._nursery.start_soon(self._serve, peer, message)
            case Credit():
                self._server.credit(peer, message)
            case CancelWant():
                self._server.cancel(peer, message)
            case Blocks():
                await self._take(peer, message)
            case End():
                inbox = self._router.find(peer, message.request)
                if inbox is not None:
                    inbox.put(message)

    async def _serve(self, peer: PeerId, want: Want) -> None:
        try:
            await self._server.serve(peer, want)
        except TransportError:
            return

    async def _take(self, peer: PeerId, message: Blocks) -> None:
        """Verify blocks, if somebody waits for them still."""
        if self._router.find(peer, message.request) is None:
            return
        try:
            blocks = await self._offload(
                lambda: [Block.check(cid, data) for cid, data in message.blocks]
            )
        except CidMismatchError:
            self._router.blame(peer, ProviderFault.BAD_BLOCK)
            return
        inbox = self._router.find(peer, message.request)
        if inbox is not None:
            inbox.put(blocks)

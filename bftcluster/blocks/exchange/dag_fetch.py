"""Fetches one DAG from many providers: the requester's side of block exchange.

Two workers per provider take lists of missing blocks, ask for them, and follow the links of what
comes; one writer stores it in groups and gives credit. Leaves that a provider does not send
unasked are shared out among all.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from bftcluster.blocks.dag.survey import Survey
from bftcluster.blocks.exchange.block_server import Offload, Send
from bftcluster.blocks.exchange.exchange_messages import (
    CancelWant,
    Credit,
    End,
    EndStatus,
    Want,
    to_frame,
)
from bftcluster.blocks.exchange.fetch_plan import FetchPlan, Provider, ProviderFault, Request
from bftcluster.blocks.exchange.fetch_report import (
    FetchFailedError,
    FetchProgress,
    FetchReport,
    ProviderReport,
)
from bftcluster.blocks.exchange.inbox import Event, RequestInbox, Router
from bftcluster.blocks.exchange.settings import ExchangeSettings
from bftcluster.blocks.formats.block import Block
from bftcluster.blocks.formats.dag_pb import DagLink
from bftcluster.blocks.formats.links import links_of, may_link
from bftcluster.blocks.port import BlockStore, Hold
from bftcluster.cid import Cid, text
from bftcluster.errors import (
    BlockStoreError,
    ClusterError,
    RefusedError,
    StorageError,
    TransportError,
)
from bftcluster.ids import PeerId
from bftcluster.shell_limits import BLOCK_SIZE_MAX_BYTES, STORE_GROUP_SIZE_BYTES


@dataclass(frozen=True, slots=True)
class _Received:
    """Bytes that a provider is to be credited for, and the block if it was missing."""

    request: Request
    inbox: RequestInbox
    size_bytes: int
    block: Block | None


class DagFetch:
    """One DAG on its way here."""

    def __init__(
        self,
        root: Cid,
        providers: Sequence[PeerId],
        *,
        store: BlockStore,
        send: Send,
        offload: Offload,
        router: Router,
        settings: ExchangeSettings,
        progress: Callable[[FetchProgress], None] | None,
    ) -> None:
        self._root = root
        self._providers = [Provider(peer) for peer in dict.fromkeys(providers)]
        self._store = store
        self._send = send
        self._offload = offload
        self._router = router
        self._settings = settings
        self._progress = progress
        self._survey = Survey(store, root)
        self._plan = FetchPlan()
        self._changed = trio.Event()
        self._idle: set[object] = set()
        """Workers that have found nothing to do since the last change."""
        self._workers = max(1, len(self._providers) * settings.requests_per_provider)
        share = settings.window_total_bytes // self._workers
        self._window_bytes = max(share, BLOCK_SIZE_MAX_BYTES)
        self._working = self._workers if self._providers else 0
        self._stored_blocks = 0
        self._stored_bytes = 0
        self._received, self._to_store = trio.open_memory_channel[_Received](math.inf)
        self._scope = trio.CancelScope()
        self._failure: ClusterError | None = None

    async def run(self) -> FetchReport:
        """Bring what is missing; see ``Exchange.fetch_dag``."""
        hold = await self._offload(functools.partial(self._store.begin, self._root))
        self._plan.add(await self._offload(self._survey.start))
        if self._plan.missing:
            with self._scope:
                await self._bring(hold)
        if self._failure is not None:
            raise self._failure
        if self._plan.missing:
            raise FetchFailedError(self._root, len(self._plan.missing), self._reports())
        if await self._offload(functools.partial(self._store.find_root, self._root)) is None:
            raise BlockStoreError(f"{text(self._root)} was given up while it was fetched")
        await self._offload(functools.partial(self._store.pin_root, self._root))
        return FetchReport(
            blocks=self._stored_blocks,
            content_bytes=self._stored_bytes,
            providers=self._reports(),
        )

    async def _bring(self, hold: Hold) -> None:
        """Run the workers and the writer until nothing is missing, or nobody can bring it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, hold)
            async with trio.open_nursery() as workers:
                for provider in self._providers:
                    for _ in range(self._settings.requests_per_provider):
                        workers.start_soon(self._work, provider)
                workers.start_soon(self._end_when_complete, workers.cancel_scope)
            self._received.close()

    # ---- the workers

    async def _work(self, provider: Provider) -> None:
        try:
            while cids := await self._next_cids(provider):
                await self._request(provider, cids)
        except (BlockStoreError, StorageError) as exc:
            self._fail(exc)
        finally:
            self._working = max(0, self._working - 1)
            self._wake()

    async def _next_cids(self, provider: Provider) -> list[Cid]:
        """Wait for something to ask ``provider`` for; nothing if there will be nothing."""
        settings = self._settings
        me = object()
        while self._plan.missing and not provider.dropped:
            size_bytes = self._plan.share(self._workers, settings.request_size_bytes)
            if cids := self._plan.take(provider, size_bytes):
                return cids
            self._idle.add(me)
            if len(self._idle) == self._working and not self._plan.requests:
                self._nobody_can_help()
            changed = False
            with trio.move_on_after(settings.hedge_after_s):
                await self._changed.wait()
                changed = True
            quiet_since_s = trio.current_time() - settings.hedge_after_s
            if not changed and (cids := self._plan.hedge(provider, quiet_since_s, size_bytes)):
                self._idle.discard(me)
                return cids
        return []

    async def _request(self, provider: Provider, cids: Sequence[Cid]) -> None:
        """Ask for blocks, take what comes, and give back what does not."""
        number, inbox = self._router.open(provider.peer, self._window_bytes)
        request = Request(
            number=number,
            provider=provider,
            listed=frozenset(cids),
            expected=dict.fromkeys(cids),
            leaf_budget_bytes=self._settings.leaf_budget_bytes,
            last_useful_s=trio.current_time(),
        )
        self._plan.requests.append(request)
        ended = False
        try:
            ended = await self._converse(request, inbox)
        finally:
            self._router.close(number)
            self._plan.give_back(request)
            self._wake()
            if not ended:
                await self._cancel(request)

    async def _converse(self, request: Request, inbox: RequestInbox) -> bool:
        """Send a request and take its blocks; return whether the provider has ended it."""
        provider = request.provider
        want = Want(
            request=request.number,
            window_bytes=self._window_bytes,
            leaf_budget_bytes=request.leaf_budget_bytes,
            cids=tuple(request.expected),
        )
        try:
            with trio.fail_after(self._settings.silence_timeout_s):
                await self._send(provider.peer, to_frame(want))
        except (TransportError, trio.TooSlowError):
            provider.blame(ProviderFault.UNREACHABLE)
            return False
        except RefusedError:
            provider.blame(ProviderFault.BUSY)  # nothing was sent, so there is nothing to cancel
            return True
        while request.expected and not provider.dropped:
            match await self._next_event(request, inbox):
                case ProviderFault() as fault:
                    provider.blame(fault)
                case End(status=EndStatus.BUSY):
                    provider.blame(ProviderFault.BUSY)
                    return True
                case End():
                    provider.lacks.update(request.listed.intersection(request.expected))
                    return True
                case blocks:
                    await self._accept(request, inbox, blocks)
        return not provider.dropped and not any(map(may_link, request.listed))

    async def _next_event(self, request: Request, inbox: RequestInbox) -> Event:
        """Wait for the next event; silence is a fault unless the provider waits for our disk."""
        while True:
            deadline_s = request.last_useful_s + self._settings.silence_timeout_s
            with trio.move_on_at(deadline_s) as scope:
                event = await inbox.get()
            if not scope.cancelled_caught:
                return event
            if request.uncredited_bytes == 0:
                return ProviderFault.SILENT
            request.last_useful_s = trio.current_time()

    async def _accept(self, request: Request, inbox: RequestInbox, blocks: Sequence[Block]) -> None:
        """Follow the links of blocks that came, and pass them to the writer."""
        leaves_come = request.leaf_budget_bytes > 0
        for block in blocks:
            if block.cid not in self._survey.known:
                request.provider.blame(ProviderFault.UNSOLICITED)
                return
            size_bytes = len(block.data)
            request.uncredited_bytes += size_bytes
            links = links_of(block.cid, block.data)
            if not links and block.cid not in request.listed:
                request.leaf_budget_bytes -= size_bytes
            if links and block.cid in self._plan.missing:
                follow = functools.partial(self._survey.follow, links)
                self._note_missing(request, await self._offload(follow))
            useful = self._plan.arrived(request, block.cid)
            self._received.send_nowait(
                _Received(request, inbox, size_bytes, block if useful else None)
            )
            if useful:
                request.last_useful_s = trio.current_time()
            else:
                request.provider.useless_bytes += size_bytes
        if leaves_come and request.leaf_budget_bytes <= 0:
            self._plan.release_leaves(request)
        provider = request.provider
        if provider.useless_bytes > provider.content_bytes + 2 * self._window_bytes:
            provider.blame(ProviderFault.FLOODING)
        self._wake()

    def _note_missing(self, request: Request, links: Sequence[DagLink]) -> None:
        """Expect what the provider will send unasked from it; queue the rest."""
        comes = [link for link in links if may_link(link.cid) or request.leaf_budget_bytes > 0]
        self._plan.expect(request, comes)
        if len(comes) < len(links):
            expected = {link.cid for link in comes}
            self._plan.add(link for link in links if link.cid not in expected)

    async def _cancel(self, request: Request) -> None:
        frame = to_frame(CancelWant(request=request.number))
        with trio.move_on_after(self._settings.farewell_s) as scope:
            scope.shield = True
            try:
                await self._send(request.provider.peer, frame)
            except TransportError:
                return

    # ---- the writer

    async def _write(self, hold: Hold) -> None:
        """Store what came, as much at a time as came meanwhile, and give credit for it."""
        async for first in self._to_store:
            group = self._group(first)
            blocks = [item.block for item in group if item.block is not None]
            try:
                await self._offload(functools.partial(self._store.put_many, blocks, hold=hold))
            except (BlockStoreError, StorageError) as exc:
                self._fail(exc)
                return
            self._stored_blocks += len(blocks)
            for item in group:
                self._count(item)
            await self._give_credit(group)
            if self._progress is not None:
                self._progress(
                    FetchProgress(
                        blocks_stored=self._stored_blocks,
                        bytes_stored=self._stored_bytes,
                        blocks_missing=len(self._plan.missing),
                    )
                )

    def _group(self, first: _Received) -> list[_Received]:
        group = [first]
        size_bytes = first.size_bytes
        while size_bytes < STORE_GROUP_SIZE_BYTES:
            try:
                item = self._to_store.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                break
            group.append(item)
            size_bytes += item.size_bytes
        return group

    def _count(self, item: _Received) -> None:
        item.request.uncredited_bytes -= item.size_bytes
        item.request.to_credit_bytes += item.size_bytes
        if item.block is not None:
            self._stored_bytes += item.size_bytes
            item.request.provider.blocks += 1
            item.request.provider.content_bytes += item.size_bytes

    async def _give_credit(self, group: Sequence[_Received]) -> None:
        """Tell providers of requests that go on, a quarter of a window at a time."""
        inboxes = {item.request.number: (item.request, item.inbox) for item in group}
        for request, inbox in inboxes.values():
            size_bytes = request.to_credit_bytes
            if request not in self._plan.requests or size_bytes < self._window_bytes // 4:
                continue
            request.to_credit_bytes = 0
            inbox.credit(size_bytes)
            frame = to_frame(Credit(request=request.number, size_bytes=size_bytes))
            try:
                await self._send(request.provider.peer, frame)
            except TransportError:
                inbox.put(ProviderFault.UNREACHABLE)

    # ---- the end

    async def _end_when_complete(self, workers: trio.CancelScope) -> None:
        """Stop the workers as soon as nothing is missing or all of them have given up."""
        while self._plan.missing and self._working:
            await self._changed.wait()
        workers.cancel()

    def _nobody_can_help(self) -> None:
        """End with blocks missing: every provider lacks what is left."""
        self._working = 0
        self._wake()

    def _wake(self) -> None:
        """Let idle workers look again."""
        self._idle.clear()
        self._changed.set()
        self._changed = trio.Event()

    def _fail(self, exc: ClusterError) -> None:
        self._failure = self._failure or exc
        self._scope.cancel()

    def _reports(self) -> tuple[ProviderReport, ...]:
        return tuple(
            ProviderReport(
                peer=provider.peer,
                fault=provider.fault,
                blocks=provider.blocks,
                content_bytes=provider.content_bytes,
            )
            for provider in self._providers
        )

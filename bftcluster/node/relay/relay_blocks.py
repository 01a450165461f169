"""Serves blocks that others have: to light peers those of anybody, to others those of light peers.

A light peer has links to its relays and to nobody else. What a relay is asked for and lacks it asks
one more peer for, a block at a time, and keeps nothing of it. A request goes from a light peer to
its relay, from there to a full peer, and from there to a light peer at most: who is asked by a full
peer asks no full peer.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import trio

from bftcluster.blocks.exchange.block_server import Offload
from bftcluster.blocks.exchange.exchange_messages import Want
from bftcluster.blocks.port import BlockSource
from bftcluster.cid import Cid, text
from bftcluster.errors import BlockNotFoundError, RefusedError
from bftcluster.ids import PeerId
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import PinRecord
from bftcluster.node.process.threads import Workers
from bftcluster.shell_limits import (
    PROVIDERS_ASKED_MAX,
    RELAYED_DOUBTED_MAX,
    RELAYED_PER_PEER_MAX,
    RELAYED_READ_TIME_MAX_S,
    RELAYED_THREADS,
    RELAYED_WASTE_TIME_MAX_S,
)

RELAY_TAG: Final = ("relay", "yes")
"""What relays announce themselves with: whom to ask for what light peers hold."""
_PINS_MAX: Final = 8
"""Pins of which one peer asks for blocks at the same time, as far as we remember."""
_SLOW_S: Final = 1.0
"""Who gives a block up that has not come for so long wanted what was not to be had; who does so
sooner may have had enough."""
_T = TypeVar("_T")


class RelayedSource:
    """A store, and behind it peers that may have what it lacks."""

    def __init__(self, store: BlockSource | None, fetch: Callable[[Cid], bytes]) -> None:
        """Read from ``store``, if any, and what it lacks by ``fetch``, which raises as ``get``."""
        self._store = store
        self._fetch = fetch

    def has_many(self, cids: Sequence[Cid]) -> list[bool]:
        """Return that each may be had: ``get`` says which cannot."""
        return [True] * len(cids)

    def get(self, cid: Cid) -> bytes:
        """Return the block, from wherever it is."""
        if self._store is None:
            return self._fetch(cid)
        try:
            return self._store.get(cid)
        except BlockNotFoundError:
            return self._fetch(cid)


@dataclass(slots=True)
class _Turn:
    """What one peer's reads came to while they held a thread."""

    hits: int = 0
    misses: int = 0
    wasted_s: float = 0.0
    """Waited for blocks that did not come."""


@dataclass(slots=True, kw_only=True)
class RelayedBlocks:
    """Knows whom to ask on whose behalf."""

    store: BlockSource
    """Our own blocks."""
    fetch_block: Callable[[Cid, Sequence[PeerId]], Awaitable[bytes]]
    """Asks peers for one block, one after the other."""
    pin: Callable[[Cid], Awaitable[PinRecord | None]]
    """Looks a pin up."""
    guests: Callable[[], Collection[PeerId]]
    """Returns the light peers that are connected."""
    connected: Callable[[], Sequence[PeerId]]
    """Returns the others that are."""
    records: Callable[[], Mapping[PeerId, PeerRecord]]
    """Returns the admitted peers."""
    doubted: set[PeerId] = field(default_factory=set, init=False)
    """Who asked last for what was not to be had: all of them together keep but a part busy."""
    _workers: Workers = field(default_factory=lambda: Workers(RELAYED_THREADS), init=False)
    _holders: dict[PeerId, OrderedDict[Cid, tuple[PeerId, ...]]] = field(
        default_factory=dict, init=False
    )
    """Of the pins that each peer asked us for last, who holds them."""
    _shares: dict[PeerId, trio.Semaphore] = field(default_factory=dict, init=False)
    _doubted_share: trio.Semaphore = field(
        default_factory=lambda: trio.Semaphore(RELAYED_DOUBTED_MAX), init=False
    )

    async def source_for(self, peer: PeerId, want: Want) -> tuple[BlockSource, Offload] | None:
        """Return what to serve ``peer`` from, and where to read it; None: our own blocks do.

        Where the copies of one light peer are wanted, nobody else's are sent, and not our own: a
        voter wants to see that it has them.
        """
        if want.holder is not None:
            store, providers = None, [each for each in self.guests() if each == want.holder]
        else:
            await self._note_pin(peer, want.cids[0])
            store, providers = self.store, self._providers(peer)
        if not providers:
            return None

        turn = _Turn()

        async def fetch(cid: Cid) -> bytes:
            return await self._read(cid, providers, turn)

        if peer not in self._shares:
            self.forget_the_gone()
        share = self._shares.setdefault(peer, trio.Semaphore(RELAYED_PER_PEER_MAX))

        async def offload(work: Callable[[], _T]) -> _T:
            nonlocal turn
            async with share, self._doubted_share if peer in self.doubted else nullcontext():
                turn = _Turn()
                try:
                    return await self._workers.run(work)
                finally:
                    self._judge(peer, turn)

        return RelayedSource(store, lambda cid: trio.from_thread.run(fetch, cid)), offload

    def forget_the_gone(self) -> None:
        """Forget what was asked by peers that are not connected any more."""
        here = {*self.guests(), *self.connected()}
        for peer in (self.doubted | self._holders.keys() | self._shares.keys()) - here:
            self._holders.pop(peer, None)
            self._shares.pop(peer, None)
            self.doubted.discard(peer)

    async def _read(self, cid: Cid, providers: Sequence[PeerId], turn: _Turn) -> bytes:
        """Return a block of somebody else's, for which nobody waits for long.

        Raises:
            BlockNotFoundError: It did not come.
            RefusedError: Too much time went into what did not come.
        """
        if turn.wasted_s >= RELAYED_WASTE_TIME_MAX_S:
            raise RefusedError("too many of the blocks that it wants are not to be had")
        began_s = trio.current_time()
        try:
            with trio.fail_after(RELAYED_READ_TIME_MAX_S):
                data = await self.fetch_block(cid, providers)
        except (BlockNotFoundError, trio.TooSlowError):
            turn.misses += 1
            turn.wasted_s += trio.current_time() - began_s
            raise BlockNotFoundError(f"nobody sends the block {text(cid)}") from None
        except trio.Cancelled:
            turn.misses += trio.current_time() - began_s >= _SLOW_S
            raise
        turn.hits += 1
        return data

    def _judge(self, peer: PeerId, turn: _Turn) -> None:
        """Doubt who wanted what was not to be had, until it wants what is."""
        if turn.misses:
            self.doubted.add(peer)
        elif turn.hits:
            self.doubted.discard(peer)

    async def _note_pin(self, peer: PeerId, cid: Cid) -> None:
        """Remember who holds a pin, if that is what was asked for."""
        record = await self.pin(cid)
        if record is None or not record.allocations:
            return
        if peer not in self._holders:
            self.forget_the_gone()
        pins = self._holders.setdefault(peer, OrderedDict())
        pins[cid] = record.allocations
        pins.move_to_end(cid)
        if len(pins) > _PINS_MAX:
            pins.popitem(last=False)

    def _providers(self, peer: PeerId) -> list[PeerId]:
        """Return whom to ask for ``peer``, the likeliest first."""
        pins = self._holders.get(peer, OrderedDict[Cid, tuple[PeerId, ...]]())
        holders = [each for held in reversed(pins.values()) for each in held if each != peer]
        guests, full = set(self.guests()), set(self.connected())
        wanted = [each for each in holders if each in guests]
        if peer in guests:
            wanted += [each for each in holders if each in full]
            records = self.records()
            wanted += sorted(full, key=lambda each: (not _is_relay(records.get(each)), each))
        return list(dict.fromkeys(wanted))[:PROVIDERS_ASKED_MAX]


class Connections(Protocol):
    """Who is connected to us."""

    @property
    def guests(self) -> Collection[PeerId]:
        """The light peers."""
        ...

    @property
    def connected(self) -> Collection[PeerId]:
        """The others."""
        ...


class Directory(Protocol):
    """Knows the admitted peers."""

    @property
    def records(self) -> Mapping[PeerId, PeerRecord]:
        """All of them."""
        ...


def relays_of(known: Directory, here: Connections, peer: PeerId) -> list[PeerId]:
    """Return whom to ask for the blocks of a light peer that has no link to us.

    Args:
        known: Who is admitted.
        here: Who is connected.
        peer: Whose blocks are wanted; of a peer that is not light they are asked of itself, and
            nobody is returned.
    """
    records = known.records
    record = records.get(peer)
    if record is None or not record.terms.is_light or peer in here.guests:
        return []
    return sorted(filter(lambda each: _is_relay(records.get(each)), here.connected))


def _is_relay(record: PeerRecord | None) -> bool:
    return record is not None and RELAY_TAG in record.tags

"""Counts how many pins have as many copies as they need: slowly, in a thread, when it is asked.

A question about the cluster's health begins a count, and is answered from the last one if that
takes longer than a moment, so it costs the same however many pins there are. A page of pins is
followed by nine times as long a rest: a tenth of one thread, which is not one of those that order
and execute. Where nobody asks, a count is made now and then, so that there is a last one.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NoReturn

import trio

from bftcluster.api.health_views import PinCounts
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.rows.store import ManyRowsPort
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.state.replication import status_of
from bftcluster.node.ports import Clock
from bftcluster.node.process.threads import Workers

PAGE_PINS: Final = 200
FRESH_S: Final = 10.0
"""How long a count is new: no other begins before that."""
UNASKED_S: Final = 600.0
"""How long nobody need ask for a count to be made all the same."""
PATIENCE_S: Final = 0.5
"""How long a question waits for the count that it began."""
ARRIVING_MS: Final = 3_600_000
"""A pin that was ordered so lately may still be on its way."""
_REST_FACTOR: Final = 9


@dataclass(slots=True, kw_only=True)
class PinTally:
    """What a count has found so far."""

    peers: Mapping[PeerId, PeerRecord]
    absent: Collection[PeerId]
    now_ms: int
    fates: Counter[str] = field(default_factory=Counter)
    """How many pins are as each field of `PinCounts` says."""
    without_peer: Counter[PeerId] = field(default_factory=Counter)
    """How many pins would fall below their minimum without one peer."""
    without_domain: Counter[str] = field(default_factory=Counter)
    """Likewise, without all peers of one domain."""

    def note(self, pin: PinRecord) -> None:
        """Count one pin, with its reports."""
        status = status_of(pin, self.peers.values(), absent=self.absent)
        copies, needed = len(status.pinned), status.needed
        if pin.is_everywhere:
            needed -= sum(1 for peer in status.wanted if peer in self.absent)
        if copies >= needed > 0:
            fate = "enough"
        elif self.now_ms - pin.timestamp_ms < ARRIVING_MS:
            fate = "arriving"
        else:
            fate = ("missing", "endangered", "short")[min(copies, 2)]
        self.fates.update(("pins", fate))
        if copies >= needed and not pin.is_everywhere:
            self._note_losses(status.pinned, copies - needed)

    def _note_losses(self, holders: Collection[PeerId], spare: int) -> None:
        """Note whose loss would leave a pin short that has so many copies to spare."""
        if spare == 0:
            self.without_peer.update(holders)
        domains = Counter(self.peers[peer].terms.domain for peer in holders if peer in self.peers)
        self.without_domain.update(domain for domain, count in domains.items() if count > spare)

    def counts(self) -> PinCounts:
        """Return the numbers for people."""
        return PinCounts(counted_ms=self.now_ms, **self.fates)


class Census:
    """Goes through the pinset again and again."""

    def __init__(self, *, reader: ManyRowsPort, clock: Clock, workers: Workers) -> None:
        """Prepare.

        Args:
            reader: Of the ledger.
            clock: Tells how long a page took, and the time of the count.
            workers: Read a page.
        """
        self._reader = reader
        self._clock = clock
        self._workers = workers
        self._last: PinTally | None = None
        """The last count that came to its end."""
        self._is_fresh = trio.Event()
        """Set as long as the last count is new."""
        self._asked = trio.Event()

    async def recent(self) -> PinTally | None:
        """Return the last count, after a new one if that takes no longer than a moment.

        Return None if there was none yet.
        """
        self._asked.set()
        with trio.move_on_after(PATIENCE_S):
            await self._is_fresh.wait()
        return self._last

    async def run(self) -> NoReturn:
        """Count when it is asked for, until cancelled."""
        while True:
            self._last = await self._count()
            self._is_fresh.set()
            await trio.sleep(FRESH_S)
            self._is_fresh, self._asked = trio.Event(), trio.Event()
            with trio.move_on_after(UNASKED_S):
                await self._asked.wait()

    async def _count(self) -> PinTally:
        tally = await self._workers.run(self._begin)
        after: bytes | None = b""
        rest_s = 0.0
        while after is not None:
            await trio.sleep(rest_s)
            begun_ms = self._clock.now_ms()
            after = await self._workers.run(partial(self._count_page, tally, after))
            rest_s = _REST_FACTOR * (self._clock.now_ms() - begun_ms) / 1000
        return tally

    def _begin(self) -> PinTally:
        reader = self._reader
        return PinTally(
            peers=queries.peers(reader),
            absent=queries.absent_peers(reader),
            now_ms=self._clock.wall_ms(),
        )

    def _count_page(self, tally: PinTally, after: bytes) -> Cid | None:
        """Count the next pins; return the last, or None behind the end."""
        page = queries.pins_behind(self._reader, after, PAGE_PINS)
        for pin in page:
            tally.note(pin)
        return page[-1].cid if len(page) == PAGE_PINS else None

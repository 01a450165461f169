"""Lets a peer that is lent go when others hold what it holds.

Leaving takes two words. After the first the others are given what is here; when enough of them
hold each of it, this peer says the second, and is let go.
"""

from collections.abc import Collection
from typing import Final

import trio

from bftcluster.ids import PeerId
from bftcluster.ledger.rows.store import ManyRowsPort
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.state.replication import reachable
from bftcluster.ledger.wire.loan_requests import leave
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.parts import Parts
from bftcluster.node.ports import Clock
from bftcluster.node.process.loan_file import LoanChoice
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers

ORDER_TIMEOUT_S: Final = 15.0
_PAGE_PINS: Final = 500

_log = log_for("node")


class Departure:
    """Says what a full peer has to say when it leaves."""

    def __init__(
        self, parts: Parts, gateway: Gateway, clock: Clock, stop: trio.Event, workers: Workers
    ) -> None:
        """Prepare.

        Args:
            parts: Of the peer.
            gateway: Where its words go.
            clock: Unix time is what they are dated with.
            stop: Set when the peer has left.
            workers: Read the ledger.
        """
        self._parts = parts
        self._gateway = gateway
        self._clock = clock
        self._stop = stop
        self._workers = workers

    async def go_on(self, choice: LoanChoice) -> None:
        """Say what is to be said now, if anything is."""
        step = await self._workers.run(self._next_word, choice)
        if step is None:
            return
        if step == "left":
            _log.info("this peer has left the cluster")
            self._stop.set()
            return
        word = leave(
            self._parts.key,
            cluster_id=self._parts.genesis.cluster_id,
            now_ms=self._clock.wall_ms(),
            is_final=step == "final",
        )
        [ordered] = await self._gateway.order([word.to_bytes()], timeout_s=ORDER_TIMEOUT_S)
        if ordered is not None and not ordered.outcome.is_accepted:
            _log.warning("the cluster does not let this peer go", detail=ordered.outcome.detail)
        elif ordered is not None:
            _log.info("leaving", detail=ordered.outcome.detail)

    def _next_word(self, choice: LoanChoice) -> str | None:
        with self._parts.store.reader.snapshot() as rows:
            record = queries.peer_of(rows, self._parts.me)
            if record is None:
                # A peer that has not caught up yet does not know that it was let in.
                was_in = queries.reputation_of(rows, self._parts.me) is not None
                return "left" if was_in else None
            if choice.leaves_now:
                return "final"
            if not record.goes_ms:
                return "first"
            return "final" if is_held_by_others(rows, self._parts.me) else None


def is_held_by_others(rows: ManyRowsPort, me: PeerId) -> bool:
    """Return whether so many others reported each pin of a peer as are to hold it at least.

    Who leaves, too, or was evicted does not count. Where fewer others stay than are to hold a pin,
    all have to. What absent peers hold does not count now, but they may come back.
    """
    standings = queries.reputations(rows)
    stay = {
        each.peer
        for each in queries.peers(rows).values()
        if not each.goes_ms and each.peer != me and not standings[each.peer].is_evicted
    }
    here = stay - queries.absent_peers(rows)
    cids = [duty.cid for duty in queries.duties_of(rows, me)]
    for start in range(0, len(cids), _PAGE_PINS):
        pins = queries.pins_of(rows, cids[start : start + _PAGE_PINS])
        if not all(_is_held(pin, here, stay=len(stay)) for pin in pins.values()):
            return False
    return True


def _is_held(pin: PinRecord, here: Collection[PeerId], *, stay: int) -> bool:
    least, _ = reachable(pin.options, pin.replication_min, pin.replication_max, stay)
    held = [holder for holder in pin.holders if holder in here]
    return len(held) >= min(least, stay)

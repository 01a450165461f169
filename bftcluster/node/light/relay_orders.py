"""Has requests of a light peer ordered by its relays, which may lose them or lie about it."""

from collections.abc import Callable, Sequence
from typing import Final

import trio

from bftcluster.ids import PeerId, Seq
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.light.light_peer import LightPeer
from bftcluster.node.ingress.gateway import Ordered
from bftcluster.sync.frames import HandedIn

_CODES: Final = {int(code): code for code in OutcomeCode}
_POLL_S: Final = 0.2
"""How often to look whether a relay has become reachable."""


class RelayOrders:
    """Hands requests in, each to one relay, and waits for its word."""

    def __init__(self, peer: LightPeer, wake: Callable[[], None]) -> None:
        """Prepare.

        Args:
            peer: Knows the relays, and takes turns among them.
            wake: Called when there is something to send.
        """
        self._peer = peer
        self._wake = wake
        self._waiting: dict[int, trio.Event] = {}
        self._outcomes: dict[int, OutcomeCode] = {}

    async def order(
        self, requests: Sequence[bytes], *, timeout_s: float, to: PeerId | None = None
    ) -> list[Ordered | None]:
        """Hand requests in, one after the other; return what became of each, as relays say.

        ``None`` is said of those that no relay has answered in time, or ``to``, if it is to be one.
        """
        return [await self._order(request, timeout_s, to) for request in requests]

    def resolve(self, outcomes: Sequence[HandedIn]) -> None:
        """Take the words of relays."""
        for each in outcomes:
            waiting = self._waiting.get(each.number)
            if waiting is not None:
                self._outcomes[each.number] = _CODES.get(each.code, OutcomeCode.MALFORMED)
                waiting.set()

    async def _order(self, request: bytes, timeout_s: float, to: PeerId | None) -> Ordered | None:
        number = self._peer.hand_in(request, to=to)
        end_s = trio.current_time() + timeout_s
        while number is None and trio.current_time() < end_s:
            await trio.sleep(_POLL_S)
            number = self._peer.hand_in(request, to=to)
        if number is None:
            return None
        self._waiting[number] = trio.Event()
        self._wake()
        try:
            with trio.move_on_after(timeout_s):
                await self._waiting[number].wait()
        finally:
            self._peer.give_up(number)
            del self._waiting[number]
        code = self._outcomes.pop(number, None)
        return None if code is None else Ordered(Seq(0), Outcome(code))

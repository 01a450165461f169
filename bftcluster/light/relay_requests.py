"""The requests that a light peer has handed in to relays, and what these say became of them."""

from collections.abc import Sequence

from bftcluster.ids import PeerId
from bftcluster.limits import HANDED_UNDER_WAY_MAX
from bftcluster.pbft.verdicts import Verdict
from bftcluster.sync.frames import HandedIn, HandIn


class HandedRequests:
    """Each is with one relay, and has a number of its own."""

    def __init__(self) -> None:
        self._under_way: dict[int, PeerId] = {}
        self._number = 0
        self._turn = 0
        self._sends: list[tuple[PeerId, bytes]] = []
        self._outcomes: list[HandedIn] = []

    def hand_in(
        self, request: bytes, relays: Sequence[PeerId], *, to: PeerId | None = None
    ) -> int | None:
        """Give a request to a relay; without one that is meant, to the next in turn.

        Returns:
            The number that its outcome will have; None: there is no such relay, or too much is
            under way.
        """
        is_here = bool(relays) if to is None else to in relays
        if not is_here or len(self._under_way) >= HANDED_UNDER_WAY_MAX:
            return None
        if to is None:
            self._turn += 1
            to = relays[self._turn % len(relays)]
        self._number += 1
        self._under_way[self._number] = to
        self._sends.append((to, HandIn(number=self._number, request=request).frame()))
        return self._number

    def give_up(self, number: int) -> None:
        """Wait for an outcome no longer."""
        self._under_way.pop(number, None)

    def on_outcome(self, relay: PeerId, outcome: HandedIn) -> Verdict:
        """Take what a relay says, if it is about what it was given."""
        if self._under_way.get(outcome.number) != relay:
            return Verdict.UNSOLICITED
        del self._under_way[outcome.number]
        self._outcomes.append(outcome)
        return Verdict.ACCEPTED

    def take_sends(self) -> tuple[tuple[PeerId, bytes], ...]:
        """Return what is to be sent now, once."""
        sends, self._sends = tuple(self._sends), []
        return sends

    def take_outcomes(self) -> tuple[HandedIn, ...]:
        """Return what came since the last time."""
        outcomes, self._outcomes = tuple(self._outcomes), []
        return outcomes

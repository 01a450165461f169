"""Tells the operator, in the log, whose standing changed, and who is absent or back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import trio

from bftcluster.ids import PeerId
from bftcluster.ledger.rows.store import RowPort
from bftcluster.ledger.rules.effects import Effect, PeerChanged, PeerRemoved
from bftcluster.ledger.state import queries
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.reputation import PeerReputation
from bftcluster.signing.keys import peer_id_text

_PAUSE_S: Final = 1.0
"""At least this long between two looks: at the beginning of a period many change."""

_log = log_for("standing")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one peer stands."""

    standing: str
    cause: str
    is_absent: bool


class StandingLog:
    """Compares where peers stand with where they stood."""

    def __init__(self, *, me: PeerId, reader: RowPort, workers: Workers) -> None:
        self._me = me
        self._reader = reader
        self._workers = workers
        self._places: dict[PeerId, _Place] = {}
        self._to_read: set[PeerId] = set()
        """Of whom we heard that something changed, since they were read last."""
        self._changed = trio.Event()

    def note(self, effects: Sequence[Effect]) -> None:
        """Take in what the ledger changed."""
        moved = {each.peer for each in effects if isinstance(each, PeerChanged | PeerRemoved)}
        if moved:
            self._to_read |= moved
            self._changed.set()

    async def run(self) -> NoReturn:
        """Tell what changes until cancelled: of this peer as a warning."""
        self._places = await self._workers.run(self._read_all)
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            peers, self._to_read = sorted(self._to_read), set()
            places = await self._workers.run(self._read, peers)
            for peer in peers:
                before = self._places.pop(peer, None)
                if (after := places.get(peer)) is not None:
                    self._places[peer] = after
                    self._tell(peer, before or after, after)
            await trio.sleep(_PAUSE_S)

    def _tell(self, peer: PeerId, before: _Place, after: _Place) -> None:
        is_own = peer == self._me
        tell, whose = (_log.warning, "this peer") if is_own else (_log.info, "a peer")
        about = {} if is_own else {"peer": peer_id_text(peer)}
        if after.is_absent != before.is_absent:
            how = "was not heard for a day" if after.is_absent else "was heard again"
            tell(f"{whose} {how}", **about)
        if after.standing != before.standing:
            about |= {"before": before.standing, "now": after.standing, "cause": after.cause}
            tell(f"the standing of {whose} changed", **about)

    def _read_all(self) -> dict[PeerId, _Place]:
        absent = queries.absent_peers(self._reader)
        found = queries.reputations(self._reader)
        return {peer: _place(found[peer], is_absent=peer in absent) for peer in found}

    def _read(self, peers: Sequence[PeerId]) -> dict[PeerId, _Place]:
        """Return where these stand: of many peers that come and go, few do at a time."""
        found = {peer: queries.reputation_of(self._reader, peer) for peer in peers}
        return {
            peer: _place(reputation, is_absent=queries.is_absent(self._reader, peer))
            for peer, reputation in found.items()
            if reputation is not None
        }


def _place(reputation: PeerReputation, *, is_absent: bool) -> _Place:
    return _Place(
        standing=reputation.standing.name.lower(),
        cause=reputation.last_change.cause.name.lower().replace("_", "-"),
        is_absent=is_absent,
    )

"""Tells light peers in which audits they owe something: no checkpoint does so in time."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NoReturn

import trio

from bftcluster.errors import ClusterError
from bftcluster.ids import PeerId
from bftcluster.ledger.rules.effects import AuditMoved, Effect
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.audit_rows import Challenge
from bftcluster.limits import AUDITS_OPEN_MAX
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.storage.ledger_reader import LedgerReader
from bftcluster.sync.audit_duties import hint_of, is_asked_now

_ANSWER_PAUSE_S: Final = 0.02
"""Between two answers: anybody asks as often as he likes."""

_log = log_for("relay")


class AuditHints:
    """Knows who is asked in the audits that are open, and looks the rest up."""

    def __init__(
        self,
        *,
        reader: LedgerReader,
        guests: Callable[[], Collection[PeerId]],
        send: Callable[[PeerId, bytes], object],
        workers: Workers,
    ) -> None:
        """Prepare.

        Args:
            reader: Of the ledger.
            guests: Returns the light peers that are connected.
            send: Sends a frame.
            workers: Read the ledger.
        """
        self._reader = reader
        self._guests = guests
        self._send = send
        self._workers = workers
        self._known: dict[int, tuple[PeerId, ...]] | None = None
        """Who is asked, by audit; None until somebody asks, as all are to be read then."""
        self._moved: set[int] = set()
        self._asked: dict[PeerId, None] = {}
        """Who wants to be told, in order."""
        self._arrived = trio.Event()

    def note(self, effects: Sequence[Effect]) -> None:
        """Take in what moved. Without light peers here nothing is kept."""
        moved = {each.number for each in effects if isinstance(each, AuditMoved)}
        if not moved:
            return
        if not self._guests():
            self._known = None
            return
        self._moved |= moved
        self._arrived.set()

    def ask(self, peer: PeerId) -> None:
        """Tell ``peer`` soon of all that is expected of it."""
        self._asked[peer] = None
        self._arrived.set()

    async def run(self) -> NoReturn:
        """Tell until cancelled: what has just moved first."""
        while True:
            try:
                if self._moved:
                    moved, self._moved = self._moved, set()
                    self._tell(await self._read(moved), self._guests())
                elif self._asked:
                    peer = next(iter(self._asked))
                    del self._asked[peer]
                    self._tell(await self._read(await self._numbers_of(peer)), [peer])
                    await trio.sleep(_ANSWER_PAUSE_S)
                else:
                    self._arrived = trio.Event()
                    await self._arrived.wait()
            except ClusterError as exc:
                _log.info("a light peer was not told of its audits", reason=str(exc))

    async def _numbers_of(self, peer: PeerId) -> list[int]:
        """Return the audits that ask a peer; it is never of which thousands are read for each."""
        if self._known is None:
            found = await self._workers.run(self._open)
            self._known = {each.number: _peers(each) for each in found}
        return [number for number, asked in self._known.items() if peer in asked]

    def _open(self) -> list[Challenge]:
        with self._reader.snapshot() as rows:
            return queries.open_audits(rows)

    async def _read(self, numbers: Iterable[int]) -> list[Challenge]:
        """Return audits as they are now, and note who is asked in them."""
        read = await self._workers.run(self._challenges, sorted(numbers))
        if self._known is not None:
            for number, challenge in read:
                self._known.pop(number, None)
                if challenge is not None:
                    self._known[number] = _peers(challenge)
            if len(self._known) > 2 * AUDITS_OPEN_MAX:
                self._known = None  # most of them are over
        return [challenge for _, challenge in read if challenge is not None]

    def _challenges(self, numbers: Iterable[int]) -> list[tuple[int, Challenge | None]]:
        with self._reader.snapshot() as rows:
            return [(number, queries.challenge_of(rows, number)) for number in numbers]

    def _tell(self, challenges: Iterable[Challenge], peers: Collection[PeerId]) -> None:
        for challenge in challenges:
            for asked in challenge.asked:
                if asked.peer in peers and is_asked_now(challenge, asked.peer):
                    self._send(asked.peer, hint_of(challenge).frame())


def _peers(challenge: Challenge) -> tuple[PeerId, ...]:
    return tuple(each.peer for each in challenge.asked)

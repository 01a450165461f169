"""Gives peers that lag parts of our state, one answer at a time and not faster than configured."""

from collections.abc import Callable
from typing import Final, NoReturn

import trio

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import PeerId
from bftcluster.ledger.transferring import FetchState, StateParts, answer
from bftcluster.node.logs import log_for
from bftcluster.storage.ledger_reader import LedgerReader

PEERS_WAITING_MAX: Final = 64

_log = log_for("transfer")


class StateGiver:
    """Answers the requests of a state transfer, peer after peer."""

    def __init__(
        self,
        *,
        reader: LedgerReader,
        send: Callable[[PeerId, bytes], object],
        rate_max_bytes_per_s: int,
    ) -> None:
        self._reader = reader
        self._send = send
        self._rate_max_bytes_per_s = rate_max_bytes_per_s
        self._waiting: dict[PeerId, FetchState] = {}
        """The newest request of each peer, those first that have waited longest."""
        self._arrived = trio.Event()

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Take a request; one at a time each, the newest."""
        try:
            fetch = FetchState.from_frame(frame)
        except MalformedMessageError as exc:
            _log.info("suspicion", verdict="malformed", peer=peer.hex()[:8], detail=str(exc))
            return
        if peer in self._waiting or len(self._waiting) < PEERS_WAITING_MAX:
            self._waiting[peer] = fetch
            self._arrived.set()

    async def run(self) -> NoReturn:
        """Answer until cancelled; the pause after an answer is what its bytes cost."""
        while True:
            if not self._waiting:
                self._arrived = trio.Event()
                await self._arrived.wait()
            peer, fetch = next(iter(self._waiting.items()))
            del self._waiting[peer]
            frame = (await trio.to_thread.run_sync(self._answer, fetch)).frame()
            self._send(peer, frame)
            await trio.sleep(len(frame) / self._rate_max_bytes_per_s)

    def _answer(self, fetch: FetchState) -> StateParts:
        with self._reader.snapshot() as snapshot:
            return answer(snapshot, fetch)

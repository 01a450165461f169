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
        stable_frame: Callable[[], bytes | None],
        rate_max_bytes_per_s: int,
    ) -> None:
        self._reader = reader
        self._send = send
        self._stable_frame = stable_frame
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
            parts = await trio.to_thread.run_sync(self._answer, fetch)
            if parts.root != fetch.root:
                self._show_checkpoint(peer)
            frame = parts.frame()
            self._send(peer, frame)
            await trio.sleep(len(frame) / self._rate_max_bytes_per_s)

    def _show_checkpoint(self, peer: PeerId) -> None:
        """Tell whoever asks for a state that has gone what it can have instead."""
        frame = self._stable_frame()
        if frame is not None:
            self._send(peer, frame)

    def _answer(self, fetch: FetchState) -> StateParts:
        with self._reader.snapshot() as snapshot:
            return answer(snapshot, fetch)

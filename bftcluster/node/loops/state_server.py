"""Gives peers that lag what they ask for, one answer at a time and not faster than configured.

They ask for parts of our state, and for the proofs of who votes.
"""

from collections.abc import Callable
from typing import Final, NoReturn

import trio

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import PeerId
from bftcluster.log_pace import LogPace
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.pbft import CheckpointCertificate
from bftcluster.storage.ledger_reader import LedgerReader
from bftcluster.sync.frames import FetchState, Question, read_question
from bftcluster.sync.server import reply

PEERS_WAITING_MAX: Final = 64
ANSWER_COST_BYTES: Final = 64 << 10
"""What any answer counts beside its own bytes: small ones cost reads too."""
KEEP_EARLIER_S: Final = 30.0
"""For so long after the last request for a state, checkpoints keep what they replace."""

_log = log_for("transfer")


class StateServer:
    """Answers the requests of a state transfer, peer after peer."""

    def __init__(
        self,
        *,
        reader: LedgerReader,
        send: Callable[[PeerId, bytes], object],
        stable: Callable[[], CheckpointCertificate | None],
        keep_earlier: Callable[[bool], object],
        rate_max_bytes_per_s: int,
        workers: Workers,
    ) -> None:
        """Prepare.

        Args:
            reader: Our ledger.
            send: Sends a frame.
            stable: Returns our last stable checkpoint.
            keep_earlier: Told whether the states of earlier checkpoints are wanted for a while.
            rate_max_bytes_per_s: Of all answers together.
            workers: Read the ledger.
        """
        self._reader = reader
        self._send = send
        self._stable = stable
        self._keep_earlier = keep_earlier
        self._rate_max_bytes_per_s = rate_max_bytes_per_s
        self._workers = workers
        self._waiting: dict[PeerId, Question] = {}
        """The newest question of each peer, those first that have waited longest."""
        self._arrived = trio.Event()
        self._pace = LogPace()

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Take a request; one at a time each, the newest."""
        try:
            question = read_question(frame)
        except MalformedMessageError as exc:
            left_out = self._pace.left_out(peer, trio.current_time())
            if left_out is not None:
                about = {"peer": peer.hex()[:8], "detail": str(exc), "left_out": left_out}
                _log.info("suspicion", verdict="malformed", **about)
            return
        if peer in self._waiting or len(self._waiting) < PEERS_WAITING_MAX:
            if isinstance(question, FetchState):
                self._keep_earlier(True)
            self._waiting[peer] = question
            self._arrived.set()

    async def run(self) -> NoReturn:
        """Answer until cancelled; the pause after an answer is what its bytes cost."""
        while True:
            if not self._waiting:
                self._arrived = trio.Event()
                with trio.move_on_after(KEEP_EARLIER_S):
                    await self._arrived.wait()
            if not self._waiting:
                self._keep_earlier(False)
                await self._arrived.wait()
            peer, question = next(iter(self._waiting.items()))
            del self._waiting[peer]
            frames = await self._workers.run(self._reply, question, self._stable())
            for frame in frames:
                self._send(peer, frame)
            size_bytes = sum(map(len, frames))
            await trio.sleep((ANSWER_COST_BYTES + size_bytes) / self._rate_max_bytes_per_s)

    def _reply(self, question: Question, stable: CheckpointCertificate | None) -> list[bytes]:
        with self._reader.snapshot() as snapshot:
            return reply(snapshot, question, stable)

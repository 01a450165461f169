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
from bftcluster.sync.frames import Question
from bftcluster.sync.server import Questions, reply

ANSWER_COST_BYTES: Final = 64 << 10
"""What any answer counts beside its own bytes: small ones cost reads too."""

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
        self._rate_max_bytes_per_s = rate_max_bytes_per_s
        self._workers = workers
        self._questions = Questions(keep_earlier)
        self._arrived = trio.Event()
        self._pace = LogPace()

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Take a request; one at a time each, the newest."""
        try:
            if self._questions.put(peer, frame):
                self._arrived.set()
        except MalformedMessageError as exc:
            left_out = self._pace.left_out(peer, trio.current_time())
            if left_out is not None:
                about = {"peer": peer.hex()[:8], "detail": str(exc), "left_out": left_out}
                _log.info("suspicion", verdict="malformed", **about)

    async def run(self) -> NoReturn:
        """Answer until cancelled; the pause after an answer is what its bytes cost."""
        while True:
            asked = self._questions.take(_now_ms())
            if asked is None:
                await self._wait()
                continue
            peer, question = asked
            frames = await self._workers.run(self._reply, question, self._stable())
            for frame in frames:
                self._send(peer, frame)
            size_bytes = sum(map(len, frames))
            await trio.sleep((ANSWER_COST_BYTES + size_bytes) / self._rate_max_bytes_per_s)

    async def _wait(self) -> None:
        self._arrived = trio.Event()
        let_go_ms = self._questions.let_go_ms
        with trio.move_on_at(float("inf") if let_go_ms is None else let_go_ms / 1000):
            await self._arrived.wait()
        self._questions.let_go(_now_ms())

    def _reply(self, question: Question, stable: CheckpointCertificate | None) -> list[bytes]:
        with self._reader.snapshot() as snapshot:
            return reply(snapshot, question, stable)


def _now_ms() -> int:
    return round(trio.current_time() * 1000)

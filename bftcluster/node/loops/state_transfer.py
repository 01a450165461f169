"""Fetches the state when the replica asks for it; at most one transfer is under way."""

from collections.abc import Callable
from typing import Final, NoReturn

import trio

from bftcluster.ids import PeerId
from bftcluster.node.ports import Clock
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.pbft import StartStateTransfer
from bftcluster.pbft.verdicts import Verdict
from bftcluster.storage.ledger_reader import LedgerReader
from bftcluster.storage.stage import SqlStage
from bftcluster.sync.transfer import StateTaking, WantedState

_PAUSE_MIN_S: Final = 0.01

_log = log_for("transfer")


class StateTransfer:
    """Runs the taking and owns the stage. What is whole is installed when the peer opens next."""

    def __init__(
        self,
        *,
        stage: SqlStage,
        reader: LedgerReader,
        send: Callable[[PeerId, bytes], object],
        clock: Clock,
        on_whole: Callable[[], None],
        workers: Workers,
    ) -> None:
        self._taking = StateTaking(stage=stage, own=reader, on_fault=_report)
        self._send = send
        self._clock = clock
        self._on_whole = on_whole
        self._workers = workers
        self._wanted = WantedState()
        self._work = trio.Event()

    def fetch(self, wanted: StartStateTransfer) -> None:
        """Fetch this state, instead of any other under way."""
        if self._wanted.want(wanted):
            _log.info("fetching the state", seq=wanted.seq, sources=len(wanted.sources))
        self._work.set()

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Take the answer of a source; whoever was not asked is not listened to."""
        if self._wanted.on_frame(peer, frame):
            self._work.set()

    async def run(self) -> NoReturn:
        """Fetch until cancelled."""
        taking = self._taking
        while True:
            with trio.move_on_after(self._patience_s()):
                await self._work.wait()
            self._work = trio.Event()
            turn = self._wanted.take()
            if turn is None:
                continue
            wanted, answers = turn
            now_ms = self._clock.now_ms()
            with trio.CancelScope(shield=True):
                requests = await self._workers.run(taking.step, wanted, answers, now_ms)
            if not self._wanted.end(wanted, taking):
                _log.info("the log overtook the transfer", seq=wanted.seq)
                continue
            for source, request in requests:
                self._send(source, request.frame())
            if taking.whole is not None:
                _log.info("the state is here", seq=taking.whole)
                self._on_whole()
                await trio.sleep_forever()

    def _patience_s(self) -> float:
        if not self._taking.is_under_way:
            return float("inf")
        now_ms = self._clock.now_ms()
        return max(_PAUSE_MIN_S, (self._taking.deadline_ms(now_ms) - now_ms) / 1000)


def _report(peer: PeerId, verdict: Verdict) -> None:
    detail = "a part of the state"
    _log.info("suspicion", verdict=verdict.value, peer=peer.hex()[:8], detail=detail)

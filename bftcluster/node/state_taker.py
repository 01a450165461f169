"""Fetches the state when the replica asks for it; at most one transfer is under way."""

from collections.abc import Callable
from typing import Final, NoReturn

import trio

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import PeerId, ReplicaId
from bftcluster.ledger.fetching import StateFetcher
from bftcluster.ledger.transferring import FetchState, StateParts
from bftcluster.node.logs import log_for
from bftcluster.node.replica_loop import Clock
from bftcluster.pbft import StateFetch
from bftcluster.pbft.verdicts import Verdict
from bftcluster.storage.ledger_reader import LedgerReader
from bftcluster.storage.stage import Stage

_PAUSE_MIN_S: Final = 0.01

_log = log_for("transfer")


class StateTaker:
    """Owns the fetcher and the stage. What is whole is installed when the peer opens next."""

    def __init__(
        self,
        *,
        stage: Stage,
        reader: LedgerReader,
        send: Callable[[PeerId, bytes], object],
        clock: Clock,
        on_whole: Callable[[], None],
    ) -> None:
        self._stage = stage
        self._reader = reader
        self._send = send
        self._clock = clock
        self._on_whole = on_whole
        self._wanted: StateFetch | None = None
        self._fetcher: StateFetcher | None = None
        self._parts: dict[PeerId, StateParts] = {}
        """The last answer of each source that was not looked at yet."""
        self._work = trio.Event()

    def fetch(self, wanted: StateFetch) -> None:
        """Fetch this state, instead of any other under way."""
        if self._wanted is None or wanted.seq != self._wanted.seq:
            _log.info("fetching the state", seq=wanted.seq, sources=len(wanted.sources))
        self._wanted = wanted
        self._work.set()

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Take an answer of a source."""
        if self._wanted is None or ReplicaId(peer) not in self._wanted.sources:
            return
        try:
            self._parts[peer] = StateParts.from_frame(frame)
        except MalformedMessageError as exc:
            _report(peer, Verdict.MALFORMED, str(exc))
        self._work.set()

    async def run(self) -> NoReturn:
        """Fetch until cancelled."""
        while True:
            with trio.move_on_after(self._patience_s()):
                await self._work.wait()
            self._work = trio.Event()
            if self._wanted is None:
                continue
            wanted, self._parts, parts = self._wanted, {}, self._parts
            with trio.CancelScope(shield=True):
                requests = await trio.to_thread.run_sync(self._step, wanted, parts)
            for source, request in requests:
                self._send(source, request.frame())
            if self._fetcher is None:
                self._give_up(wanted)
            elif self._fetcher.is_complete:
                _log.info("the state is here", seq=wanted.seq)
                self._on_whole()
                await trio.sleep_forever()

    def _step(
        self, wanted: StateFetch, parts: dict[PeerId, StateParts]
    ) -> list[tuple[PeerId, FetchState]]:
        """Take in answers, and stage what they bring; return what to ask next."""
        if self._reader.position() >= wanted.seq:
            self._fetcher = None
            return []
        now_ms = self._clock.now_ms()
        if self._fetcher is None:
            self._fetcher = StateFetcher(stage=self._stage, own=self._reader)
        fetcher = self._fetcher
        for source, answer in parts.items():
            verdict = fetcher.on_parts(source, answer, now_ms)
            if verdict.is_fault:
                _report(source, verdict, "a part of the state")
            self._stage.flush(fetcher.take_delta())
        fetcher.aim(wanted.state_root, [PeerId(source) for source in wanted.sources])
        requests = fetcher.requests(now_ms)
        whole = (wanted.seq, wanted.certificate) if fetcher.is_complete else None
        self._stage.flush(fetcher.take_delta(), whole)
        return requests

    def _give_up(self, wanted: StateFetch) -> None:
        """The log was faster."""
        if self._wanted is wanted:
            self._wanted = None
        _log.info("the log overtook the transfer", seq=wanted.seq)
        self._stage.clear()

    def _patience_s(self) -> float:
        if self._wanted is None or self._fetcher is None:
            return float("inf")
        now_ms = self._clock.now_ms()
        return max(_PAUSE_MIN_S, (self._fetcher.deadline_ms(now_ms) - now_ms) / 1000)


def _report(peer: PeerId, verdict: Verdict, detail: str) -> None:
    _log.info("suspicion", verdict=verdict.value, peer=peer.hex()[:8], detail=detail)

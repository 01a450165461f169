"""Fetches the state when the replica asks for it; at most one transfer is under way."""

from collections.abc import Callable, Mapping
from typing import Final, NoReturn

import trio

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import PeerId, Seq
from bftcluster.ledger.fetching import StateFetcher
from bftcluster.ledger.transferring import FetchState, StateParts
from bftcluster.node.logs import log_for
from bftcluster.node.replica_loop import Clock
from bftcluster.pbft import StateFetch
from bftcluster.pbft.verdicts import Verdict
from bftcluster.storage.ledger_reader import LedgerReader
from bftcluster.storage.stage import Stage

AIM_MAX_MS: Final = 30_000
"""No longer than this does one checkpoint stay the target once a newer one is certified: a source
that gives little by little would hold us up for ever."""
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
        """The newest that was asked for."""
        self._aim: StateFetch | None = None
        """What the fetcher fetches: an older one, as long as somebody gives it."""
        self._aimed_ms = 0
        self._fetcher: StateFetcher | None = None
        self._asked: frozenset[PeerId] = frozenset()
        """Who owes an answer."""
        self._answers: dict[PeerId, bytes] = {}
        """Those that were not looked at yet, one of each source."""
        self._work = trio.Event()

    def fetch(self, wanted: StateFetch) -> None:
        """Fetch this state, instead of any other under way."""
        if self._wanted is None or wanted.seq != self._wanted.seq:
            _log.info("fetching the state", seq=wanted.seq, sources=len(wanted.sources))
        self._wanted = wanted
        self._work.set()

    def on_frame(self, peer: PeerId, frame: bytes) -> None:
        """Take the answer of a source; whoever was not asked is not listened to."""
        if peer in self._asked and peer not in self._answers:
            self._answers[peer] = frame
            self._work.set()

    async def run(self) -> NoReturn:
        """Fetch until cancelled."""
        while True:
            with trio.move_on_after(self._patience_s()):
                await self._work.wait()
            self._work = trio.Event()
            if self._wanted is None:
                continue
            wanted, self._answers, answers = self._wanted, {}, self._answers
            with trio.CancelScope(shield=True):
                requests = await trio.to_thread.run_sync(self._step, wanted, answers)
            if self._fetcher is None:
                _log.info("the log overtook the transfer", seq=wanted.seq)
                self._wanted = None if self._wanted is wanted else self._wanted
                continue
            self._asked = self._fetcher.asked
            for source, request in requests:
                self._send(source, request.frame())
            if self._fetcher.is_complete:
                assert self._aim is not None, "something was aimed at"
                _log.info("the state is here", seq=self._aim.seq)
                self._on_whole()
                await trio.sleep_forever()

    def _step(
        self, wanted: StateFetch, answers: Mapping[PeerId, bytes]
    ) -> list[tuple[PeerId, FetchState]]:
        """Take in answers, and stage what they bring; return what to ask next."""
        position = self._reader.position()
        if position >= wanted.seq:
            self._fetcher = self._aim = None
            self._stage.clear()
            return []
        now_ms = self._clock.now_ms()
        if self._fetcher is None:
            self._fetcher = StateFetcher(stage=self._stage, own=self._reader)
        fetcher = self._fetcher
        for source, frame in answers.items():
            verdict = _take(fetcher, source, frame, now_ms)
            if verdict.is_fault:
                _report(source, verdict)
            self._stage.flush(fetcher.take_delta())
        aim = self._choose(fetcher, wanted, position, now_ms)
        fetcher.aim(aim.state_root, [PeerId(source) for source in aim.sources])
        requests = fetcher.requests(now_ms)
        whole = (aim.seq, aim.certificate) if fetcher.is_complete else None
        self._stage.flush(fetcher.take_delta(), whole)
        return requests

    def _choose(
        self, fetcher: StateFetcher, wanted: StateFetch, position: Seq, now_ms: int
    ) -> StateFetch:
        """Return what to aim at: what we aim at, unless it has become hopeless or useless."""
        aim = self._aim
        if aim is not None and aim.seq > position:
            is_recent = now_ms < self._aimed_ms + AIM_MAX_MS
            if fetcher.is_complete or (is_recent and fetcher.is_served(now_ms)):
                return aim
        if aim is None or aim.seq != wanted.seq:
            self._aimed_ms = now_ms
        self._aim = wanted
        return wanted

    def _patience_s(self) -> float:
        if self._wanted is None or self._fetcher is None:
            return float("inf")
        now_ms = self._clock.now_ms()
        return max(_PAUSE_MIN_S, (self._fetcher.deadline_ms(now_ms) - now_ms) / 1000)


def _take(fetcher: StateFetcher, source: PeerId, frame: bytes, now_ms: int) -> Verdict:
    try:
        return fetcher.on_parts(source, StateParts.from_frame(frame), now_ms)
    except MalformedMessageError:
        return fetcher.on_malformed(source, now_ms)


def _report(peer: PeerId, verdict: Verdict) -> None:
    detail = "a part of the state"
    _log.info("suspicion", verdict=verdict.value, peer=peer.hex()[:8], detail=detail)

"""A state transfer: which checkpoint to aim at, and when the fetched state is whole.

Sans-IO but for the stage, which it writes to. Whoever calls sends the requests, and opens the
ledger again once the state is whole.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import PeerId, Seq
from bftcluster.ledger.rows.store import Delta
from bftcluster.pbft import StartStateTransfer
from bftcluster.pbft.verdicts import Verdict
from bftcluster.sync.fetcher import StateFetcher
from bftcluster.sync.frames import FetchState, StateParts
from bftcluster.sync.state_parts import Source

AIM_MAX_MS: Final = 30_000
"""No longer than this does one checkpoint stay the target once a newer one is certified: a source
that gives little by little would hold us up for ever."""


class StagePort(Source, Protocol):
    """Where the rows of a fetched state are stored until it is whole."""

    def flush(self, delta: Delta, whole: tuple[Seq, bytes] | None = None) -> None:
        """Change staged rows; ``whole`` is the checkpoint they are of, and its certificate."""
        ...

    def clear(self) -> None:
        """Give up what is staged."""
        ...


class Own(Source, Protocol):
    """Our own state."""

    def position(self) -> Seq:
        """Return the last executed sequence number."""
        ...


class StateTaking:
    """At most one transfer is under way."""

    def __init__(
        self, *, stage: StagePort, own: Own, on_fault: Callable[[PeerId, Verdict], object]
    ) -> None:
        self._stage = stage
        self._own = own
        self._on_fault = on_fault
        self._aim: StartStateTransfer | None = None
        """What the fetcher fetches: an older one than is wanted, as long as somebody gives it."""
        self._aimed_ms = 0
        self._fetcher: StateFetcher | None = None

    @property
    def asked(self) -> frozenset[PeerId]:
        """Who owes an answer."""
        return frozenset() if self._fetcher is None else self._fetcher.asked

    @property
    def is_under_way(self) -> bool:
        """Whether something is fetched; not so once the log has overtaken it."""
        return self._fetcher is not None

    @property
    def whole(self) -> Seq | None:
        """The checkpoint whose whole state is staged, if one is."""
        is_complete = self._fetcher is not None and self._fetcher.is_complete
        return self._aim.seq if self._aim is not None and is_complete else None

    def deadline_ms(self, now_ms: int) -> int:
        """Return when to step again, if no answer comes before."""
        assert self._fetcher is not None, "something is under way"
        return self._fetcher.deadline_ms(now_ms)

    def step(
        self, wanted: StartStateTransfer, answers: Mapping[PeerId, bytes], now_ms: int
    ) -> list[tuple[PeerId, FetchState]]:
        """Take in answers, and stage what they bring; return what to ask next.

        Args:
            wanted: The newest state that the replica asked for.
            answers: Frames of those that were asked, one of each.
            now_ms: Monotonic time.
        """
        position = self._own.position()
        if position >= wanted.seq:
            self._fetcher = self._aim = None
            self._stage.clear()
            return []
        if self._fetcher is None:
            self._fetcher = StateFetcher(stage=self._stage, own=self._own)
        fetcher = self._fetcher
        for source, frame in answers.items():
            verdict = _take(fetcher, source, frame, now_ms)
            if verdict.is_fault:
                self._on_fault(source, verdict)
            self._stage.flush(fetcher.take_delta())
        aim = self._choose(fetcher, wanted, position, now_ms)
        fetcher.aim(aim.state_root, [PeerId(source) for source in aim.sources])
        requests = fetcher.requests(now_ms)
        whole = (aim.seq, aim.certificate) if fetcher.is_complete else None
        self._stage.flush(fetcher.take_delta(), whole)
        return requests

    def _choose(
        self, fetcher: StateFetcher, wanted: StartStateTransfer, position: Seq, now_ms: int
    ) -> StartStateTransfer:
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


class WantedState:
    """Which state is wanted, who owes an answer, and what came since the last turn of the taking.

    A turn may go on in another thread meanwhile.
    """

    def __init__(self) -> None:
        self._wanted: StartStateTransfer | None = None
        self._asked: frozenset[PeerId] = frozenset()
        self._answers: dict[PeerId, bytes] = {}

    def want(self, wanted: StartStateTransfer) -> bool:
        """Want this state, instead of any other; return whether it is another."""
        is_another = self._wanted is None or wanted.seq != self._wanted.seq
        self._wanted = wanted
        return is_another

    def on_frame(self, peer: PeerId, frame: bytes) -> bool:
        """Take the answer of a source; return whether it is the first that calls for a turn.

        Whoever was not asked is not listened to.
        """
        if peer not in self._asked or peer in self._answers:
            return False
        self._answers[peer] = frame
        return len(self._answers) == 1

    def take(self) -> tuple[StartStateTransfer, dict[PeerId, bytes]] | None:
        """Return what a turn begins with: the state that is wanted, and the answers that came."""
        if self._wanted is None:
            return None
        answers, self._answers = self._answers, {}
        return self._wanted, answers

    def end(self, wanted: StartStateTransfer, taking: StateTaking) -> bool:
        """Note whom a turn asked; return False if the log has overtaken what was wanted."""
        self._asked = taking.asked
        if taking.is_under_way:
            return True
        if self._wanted is wanted:
            self._wanted = None
        return False


def _take(fetcher: StateFetcher, source: PeerId, frame: bytes, now_ms: int) -> Verdict:
    try:
        return fetcher.on_parts(source, StateParts.from_frame(frame), now_ms)
    except MalformedMessageError:
        return fetcher.on_malformed(source, now_ms)

"""Answers what peers that lag ask of this peer's ledger."""

from collections.abc import Callable
from typing import Final, assert_never

from bftcluster.ids import PeerId
from bftcluster.pbft import CheckpointCertificate
from bftcluster.pbft.messages import StableCheckpoint
from bftcluster.sync.epoch_proofs import links_after, links_frame
from bftcluster.sync.frames import FetchEpochLinks, FetchState, Question, read_question
from bftcluster.sync.state_parts import Source, answer

PEERS_WAITING_MAX: Final = 64
KEEP_EARLIER_MS: Final = 30_000
"""For so long after the last question, checkpoints keep what they replace for who fetches them."""


class Questions:
    """What peers want: the newest question of each, those first that have waited longest."""

    def __init__(self, keep_earlier: Callable[[bool], object]) -> None:
        """Begin.

        Args:
            keep_earlier: Told whether the states of earlier checkpoints are wanted for a while.
        """
        self._keep_earlier = keep_earlier
        self._waiting: dict[PeerId, Question] = {}
        self._let_go_ms: int | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def let_go_ms(self) -> int | None:
        """When the states of earlier checkpoints may go, if nobody asks again; None: they may."""
        return self._let_go_ms

    def put(self, peer: PeerId, frame: bytes) -> bool:
        """Take a question; return whether it is the first that waits.

        Raises:
            MalformedMessageError: It is none.
        """
        if peer not in self._waiting and len(self._waiting) >= PEERS_WAITING_MAX:
            return False
        question = read_question(frame)
        if isinstance(question, FetchState):
            self._keep_earlier(True)
        self._waiting[peer] = question
        return len(self._waiting) == 1

    def take(self, now_ms: int) -> tuple[PeerId, Question] | None:
        """Return the next question to answer, and who asked it."""
        if not self._waiting:
            return None
        self._let_go_ms = now_ms + KEEP_EARLIER_MS
        peer = next(iter(self._waiting))
        return peer, self._waiting.pop(peer)

    def let_go(self, now_ms: int) -> None:
        """Let the states of earlier checkpoints go, if nobody has asked for long."""
        if self._let_go_ms is not None and now_ms >= self._let_go_ms and not self._waiting:
            self._keep_earlier(False)
            self._let_go_ms = None


def reply(store: Source, question: Question, stable: CheckpointCertificate | None) -> list[bytes]:
    """Return the frames that answer ``question``.

    Args:
        store: Our ledger, which must stand still meanwhile.
        question: What a peer wants.
        stable: Our last stable checkpoint: what whoever asks for a state that has gone can have.
    """
    match question:
        case FetchEpochLinks(after=after):
            return [links_frame(links_after(store, after))]
        case FetchState():
            parts = answer(store, question)
            has_gone = parts.root != question.root
            shown = [StableCheckpoint(stable).frame()] if has_gone and stable is not None else []
            return [*shown, parts.frame()]
        case _ as unreachable:
            assert_never(unreachable)

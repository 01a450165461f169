"""The sources of a state transfer: whom to ask first, and whom to leave alone for how long."""

from collections.abc import Collection, Sequence
from typing import Final

from bftcluster.ids import PeerId

ANSWER_TIMEOUT_MS: Final = 5_000
MOVED_PAUSE_MS: Final = 50
"""A source that does not serve the checkpoint is left alone for so long: ours may come up there, or
its own may be certified here."""
SILENT_PAUSE_MS: Final = 10_000
LIAR_PAUSE_MS: Final = 120_000


class Sources:
    """What was learnt about those who signed the state that is fetched."""

    def __init__(self) -> None:
        self._peers: tuple[PeerId, ...] = ()
        self._paused_ms: dict[PeerId, int] = {}
        """Until when not to ask."""
        self._slow: dict[PeerId, int] = {}
        """How many seconds each took for its last answer, rounded down."""
        self._gone: set[PeerId] = set()
        """Those that gave nothing of the state aimed at when they were last asked for it."""

    def use(self, peers: Sequence[PeerId], *, is_new_aim: bool) -> None:
        """Ask these from now on."""
        self._peers = tuple(peers)
        if is_new_aim:
            self._gone.clear()

    def in_order(self, now_ms: int) -> list[PeerId]:
        """Return who may be asked: those first that have the state and answer soon, in turns.

        What is asked for first is what the rest waits for: one that lets us wait should not have
        it, whether it is slow or means to be.
        """
        self._peers = self._peers[1:] + self._peers[:1]
        free = [peer for peer in self._peers if self._is_free(peer, now_ms)]
        return sorted(free, key=lambda peer: (peer in self._gone, self._slow.get(peer, 0)))

    def may_have_more(self, asked: Collection[PeerId], now_ms: int) -> bool:
        """Return whether one of them may have the state aimed at, as far as we know.

        Args:
            asked: Those that owe an answer.
            now_ms: The time.
        """
        hopeful = [peer for peer in self._peers if peer not in self._gone]
        return any(peer in asked or self._is_free(peer, now_ms) for peer in hopeful)

    def resume_ms(self, now_ms: int) -> list[int]:
        """Return when those that are left alone now may be asked again."""
        return [until_ms for until_ms in self._paused_ms.values() if until_ms > now_ms]

    def on_right(self, source: PeerId, *, taken_ms: int) -> None:
        """Note a right answer."""
        self._slow[source] = taken_ms // 1000
        self._gone.discard(source)
        self._paused_ms.pop(source, None)

    def on_moved(self, source: PeerId, now_ms: int) -> None:
        """Note that it serves another checkpoint."""
        self._gone.add(source)
        self._paused_ms[source] = now_ms + MOVED_PAUSE_MS

    def on_silence(self, source: PeerId, now_ms: int) -> None:
        """Note that it did not answer in time."""
        self._slow[source] = ANSWER_TIMEOUT_MS // 1000
        self._paused_ms[source] = now_ms + SILENT_PAUSE_MS

    def on_lie(self, source: PeerId, now_ms: int) -> None:
        """Note that its answer was wrong."""
        self._paused_ms[source] = now_ms + LIAR_PAUSE_MS

    def _is_free(self, peer: PeerId, now_ms: int) -> bool:
        return now_ms >= self._paused_ms.get(peer, 0)

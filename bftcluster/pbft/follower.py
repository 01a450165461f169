"""A follower learns what was decided by asking one voter, who answers when there is more.

Voters send nothing to those who do not vote, unless asked. A follower has one source at a time,
which differs from follower to follower, so that they share the work. A source that does not
answer is replaced at once, one that withholds entries when another voter is seen to have them.
"""

from dataclasses import dataclass

from bftcluster.ids import ReplicaId, Seq
from bftcluster.pbft.core import Core
from bftcluster.pbft.messages import Follow
from bftcluster.pbft.steps import Lane


@dataclass(frozen=True, slots=True)
class _Question:
    source: ReplicaId
    first: Seq
    asked_ms: int


class Follower:
    """Keeps one question open at one source."""

    __slots__ = (
        "_core",
        "_place",
        "_question",
        "_rest_ms",
        "_witness",
        "is_served",
        "served_ms",
    )

    def __init__(self, core: Core) -> None:
        self._core = core
        self._question: _Question | None = None
        self._place = int.from_bytes(core.me[:8], "big")
        """Counts on with each source that failed; modulo the voters it says who is asked."""
        self._witness = 0
        """How often somebody else than the source was asked where it is."""
        self.served_ms = 0
        """When a source answered last."""
        self.is_served = False
        """Whether the source answered the last question that it had the time to answer."""
        self._rest_ms = 0
        """Not to ask before, lest two who contradict each other make us ask without pause."""

    @property
    def deadline_ms(self) -> int | None:
        """When the source is late, or may be asked again; None if we vote."""
        if self._core.is_member:
            return None
        if self._question is not None:
            return self._question.asked_ms + self._patience_ms
        return max(self._rest_ms, self._core.now_ms)

    def go_on(self, *, is_busy: bool) -> None:
        """Ask, unless we vote, a question is open, or there is enough to do."""
        core = self._core
        if core.is_member:
            self._question = None
            self.is_served = False
            return
        if (
            self._question is not None
            and core.now_ms >= self._question.asked_ms + self._patience_ms
        ):
            self.is_served = False
            self.change_source()
        if self._question is not None or is_busy or core.now_ms < self._rest_ms:
            return
        sources = self._sources()
        if not sources:
            return
        source = sources[self._place % len(sources)]
        first = Seq(core.decided + 1)
        self._question = _Question(source, first, core.now_ms)
        self._rest_ms = core.now_ms + core.settings.fetch_timeout_ms
        core.out.send_early(source, Follow(first, core.log.low).frame(), Lane.SYNC)

    def is_answer(self, sender: ReplicaId, first: Seq) -> bool:
        """Whether entries from ``first`` on are what we asked ``sender`` for; if so, go on."""
        question = self._question
        if question is None or (question.source, question.first) != (sender, first):
            return False
        self._note_served()
        self._rest_ms = 0
        return True

    def on_status(self, sender: ReplicaId) -> None:
        """Ask again, if this is the source saying that it cannot answer."""
        if self._question is not None and self._question.source == sender:
            self._note_served()

    def _note_served(self) -> None:
        self._question = None
        self.is_served = True
        self.served_ms = self._core.now_ms

    def on_fetched(self, decided_before: Seq) -> None:
        """Leave a source that had time to send what somebody else sent now."""
        core, question = self._core, self._question
        if question is None or core.decided == decided_before:
            return
        if core.now_ms > question.asked_ms + core.settings.fetch_timeout_ms:
            self.change_source()

    def change_source(self) -> None:
        """Ask somebody else from now on."""
        self._question = None
        self._rest_ms = 0
        self._place += 1

    def witness(self) -> ReplicaId | None:
        """Return whom to compare the source with this time: each of the others in turn."""
        sources = self._sources()
        if not sources:
            return None
        self._witness += 1
        others = max(len(sources) - 1, 1)
        return sources[(self._place + 1 + self._witness % others) % len(sources)]

    @property
    def _patience_ms(self) -> int:
        settings = self._core.settings
        return settings.follow_hold_ms + settings.fetch_timeout_ms

    def _sources(self) -> list[ReplicaId]:
        """Return who may be asked: those who vote now, and in the last epoch that we know."""
        core = self._core
        known = dict.fromkeys((*core.membership.replicas, *core.epochs.latest().replicas))
        return [replica for replica in known if replica != core.me]

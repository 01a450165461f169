"""The network: delay, loss, duplication, partitions, clogs, and loss of chosen kinds."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from bftcluster_sim.cluster.environment.clocks import VirtualClock

Filter = Callable[[int, int, bytes], bool]


@dataclass(slots=True, kw_only=True)
class LinkFaults:
    """How frames fare; may be changed while the world runs."""

    delay_ms_min: int = 1
    delay_ms_max: int = 1
    loss_percent: int = 0
    duplicate_percent: int = 0
    late_percent: int = 0
    """Frames that take ten times as long, and so overtake nobody and are overtaken by many."""


class Links:
    """Carries frames between numbered peers."""

    def __init__(self, *, clock: VirtualClock, random: Random, faults: LinkFaults) -> None:
        self.faults = faults
        self.cut: set[tuple[int, int]] = set()
        """Pairs (source, target) between which nothing arrives."""
        self.clogged: set[tuple[int, int]] = set()
        """Pairs between which everything waits for ``release``."""
        self.filter: Filter | None = None
        """Returns True for a frame that is lost for sure."""
        self.adversary: Filter | None = None
        """Likewise, on purpose: healing links does not end it."""
        self._clock = clock
        self._random = random
        self._held: list[tuple[int, int, Callable[[], None]]] = []

    def send(self, source: int, target: int, frame: bytes, deliver: Callable[[], None]) -> None:
        """Plan the deliveries of ``frame``: none, one or two."""
        faults, pair = self.faults, (source, target)
        if pair in self.cut or any(
            lose(source, target, frame) for lose in (self.filter, self.adversary) if lose
        ):
            return
        if faults.loss_percent and self._random.random() * 100 < faults.loss_percent:
            return
        if pair in self.clogged:
            self._held.append((source, target, deliver))
            return
        self._plan(deliver)
        if faults.duplicate_percent and self._random.random() * 100 < faults.duplicate_percent:
            self._plan(deliver)

    def release(self) -> None:
        """Unclog every link: all that waited comes at once."""
        self.clogged.clear()
        held, self._held = self._held, []
        for _, _, deliver in held:
            self._plan(deliver)

    def partition(self, *groups: set[int]) -> None:
        """Cut every link between different groups, both ways."""
        group_of = {index: number for number, group in enumerate(groups) for index in group}
        self.cut = {
            (a, b) for a in group_of for b in group_of if a != b and group_of[a] != group_of[b]
        }

    def heal(self) -> None:
        """Restore every link."""
        self.cut = set()
        self.filter = None
        self.release()

    def _plan(self, deliver: Callable[[], None]) -> None:
        faults = self.faults
        delay_ms = faults.delay_ms_min
        if faults.delay_ms_max > delay_ms:
            delay_ms += int(self._random.random() * (faults.delay_ms_max - delay_ms + 1))
        if faults.late_percent and self._random.random() * 100 < faults.late_percent:
            delay_ms *= 10
        self._clock.call_at(self._clock.now_ms + delay_ms, deliver)


class RecordedLinks:
    """Links that remember every frame."""

    def __init__(self, *, clock: VirtualClock, random: Random, faults: LinkFaults) -> None:
        self.faults = faults
        self.cut: Callable[[int, int, bytes], bool] = lambda _source, _target, _frame: False
        """Whether a frame from one peer to another is lost for sure: partitions, targeted loss."""
        self.sent: list[tuple[int, int, int, bytes]] = []
        """Every frame handed over: time, source, target, frame. Emptied by whoever counts."""
        self._clock = clock
        self._links = Links(clock=clock, random=random, faults=faults)

    def send(self, source: int, target: int, frame: bytes, deliver: Callable[[], None]) -> None:
        """Plan the deliveries of ``frame``: none, one or two."""
        self.sent.append((self._clock.now_ms, source, target, frame))
        if not self.cut(source, target, frame):
            self._links.send(source, target, frame, deliver)

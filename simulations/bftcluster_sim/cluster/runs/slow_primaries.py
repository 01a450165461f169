"""How long a primary can make clients wait without losing its view, whatever it tries.

Its replica is the real one; it hears of requests when its adversary lets it, lies about what its
state asks for, and has accomplices. For each strategy the longest hold that the backups bear is
looked for; what clients then wait is the answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from statistics import median

from bftcluster.ids import Seq
from bftcluster.pbft import Batch
from bftcluster.pbft.frames import kind_of, parse_frame
from bftcluster.pbft.messages import REQUESTS, Requests
from bftcluster_sim.cluster.cluster import SimulatedCluster
from bftcluster_sim.cluster.hosts import WALL_EPOCH_MS

MEDIAN_MAX_MS = 3_000
WORST_MAX_MS = 8_000
_BACKUPS = (1, 2, 3)
_FOLLOWER = 4
_WARM_UP_MS = 1_000
_MEASURED_MS = 12_000
_ASK_EACH_MS = 1_500
_BURST_EACH = 4
"""Every so many times a client asks for many things at once."""
_BURST_REQUESTS = 12
_END_MS = 10_000
"""After the last request, for what is late."""
_FOR_EVER_MS = 3_600_000
_HOLDS_MS = (5_000, 40_000)
"""Between nothing and these the longest hold is looked for."""
_PRECISION_MS = 60
_JUNK_EACH_MS = 100
_JUNK_REQUESTS = 40
_JUNK = b"junk "


class Strategy(Enum):
    """What a primary does besides holding requests back."""

    HOLD = "each request is held as long as it may be"
    NULLS = "its state asks for null batches, it says"
    TICKS = "something is always due, it says"
    NEWEST_FIRST = "the newest goes first"
    ONE_CLIENT = "the requests of one backup go at once, the others are held"
    ALTERNATE = "every other request goes at once"
    TRICKLE = "what was held goes one by one"
    JUNK = "requests of its own fill the batches meanwhile"
    FLOOD = "a follower floods every pool meanwhile, and is served"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowPrimaryRow:
    """What clients wait for under one strategy."""

    strategy: str
    hold_ms: int | None
    """The longest hold with which it keeps its view; None: it loses it with none."""
    median_ms: int
    worst_ms: int
    removed_worst_ms: int
    """The longest wait under a primary that holds for ever, and is replaced."""


def measure(strategy: Strategy) -> SlowPrimaryRow:
    """Look for the slowest primary of this kind that is not replaced."""
    kept = _Run(strategy, 0)
    for hold_ms in _HOLDS_MS if kept.keeps_view else ():
        tried = _Run(strategy, hold_ms)
        if tried.keeps_view:
            kept = tried
            continue
        kept = _longest(strategy, kept, hold_ms)
        break
    return SlowPrimaryRow(
        strategy=strategy.name,
        hold_ms=kept.hold_ms if kept.keeps_view else None,
        median_ms=round(median(kept.waits_ms)),
        worst_ms=max(kept.waits_ms),
        removed_worst_ms=max(_Run(strategy, _FOR_EVER_MS).waits_ms),
    )


def _longest(strategy: Strategy, kept: "_Run", lost_ms: int) -> "_Run":
    while lost_ms - kept.hold_ms > _PRECISION_MS:
        tried = _Run(strategy, (kept.hold_ms + lost_ms) // 2)
        if tried.keeps_view:
            kept = tried
        else:
            lost_ms = tried.hold_ms
    return kept


class _Run:
    """One cluster under one primary."""

    def __init__(self, strategy: Strategy, hold_ms: int) -> None:
        self.hold_ms = hold_ms
        self.waits_ms: list[int] = []
        self._strategy = strategy
        self._cluster = SimulatedCluster(4, spare=1)
        self._primary = self._cluster.hosts[0]
        self._held: dict[bytes, int] = {}
        """Requests the primary was kept from hearing of, and since when."""
        self._passed: set[bytes] = set()
        self._released_ms = 0
        self._seen = dict.fromkeys(_BACKUPS, 0)
        self._junk = 0
        self._cluster.network.cut = self._is_held
        self._cluster.start()
        self._cluster.run(_WARM_UP_MS)
        self._lie()
        self._serve()
        self.keeps_view = all(host.replica.view == 0 for host in self._cluster.hosts)

    def _lie(self) -> None:
        if self._strategy is Strategy.NULLS:
            self._primary.batches_wanted = Seq(1 << 30)
        elif self._strategy is Strategy.TICKS:
            self._pretend()
        elif self._strategy is Strategy.JUNK:
            self._fill()
        elif self._strategy is Strategy.FLOOD:
            self._flood()

    def _serve(self) -> None:
        """Ask, and note how long each backup's clients wait."""
        cluster, clock = self._cluster, self._cluster.clock
        end_ms = clock.now_ms + _MEASURED_MS
        asked: dict[bytes, tuple[int, int]] = {}
        for number, requests in enumerate(_asked()):
            backup = _BACKUPS[number % len(_BACKUPS)]
            for request in requests:
                asked[request] = (backup, clock.now_ms)
                cluster.submit(request, to=backup)
            self._note(asked, clock.now_ms + _ASK_EACH_MS)
            if clock.now_ms >= end_ms:
                break
        self._note(asked, clock.now_ms + _END_MS)
        self.waits_ms += [clock.now_ms - since_ms for _, since_ms in asked.values()]

    def _note(self, asked: dict[bytes, tuple[int, int]], end_ms: int) -> None:
        """Let time pass, and take out of ``asked`` what is executed where it was asked for."""
        clock, hosts = self._cluster.clock, self._cluster.hosts
        while asked and clock.now_ms <= end_ms and clock.step():
            for backup in _BACKUPS:
                decided = hosts[backup].decided
                for one in decided[self._seen[backup] :]:
                    for request in Batch.from_bytes(one.batch).requests:
                        if asked.get(request, (0, 0))[0] == backup:
                            self.waits_ms.append(clock.now_ms - asked.pop(request)[1])
                self._seen[backup] = len(decided)
        clock.run_until(end_ms)

    def _is_held(self, source: int, target: int, frame: bytes) -> bool:
        """Keep requests of honest clients from a primary that is still one."""
        if target != 0 or kind_of(frame) != REQUESTS or self._primary.replica.view:
            return False
        message = parse_frame(self._cluster.hosts[source].me, frame)
        if not isinstance(message, Requests) or message.requests[0].startswith(_JUNK):
            return False
        for request in message.requests:
            if request not in self._passed:
                self._hold(source, request)
        return True

    def _hold(self, source: int, request: bytes) -> None:
        if request in self._held:
            return
        clock, count = self._cluster.clock, len(self._held) + len(self._passed)
        self._held[request] = clock.now_ms
        due_ms = clock.now_ms + self.hold_ms
        match self._strategy:
            case Strategy.ONE_CLIENT if source == _BACKUPS[0]:
                due_ms = clock.now_ms
            case Strategy.ALTERNATE if count % 2:
                due_ms = clock.now_ms
            case Strategy.TRICKLE:
                due_ms = self._released_ms = max(due_ms, self._released_ms + self.hold_ms // 4)
            case _:
                pass
        clock.call_at(due_ms, lambda: self._release(source, request))

    def _release(self, source: int, request: bytes) -> None:
        """Let the primary hear of ``request``, or of the newest that is held."""
        if self._strategy is Strategy.NEWEST_FIRST and self._held:
            request = next(reversed(self._held))
        if self._held.pop(request, None) is None:
            return
        self._passed.add(request)
        frame = Requests((request,), relayed=False).frame()
        self._primary.receive(self._cluster.hosts[source].me, frame)

    def _pretend(self) -> None:
        self._primary.disk.due_ms = WALL_EPOCH_MS
        self._again(self._pretend)

    def _fill(self) -> None:
        """Have the primary order what nobody asked for."""
        frame = Requests(self._new_junk(), relayed=False).frame()
        self._primary.receive(self._cluster.hosts[_FOLLOWER].me, frame)
        self._again(self._fill)

    def _flood(self) -> None:
        frame = Requests(self._new_junk(), relayed=True).frame()
        for host in self._cluster.hosts[:4]:
            host.receive(self._cluster.hosts[_FOLLOWER].me, frame)
        self._again(self._flood)

    def _new_junk(self) -> tuple[bytes, ...]:
        self._junk += _JUNK_REQUESTS
        return tuple(_JUNK + b"%d" % (self._junk + number) for number in range(_JUNK_REQUESTS))

    def _again(self, act: Callable[[], None]) -> None:
        clock = self._cluster.clock
        if clock.now_ms < _WARM_UP_MS + _MEASURED_MS and not self._primary.replica.view:
            clock.call_at(clock.now_ms + _JUNK_EACH_MS, act)


def _asked() -> Iterator[list[bytes]]:
    """Yield what clients ask for, one time after the other."""
    number = 0
    while True:
        number += 1
        count = 1 if number % _BURST_EACH else _BURST_REQUESTS
        yield [b"request %d.%d" % (number, each) for each in range(count)]

"""Serves log entries: to those who lag, from the log; to followers, as they are decided.

A follower asks for the next entry, and gets it once there is one. What was just decided is kept in
memory for that, and its frame is made once for all who wait. One who is further behind is told how
far we are, and fetches as any laggard does.
"""

from collections import deque
from dataclasses import dataclass

from bftcluster.ids import ReplicaId, Seq
from bftcluster.limits import (
    ENTRIES_SIZE_MAX_BYTES,
    FOLLOWS_HELD_MAX,
    LOG_READS_MAX,
    RECENT_ENTRIES_MAX,
    RECENT_SIZE_MAX_BYTES,
)
from bftcluster.pbft.core import Core
from bftcluster.pbft.messages import Entries, FetchEntries, Follow, StableCheckpoint
from bftcluster.pbft.steps import Decided, Lane, ReadLog
from bftcluster.pbft.throttle import AnswerKind
from bftcluster.pbft.verdicts import Verdict


@dataclass(slots=True)
class _Wait:
    """What one follower waits for."""

    first: Seq
    stable: Seq
    """The last stable checkpoint it has, or was shown."""
    until_ms: int
    """When it is told that nothing has come."""


class LogServer:
    """Answers at once what can be; holds the questions of followers until there is an answer."""

    __slots__ = (
        "_asked_ms",
        "_core",
        "_entries",
        "_newest",
        "_reading",
        "_recent",
        "_seen",
        "_size_bytes",
        "_waiting",
    )

    def __init__(self, core: Core) -> None:
        self._core = core
        self._waiting: dict[ReplicaId, _Wait] = {}
        self._reading: dict[ReplicaId, Seq] = {}
        """Peers for whom the shell reads the log, and from where."""
        self._recent: deque[Decided] = deque()
        """The last decided batches, in order."""
        self._size_bytes = 0
        self._asked_ms: int | None = None
        """When anybody asked last."""
        self._seen = (core.decided, core.log.low)
        """What was there when everybody was looked after last."""
        self._entries: dict[Seq, bytes] = {}
        """Of the recent batches, those encoded already."""
        self._newest: tuple[Seq, bytes] | None = None
        """The answer that begins last, which most wait for, and with what; until something is
        decided."""

    @property
    def deadline_ms(self) -> int | None:
        """When somebody is to be told that there is nothing."""
        return min((wait.until_ms for wait in self._waiting.values()), default=None)

    def on_follow(self, sender: ReplicaId, message: Follow) -> Verdict:
        """Answer, or keep the question until there is an answer."""
        core = self._core
        self._asked_ms = core.now_ms
        if sender not in self._waiting and len(self._waiting) >= FOLLOWS_HELD_MAX:
            return Verdict.DUPLICATE
        wait = _Wait(message.first, message.stable, core.now_ms + core.settings.follow_hold_ms)
        self._waiting[sender] = wait
        if self._answer(sender, wait):
            del self._waiting[sender]
        return Verdict.ACCEPTED

    def on_fetch_entries(self, sender: ReplicaId, message: FetchEntries) -> Verdict:
        """Have the log read for a peer; one answer at a time each."""
        core = self._core
        if sender in self._reading or not self._may_read(sender):
            return Verdict.DUPLICATE
        count = min(message.count, core.settings.fetch_entries_max)
        count = min(count, core.executed - message.first + 1)
        if message.first < 1 or count < 1:
            core.out.send_early(sender, Entries(message.first, ()).frame(), Lane.SYNC)
            return Verdict.ACCEPTED
        self._reading[sender] = message.first
        core.out.log_reads.append(ReadLog(sender, message.first, count))
        return Verdict.ACCEPTED

    def _may_read(self, sender: ReplicaId) -> bool:
        """Whether there is room for one more: followers leave the voters theirs."""
        voters = self._core.membership.replicas
        followers = sum(peer not in voters for peer in self._reading)
        return sender in voters or followers < LOG_READS_MAX

    def on_log_read(self, to: ReplicaId, entries: tuple[bytes, ...]) -> None:
        """Pass on what the shell has read, as much as fits in a frame."""
        core, first = self._core, self._reading.pop(to)
        size_bytes, fitting = 0, 0
        for entry in entries:
            size_bytes += len(entry)
            if fitting and size_bytes > ENTRIES_SIZE_MAX_BYTES:
                break
            fitting += 1
        frame = Entries(first, entries[:fitting]).frame()
        core.out.send_early(to, frame, Lane.SYNC)

    def look_after(self) -> None:
        """Note what this step decided, and answer those who waited for it, or in vain."""
        core = self._core
        if self._asked_ms is None:
            return
        if core.now_ms - self._asked_ms > 2 * core.settings.follow_hold_ms:
            self._forget()
            return
        for decided in core.out.decided:
            self._keep(decided)
        seen = (core.decided, core.log.low)
        if seen != self._seen:
            self._seen = seen
            due = list(self._waiting.items())
        else:
            due = [(f, w) for f, w in self._waiting.items() if w.until_ms <= core.now_ms]
        for follower, wait in due:
            if self._answer(follower, wait):
                del self._waiting[follower]

    def _answer(self, follower: ReplicaId, wait: _Wait) -> bool:
        """Send what there is for ``follower``; return whether its question is answered."""
        core = self._core
        stable = core.stable
        if stable is not None and stable.seq > wait.stable:
            if core.may_answer(follower, AnswerKind.CHECKPOINT):
                wait.stable = stable.seq
                core.out.send(follower, StableCheckpoint(stable).frame(), Lane.SYNC)
            else:  # It just had one: it is to ask again soon.
                soon_ms = core.now_ms + core.settings.status_interval_ms
                wait.until_ms = min(wait.until_ms, soon_ms)
        if wait.first <= core.decided:
            frame = self._frame(wait.first)
            if frame is not None:
                # Not early: our own vote in the certificate may not be durable yet.
                core.out.send(follower, frame, Lane.SYNC)
                return True
            if core.may_answer(follower, AnswerKind.STATUS):
                core.out.send(follower, core.status().frame(), Lane.SYNC)
                return True
        if core.now_ms < wait.until_ms:
            return False
        core.out.send(follower, core.status().frame(), Lane.SYNC)
        return True

    def _frame(self, first: Seq) -> bytes | None:
        """Return the entries from ``first`` on, if we still have it at hand."""
        if not self._recent or not self._recent[0].seq <= first <= self._recent[-1].seq:
            return None
        if self._newest is not None and self._newest[0] == first:
            return self._newest[1]
        frame = Entries(first, self._entries_from(first)).frame()
        if self._newest is None or self._newest[0] < first:
            self._newest = first, frame
        return frame

    def _entries_from(self, first: Seq) -> tuple[bytes, ...]:
        entries: list[bytes] = []
        size_bytes = 0
        for decided in self._recent:
            if decided.seq < first:
                continue
            entry = self._entries.get(decided.seq)
            if entry is None:
                entry = decided.entry.to_bytes()
                self._entries[decided.seq] = entry
            size_bytes += len(entry)
            if entries and size_bytes > ENTRIES_SIZE_MAX_BYTES:
                break
            entries.append(entry)
        return tuple(entries)

    def _keep(self, decided: Decided) -> None:
        self._newest = None
        self._recent.append(decided)
        self._size_bytes += len(decided.batch)
        while len(self._recent) > RECENT_ENTRIES_MAX or self._size_bytes > RECENT_SIZE_MAX_BYTES:
            oldest = self._recent.popleft()
            self._size_bytes -= len(oldest.batch)
            self._entries.pop(oldest.seq, None)

    def _forget(self) -> None:
        """Keep nothing for nobody: whoever still waits, because we stood still, has gone on."""
        self._asked_ms = None
        self._waiting.clear()
        self._recent.clear()
        self._entries.clear()
        self._newest = None
        self._size_bytes = 0

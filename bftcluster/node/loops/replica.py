"""Runs the replica: steps it, makes its records durable, sends its frames, has batches executed.

A vote that left before its record was durable could be contradicted after a crash, so the order
in ``_carry_out`` is the contract of ``Ready`` and not an optimisation to tune. One turn takes
everything that has arrived, so one fsync pays for many votes (group commit).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, assert_never

import trio

from bftcluster.errors import HaltedError
from bftcluster.ids import ReplicaId
from bftcluster.log_pace import LogPace
from bftcluster.node.ingress.inbox import OrderInbox
from bftcluster.node.ports import Clock, EvidenceSink, VoteLog
from bftcluster.node.process.adaptive_offload import AdaptiveOffload
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.pbft import (
    Append,
    CheckpointCertificate,
    Compact,
    Decided,
    Event,
    FetchEpochs,
    Halt,
    KeepEvidence,
    Notice,
    Outbound,
    ReadLog,
    Ready,
    Replica,
    Send,
    StartStateTransfer,
    Step,
    Verdict,
)

IDLE_TURN_S = 1.0
"""Longest sleep of the loop."""

_log = log_for("pbft")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTargets:
    """Who does what a replica wants done, where its loop does not do it itself."""

    send: Callable[[Sequence[Outbound], Sequence[ReplicaId]], None]
    decide: Callable[[Decided], None]
    read_log: Callable[[ReadLog], None]
    fetch_state: Callable[[StartStateTransfer], None]
    fetch_epochs: Callable[[ReplicaId], None]
    sync_ledger: Callable[[CheckpointCertificate | None], Awaitable[None]]
    accuse: Callable[[bytes], None]


class ReplicaLoop:
    """Owns the replica: nothing else may touch it."""

    def __init__(
        self,
        *,
        replica: Replica,
        wal: VoteLog,
        inbox: OrderInbox[Event],
        clock: Clock,
        targets: StepTargets,
        evidence: EvidenceSink,
        workers: Workers,
    ) -> None:
        self.replica = replica
        self._wal = wal
        self._syncing = AdaptiveOffload(workers)
        self._workers = workers
        self._inbox = inbox
        self._clock = clock
        self._targets = targets
        self._evidence = evidence
        self._deadline_ms = 0
        self._pace = LogPace()
        self.stable = replica.stable_certificate
        """The last stable checkpoint that may be shown: a vote of ours in it is durable."""

    async def run(self) -> NoReturn:
        """Serve until cancelled."""
        if self.stable is not None:  # The last life may have ended before it came to this.
            await self._targets.sync_ledger(self.stable)
        await self._carry_out(self.replica.start(**self._time()))
        while True:
            events = await self._inbox.take(timeout_s=self._patience_s())
            await self._carry_out(self.replica.step(*events, **self._time()))

    async def _carry_out(self, ready: Ready) -> None:
        self._deadline_ms = ready.deadline_ms
        for step in ready.steps:
            await self._do(step)
        self.stable = self.replica.stable_certificate

    async def _do(self, step: Step) -> None:
        match step:
            case Send(frames=frames, voters=voters):
                self._targets.send(frames, voters)
            case Append(records=records):
                await self._syncing.run(self._wal.append, records)
            case Decided():
                self._targets.decide(step)
            case ReadLog():
                self._targets.read_log(step)
            case StartStateTransfer():
                self._targets.fetch_state(step)
            case FetchEpochs(of=peer):
                self._targets.fetch_epochs(peer)
            case Notice():
                self._report(step)
            case KeepEvidence(piece=piece):
                path = self._evidence.keep(piece)
                _log.error("a replica contradicted itself; this proves it", file=str(path))
                self._targets.accuse(piece)
            case Halt():
                path = self._evidence.keep_halt(step)
                raise HaltedError(f"this replica has stopped: {step.reason.value}; see {path}")
            case Compact():
                await self._compact()
            case _:
                assert_never(step)

    def _report(self, report: Notice) -> None:
        """Log a report; of those that one peer brings about, one of a kind in a while."""
        about: dict[str, object] = {}
        if report.peer is not None:
            now_s = self._clock.now_ms() / 1000
            left_out = self._pace.left_out((report.peer, report.verdict), now_s)
            if left_out is None:
                return
            about["peer"] = report.peer.hex()[:8]
            if left_out:
                about["left_out"] = left_out
        event = "fault" if report.verdict.is_fault else "consensus"
        tell = _log.warning if report.verdict is Verdict.SILENT else _log.info
        tell(event, verdict=report.verdict.value, detail=report.detail, **about)

    async def _compact(self) -> None:
        """Drop the votes that a stable checkpoint covers, once the ledger itself is durable."""
        with trio.CancelScope(shield=True):
            await self._targets.sync_ledger(self.replica.stable_certificate)
            await self._workers.run(self._wal.rewrite, self.replica.live_records())

    def _patience_s(self) -> float:
        return min(IDLE_TURN_S, max(0, self._deadline_ms - self._clock.now_ms()) / 1000)

    def _time(self) -> dict[str, int]:
        return {"now_ms": self._clock.now_ms(), "wall_ms": self._clock.wall_ms()}

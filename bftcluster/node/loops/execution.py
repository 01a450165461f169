"""Executes what was decided, flushes it in one transaction, and tells whoever waits for it.

Only this loop touches the ledger and the writing side of its store. It takes everything that was
decided since its last turn, so one transaction pays for many batches.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

import trio

from bftcluster.ledger.ledger import Ledger
from bftcluster.ledger.rows.store import Delta
from bftcluster.ledger.rules.effects import Effect
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.process.adaptive_offload import AdaptiveOffload
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.order_counts import OrderCounts
from bftcluster.node.process.threads import Workers
from bftcluster.pbft import BatchesExecuted, CheckpointCertificate, Decided
from bftcluster.sync.execution import execute
from bftcluster.sync.retention import Store, settle

BATCHES_PER_TURN_MAX: Final = 32

_log = log_for("ledger")


class ExecutionLoop:
    """Owns the ledger: nothing else may touch it."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        store: Store,
        gateway: Gateway,
        report: Callable[[BatchesExecuted], None],
        carry_out: Callable[[Sequence[Effect]], None],
        log_kept_seqs: int | None,
        workers: Workers,
    ) -> None:
        """Begin where the ledger is.

        Args:
            ledger: The state machine.
            store: Where its rows and the log are kept.
            gateway: Told of outcomes.
            report: Tells the replica.
            carry_out: Takes the effects.
            log_kept_seqs: Log entries kept before a stable checkpoint; ``None`` keeps all.
            workers: Do what takes long.
        """
        self._ledger = ledger
        self._store = store
        self._gateway = gateway
        self._report = report
        self._carry_out = carry_out
        self._log_kept_seqs = log_kept_seqs
        self._workers = workers
        self._decided: deque[Decided] = deque()
        self._arrived = trio.Event()
        self._store_lock = trio.Lock()
        self._executing = AdaptiveOffload(workers)
        self.counts = OrderCounts()

    def decide(self, decided: Decided) -> None:
        """Queue a batch. The replica's window bounds how many wait."""
        self._decided.append(decided)
        self._arrived.set()

    async def sync(self, stable: CheckpointCertificate | None) -> None:
        """Return when everything executed so far is durable; forget what need not be kept.

        Args:
            stable: The last stable checkpoint.
        """
        async with self._store_lock:
            await self._workers.run(self._settle, stable)

    async def keep(self, delta: Delta) -> None:
        """Store rows that are no part of the state."""
        async with self._store_lock:
            await self._workers.run(self._store.flush, delta, (), self._ledger.head.seq)

    def _settle(self, stable: CheckpointCertificate | None) -> None:
        settle(self._ledger, self._store, stable, log_kept_seqs=self._log_kept_seqs)

    async def run(self) -> NoReturn:
        """Execute until cancelled; a batch is executed whole or not at all."""
        while True:
            if not self._decided:
                self._arrived = trio.Event()
                await self._arrived.wait()
            count = min(len(self._decided), BATCHES_PER_TURN_MAX)
            turn = [self._decided.popleft() for _ in range(count)]
            with trio.CancelScope(shield=True):
                await self._execute(turn)

    async def _execute(self, turn: Sequence[Decided]) -> None:
        entries = [decided.entry for decided in turn]
        async with self._store_lock:
            executed = await self._executing.run(execute, self._ledger, self._store, entries)
        for batch in executed:
            seq, named = batch.report.seq, batch.report.next_membership
            if named is not None:
                _log.info("the next epoch is named", epoch=named.epoch, replicas=named.n)
            self._report(batch.report)
            self.counts.note(batch.pairs)
            if self._gateway.is_awaited:
                self._gateway.resolve(seq, batch.pairs)
            self._carry_out(batch.applied.effects)

"""What was decided becomes state, and a replica hears of it; and what it starts from again.

Sans-IO but for the store, which is written to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bftcluster.ids import Seq
from bftcluster.ledger.ledger import Ledger
from bftcluster.ledger.rules.batch import Applied, OrderedBatch
from bftcluster.ledger.wire.outcomes import Outcome
from bftcluster.pbft import Application, Batch, BatchesExecuted, LogEntry, Recovered, decided_lately
from bftcluster.sync.epoch_proofs import starts_after
from bftcluster.sync.retention import Store
from bftcluster.sync.state_parts import Source


@dataclass(frozen=True, slots=True)
class ExecutedBatch:
    """What executing one batch led to."""

    requests: tuple[bytes, ...]
    applied: Applied
    """Its outcomes, one for each request, and its effects."""
    report: BatchesExecuted
    """What the replica is to hear."""

    @property
    def pairs(self) -> list[tuple[bytes, Outcome]]:
        """Each request with what became of it."""
        return list(zip(self.requests, self.applied.outcomes, strict=True))


def execute(ledger: Ledger, store: Store, entries: Sequence[LogEntry]) -> list[ExecutedBatch]:
    """Execute what was decided next, and keep rows, log and position in one transaction.

    Args:
        ledger: The state machine.
        store: Where its rows and the log are kept.
        entries: Decided batches, in order.
    """
    batches = [_ordered(entry) for entry in entries]
    executed = ledger.execute(batches)
    log = [(entry.seq, entry.to_bytes()) for entry in entries]
    store.flush(executed.delta, log, entries[-1].seq)
    return [
        ExecutedBatch(
            batch.requests,
            applied,
            BatchesExecuted(
                batch.seq,
                executed.roots.get(batch.seq),
                executed.memberships.get(batch.seq),
                applied.wants_batches,
                applied.due_ms,
            ),
        )
        for batch, applied in zip(batches, executed.applied, strict=True)
    ]


def recovered(
    ledger: Ledger,
    own: Source,
    *,
    records: Sequence[bytes],
    checkpoint: bytes | None,
    read_log: Callable[[Seq, int], Sequence[bytes]],
    application: Application,
    wall_ms: int,
) -> Recovered:
    """Return what a replica starts from.

    Args:
        ledger: Where it ends, the log of batches has been executed.
        own: Its rows.
        records: Of the write-ahead log.
        checkpoint: The certificate of the state that was fetched, if one was.
        read_log: Returns log entries: from a number on, so many, or fewer if it has no more.
        application: Names requests.
        wall_ms: Unix time.
    """
    epochs = ledger.epochs
    return Recovered(
        records=records,
        executed=ledger.head.seq,
        timestamp_ms=ledger.head.timestamp_ms,
        checkpoint_root=ledger.checkpoint_root(),
        checkpoint=checkpoint,
        epochs=epochs if len(epochs) > 1 or epochs[0].is_recovery else (),
        learned=starts_after(own, epochs[-1].membership.epoch),
        wants_batches=ledger.wants_batches,
        due_ms=ledger.due_ms,
        decided=decided_lately(read_log, ledger.head.seq, wall_ms, name=application.name),
    )


def _ordered(entry: LogEntry) -> OrderedBatch:
    batch = Batch.from_bytes(entry.batch)
    return OrderedBatch(
        seq=entry.seq,
        timestamp_ms=batch.timestamp_ms,
        view=batch.view,
        requests=batch.requests,
    )

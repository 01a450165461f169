"""Executes log entries that the ledger's own log has and its state has not.

That is so after a recovery which went back to the genesis, because no later state was kept.
"""

from typing import Final

from bftcluster.ids import Seq
from bftcluster.ledger.ledger import Ledger
from bftcluster.ledger.rules.batch import OrderedBatch
from bftcluster.node.process.logs import log_for
from bftcluster.pbft import Batch, LogEntry
from bftcluster.storage.ledger_store import LedgerStore

_ENTRIES_PER_TURN: Final = 64

_log = log_for("recovery")


def replay(ledger: Ledger, store: LedgerStore) -> None:
    """Execute what is left of the log; blocks. A crash leaves less of it."""
    begin = ledger.head.seq
    while entries := store.reader.log(Seq(ledger.head.seq + 1), _ENTRIES_PER_TURN):
        logged = [LogEntry.from_bytes(data) for data in entries]
        executed = ledger.execute([_ordered(entry) for entry in logged])
        pairs = [(entry.seq, data) for entry, data in zip(logged, entries, strict=True)]
        store.flush(executed.delta, pairs, ledger.head.seq)
    if ledger.head.seq > begin:
        store.sync()
        _log.info("executed the log again", first=begin + 1, last=ledger.head.seq)


def _ordered(entry: LogEntry) -> OrderedBatch:
    batch = Batch.from_bytes(entry.batch)
    return OrderedBatch(
        seq=entry.seq,
        timestamp_ms=batch.timestamp_ms,
        view=batch.view,
        requests=tuple(batch.requests),
    )

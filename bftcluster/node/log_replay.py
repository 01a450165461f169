"""Executes log entries that the ledger's own log has and its state has not.

That is so after a recovery which went back to the genesis, because no later state was kept.
"""

from typing import Final

from bftcluster.ids import Seq
from bftcluster.ledger.ledger import Ledger
from bftcluster.node.process.logs import log_for
from bftcluster.pbft import LogEntry
from bftcluster.storage.ledger_store import LedgerStore
from bftcluster.sync.execution import execute

_ENTRIES_PER_TURN: Final = 64

_log = log_for("recovery")


def replay(ledger: Ledger, store: LedgerStore) -> None:
    """Execute what is left of the log; blocks. A crash leaves less of it."""
    begin = ledger.head.seq
    while entries := store.reader.log(Seq(ledger.head.seq + 1), _ENTRIES_PER_TURN):
        execute(ledger, store, [LogEntry.from_bytes(data) for data in entries])
    if ledger.head.seq > begin:
        store.sync()
        _log.info("executed the log again", first=begin + 1, last=ledger.head.seq)

"""Says what must be on disk before votes are forgotten, and what need not be kept longer."""

from collections.abc import Sequence
from typing import Protocol

from bftcluster.ids import Seq
from bftcluster.ledger.ledger import Ledger
from bftcluster.ledger.rows.store import Delta
from bftcluster.pbft import CheckpointCertificate
from bftcluster.sync.epoch_proofs import epoch_link


class Store(Protocol):
    """The writing side of the ledger's storage."""

    def flush(self, delta: Delta, entries: Sequence[tuple[Seq, bytes]], position: Seq) -> None:
        """Take state, log and position forward in one transaction."""
        ...

    def sync(self) -> Seq:
        """Make everything flushed durable; return up to where."""
        ...

    def prune_log(self, below: Seq) -> None:
        """Forget log entries before ``below``."""
        ...


def settle(
    ledger: Ledger,
    store: Store,
    stable: CheckpointCertificate | None,
    *,
    log_kept_seqs: int | None,
) -> None:
    """Make everything executed so far durable; forget what need not be kept.

    Args:
        ledger: The state machine.
        store: Where its rows and the log are kept.
        stable: The last stable checkpoint.
        log_kept_seqs: Log entries kept before it; ``None`` keeps all.
    """
    keep_link(ledger, store, stable)
    if stable is not None and log_kept_seqs is not None:
        store.prune_log(Seq(stable.seq + 1 - log_kept_seqs))
    store.sync()


def keep_link(ledger: Ledger, store: Store, stable: CheckpointCertificate | None) -> None:
    """Store the link between two epochs, if we stand where one can be made."""
    link = {} if stable is None else epoch_link(ledger, stable)
    if link:
        store.flush(link, (), ledger.head.seq)

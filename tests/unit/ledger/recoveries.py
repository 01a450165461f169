"""Recoveries to begin a test with."""

from bftcluster.ids import Digest, Epoch, Seq
from bftcluster.ledger.wire.recovery_operation import RecoverCluster
from bftcluster.limits import RECOVERY_EPOCHS


def recovery_of(**changes: object) -> RecoverCluster:
    """Return a recovery from a genesis, in which nobody stays, comes or leaves."""
    fields = {
        "seq": Seq(0),
        "state_root": Digest(bytes(32)),
        "certificate": b"",
        "epoch": Epoch(RECOVERY_EPOCHS),
        "executed": Seq(0),
        "staying": (),
        "coming": (),
        "leaving": (),
    }
    return RecoverCluster(**(fields | changes))

"""Byzantine agreement on the order of opaque requests (Castro and Liskov, OSDI'99).

``Replica`` is a state machine without I/O. Its owner feeds it events and carries out what it says::

    replica = Replica(..., recovered=Recovered(records=wal.records, executed=store.position()))
    ready = replica.start(now_ms=..., wall_ms=...)
    while True:
        send(ready.early)               # bodies, requests, fetches: no votes
        wal.append(ready.records)       # one fsync, if there are any
        send(ready.messages)            # votes, only now
        execute(ready.decided)          # later: step(Executed(seq, root at checkpoints))
        read(ready.log_reads)           # later: step(LogRead(to, entries))
        submit(ready.evidence)          # as operations, for the ledger to judge
        fetch(ready.state_fetch)        # later: a new Replica with Recovered(checkpoint=...)
        ask(ready.epochs_from)          # who votes; later: step(EpochsLearned(starts))
        stop_if(ready.halt)             # more than f are faulty: keep the exhibits
        if ready.truncate_to is not None:
            wal.rewrite(replica.live_records())
        events = wait_for_events_until(ready.deadline_ms)  # all that came, perhaps none
        ready = replica.step(*events, now_ms=..., wall_ms=...)

The log of a replica whose key is new holds ``birth_records``; on an empty one it has lost its
memory. The log store keeps ``LogEntry(seq, batch, certificate).to_bytes()`` of each ``Decided``,
and followers check it with ``verify_commit_certificate``.
"""

from bftcluster.pbft.batches import NULL_BATCH, Batch
from bftcluster.pbft.certificates import (
    CheckpointCertificate,
    CommitCertificate,
    PreparedCertificate,
    verify_checkpoint_certificate,
    verify_commit_certificate,
)
from bftcluster.pbft.epochs import EpochStart
from bftcluster.pbft.events import (
    Application,
    Decided,
    EpochsLearned,
    Event,
    Executed,
    Halt,
    HaltReason,
    Lane,
    LogRead,
    LogReadRequest,
    MessageReceived,
    Outbound,
    Ready,
    Recovered,
    RequestSubmitted,
    StateFetch,
    Tick,
)
from bftcluster.pbft.evidence import Evidence, verify_evidence
from bftcluster.pbft.messages import LogEntry
from bftcluster.pbft.records import Loss, birth_records
from bftcluster.pbft.recovery import decided_lately
from bftcluster.pbft.replica import Replica, Stats
from bftcluster.pbft.settings import Settings
from bftcluster.pbft.verdicts import Report, Verdict

__all__ = [
    "NULL_BATCH",
    "Application",
    "Batch",
    "CheckpointCertificate",
    "CommitCertificate",
    "Decided",
    "EpochStart",
    "EpochsLearned",
    "Event",
    "Evidence",
    "Executed",
    "Halt",
    "HaltReason",
    "Lane",
    "LogEntry",
    "LogRead",
    "LogReadRequest",
    "Loss",
    "MessageReceived",
    "Outbound",
    "PreparedCertificate",
    "Ready",
    "Recovered",
    "Replica",
    "Report",
    "RequestSubmitted",
    "Settings",
    "StateFetch",
    "Stats",
    "Tick",
    "Verdict",
    "birth_records",
    "decided_lately",
    "verify_checkpoint_certificate",
    "verify_commit_certificate",
    "verify_evidence",
]

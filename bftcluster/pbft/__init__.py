"""Byzantine agreement on the order of opaque requests (Castro and Liskov, OSDI'99).

``Replica`` is a state machine without I/O. Its owner feeds it events and carries out what it says::

    replica = Replica(..., recovered=Recovered(records=wal.records, executed=store.position()))
    ready = replica.start(now_ms=..., wall_ms=...)
    while True:
        for each in ready.steps:        # in their order; ``steps`` says what each asks for
            match each:
                case Send(): ...        # bodies and requests; votes only behind Append
                case Append(): ...      # one fsync
                case Decided(): ...     # later: step(BatchesExecuted(seq, root at checkpoints))
                case ReadLog(): ...     # later: step(LogEntriesRead(to, entries))
                case FetchEpochs(): ... # later: step(EpochsLearned(starts))
                case StartStateTransfer(): ...  # later: a new Replica, Recovered(checkpoint=...)
                ...
                case _: assert_never(each)
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
    BatchesExecuted,
    EpochsLearned,
    Event,
    LogEntriesRead,
    MessageReceived,
    Recovered,
    ReplicaDeadlinePassed,
    RequestSubmitted,
)
from bftcluster.pbft.evidence import Evidence, verify_evidence
from bftcluster.pbft.messages import LogEntry
from bftcluster.pbft.pool import request_digest
from bftcluster.pbft.records import VoteLoss, birth_records
from bftcluster.pbft.recovery import decided_lately
from bftcluster.pbft.replica import Replica, Stats
from bftcluster.pbft.settings import ReplicaSettings
from bftcluster.pbft.steps import (
    Append,
    Compact,
    Decided,
    FetchEpochs,
    Halt,
    HaltReason,
    KeepEvidence,
    Lane,
    Notice,
    Outbound,
    ReadLog,
    Ready,
    Send,
    StartStateTransfer,
    Step,
)
from bftcluster.pbft.verdicts import Verdict

__all__ = [
    "NULL_BATCH",
    "Append",
    "Application",
    "Batch",
    "BatchesExecuted",
    "CheckpointCertificate",
    "CommitCertificate",
    "Compact",
    "Decided",
    "EpochStart",
    "EpochsLearned",
    "Event",
    "Evidence",
    "FetchEpochs",
    "Halt",
    "HaltReason",
    "KeepEvidence",
    "Lane",
    "LogEntriesRead",
    "LogEntry",
    "MessageReceived",
    "Notice",
    "Outbound",
    "PreparedCertificate",
    "ReadLog",
    "Ready",
    "Recovered",
    "Replica",
    "ReplicaDeadlinePassed",
    "ReplicaSettings",
    "RequestSubmitted",
    "Send",
    "StartStateTransfer",
    "Stats",
    "Step",
    "Verdict",
    "VoteLoss",
    "birth_records",
    "decided_lately",
    "request_digest",
    "verify_checkpoint_certificate",
    "verify_commit_certificate",
    "verify_evidence",
]

"""Restores a replica's state from the records in its log, and turns its state into records."""

from collections.abc import Callable, Sequence
from typing import assert_never

from bftcluster.errors import CorruptRecordError
from bftcluster.ids import Digest, Seq, View
from bftcluster.limits import DECIDED_AGAIN_MS, DECIDED_READ_SEQS_MAX
from bftcluster.pbft.batches import Batch
from bftcluster.pbft.certificates import CheckpointCertificate, PreparedCertificate
from bftcluster.pbft.checkpoints import Checkpoints
from bftcluster.pbft.core import Core
from bftcluster.pbft.events import Recovered
from bftcluster.pbft.log import Slot, batch_digest
from bftcluster.pbft.messages import LogEntry
from bftcluster.pbft.records import (
    BodyKept,
    Prepared,
    Promised,
    ProposalAccepted,
    Record,
    Silenced,
    Stable,
    Started,
    ViewChanged,
    ViewEntered,
    Voted,
    parse_record,
)
from bftcluster.pbft.view_change import ViewChanger
from bftcluster.pbft.view_messages import NewView
from bftcluster.pbft.votes import Vote, VoteKind


def restore(
    core: Core, checkpoints: Checkpoints, view_changer: ViewChanger, recovered: Recovered
) -> None:
    """Rebuild window, P and Q, and the memory of our votes.

    Raises:
        CorruptRecordError: A record this version does not understand, or not our own.
    """
    restoring = _Restoring(core, checkpoints, view_changer)
    for data in recovered.records:
        restoring.take(parse_record(data))
    if recovered.records and recovered.checkpoint is not None:
        fetched = Stable(CheckpointCertificate.from_bytes(recovered.checkpoint))
        if fetched.certificate.seq > core.log.low:
            restoring.take(fetched)
            core.out.persist(fetched.to_bytes())
    if 0 < core.silent_until <= core.log.low:
        core.loss = None
    if restoring.entered is not None:
        view_changer.place(restoring.entered)
    if recovered.checkpoint_root is not None:
        interval = core.settings.checkpoint_interval_seqs
        last = Seq(recovered.executed // interval * interval)
        checkpoints.restore_root(last, recovered.checkpoint_root)
    for slot in core.log.slots.values():
        _rejoin_view(core, slot.seq)


def decided_lately(
    read: Callable[[Seq, int], Sequence[bytes]],
    last: Seq,
    wall_ms: int,
    *,
    name: Callable[[bytes], Digest],
) -> dict[Digest, int]:
    """Return when the requests were decided that are not to be ordered again yet.

    Args:
        read: Returns log entries: from a number on, so many, or fewer if it has no more.
        last: The last that there is.
        wall_ms: What time it is.
        name: Names a request, as the replica's ``Application`` does.

    Returns:
        Unix milliseconds by the request's name, the oldest first.
    """
    decided: list[tuple[Digest, int]] = []
    seq = last
    while seq > max(0, last - DECIDED_READ_SEQS_MAX) and (entries := read(seq, 1)):
        batch = Batch.from_bytes(LogEntry.from_bytes(entries[0]).batch)
        if 0 < batch.timestamp_ms <= wall_ms - DECIDED_AGAIN_MS:
            break
        decided += [(name(each), batch.timestamp_ms) for each in batch.requests]
        seq = Seq(seq - 1)
    return dict(reversed(decided))


class _Restoring:
    """Takes one record after the other, in the order they were written."""

    def __init__(self, core: Core, checkpoints: Checkpoints, view_changer: ViewChanger) -> None:
        self._core = core
        self._checkpoints = checkpoints
        self._view_changer = view_changer
        self.entered: NewView | None = None
        """The NEW-VIEW of the view we were in last."""

    def take(self, record: Record) -> None:
        core = self._core
        match record:
            case Started(cluster_id=cluster_id, replica=replica):
                if (cluster_id, replica) != (core.cluster_id, core.me):
                    raise CorruptRecordError("the write-ahead log is another replica's")
            case Stable(certificate=certificate):
                self._take_stable(certificate)
            case ViewChanged(frame=frame):
                self._view_changer.restore_view_change(frame)
            case ViewEntered(frame=frame):
                self.entered = self._view_changer.restore_entered(frame)
            case Prepared(certificate=certificate):
                if certificate.seq > core.log.low:
                    _restore_prepared(core, certificate)
            case Silenced() | Promised():
                _restore_silence(core, record)
            case Voted() | BodyKept() | ProposalAccepted():
                if record.seq > core.log.low:
                    _restore_slot(core, record)
                if isinstance(record, Voted) and record.kind is VoteKind.CHECKPOINT:
                    self._checkpoints.restore_root(record.seq, record.digest)
            case _:
                assert_never(record)

    def _take_stable(self, certificate: CheckpointCertificate) -> None:
        core = self._core
        if certificate.seq <= core.log.low:
            return
        epoch_before = core.epoch
        self._checkpoints.restore(certificate)
        if core.epoch != epoch_before:
            self._view_changer.reset()
            self.entered = None


def _restore_silence(core: Core, record: Silenced | Promised) -> None:
    match record:
        case Silenced(until=until, loss=loss):
            core.silent_until, core.loss = until, loss
        case Promised(epoch=epoch, view=view):
            core.guard.promise(epoch, view)
        case _:
            assert_never(record)


def _restore_slot(core: Core, record: Voted | BodyKept | ProposalAccepted) -> None:
    match record:
        case Voted():
            core.guard.restore(record)
        case BodyKept(seq=seq, body=body):
            core.log.bodies.keep(seq, batch_digest(body), body)
        case ProposalAccepted():
            _restore_proposal(core, record)
        case _:
            assert_never(record)


def live_records(core: Core, view_changer: ViewChanger) -> list[bytes]:
    """Return the records that ``restore`` would rebuild the present state from."""
    records = [Started(core.cluster_id, core.me).to_bytes()]
    if core.stable is not None:
        records.append(Stable(core.stable).to_bytes())
    if core.loss is not None:
        records.append(Silenced(core.silent_until, core.loss).to_bytes())
    if core.guard.promised > (core.epoch, core.view):
        records.append(Promised(*core.guard.promised).to_bytes())
    records.extend(view_changer.live_records())
    records.extend(BodyKept(seq, body).to_bytes() for seq, body in core.log.bodies.kept())
    for slot in core.log.slots.values():
        accepted = slot.accepted_proposal
        if accepted is not None:
            records.append(
                ProposalAccepted(
                    accepted.epoch, accepted.view, accepted.seq, accepted.digest, accepted.signature
                ).to_bytes()
            )
        if slot.prepared is not None:
            records.append(Prepared(slot.prepared).to_bytes())
    records.extend(core.guard.live_records())
    return records


def _restore_proposal(core: Core, record: ProposalAccepted) -> None:
    slot = _reopen(core, record.seq, record.view)
    body = core.log.bodies.get(record.digest)
    if body is not None:  # Null batches of one view are alike, and written down once for all.
        core.log.bodies.keep(record.seq, record.digest, body)
    slot.accepted_proposal = Vote(
        VoteKind.PRE_PREPARE,
        record.epoch,
        record.view,
        record.seq,
        record.digest,
        core.membership.primary(record.view),
        record.signature,
    )


def _restore_prepared(core: Core, certificate: PreparedCertificate) -> None:
    slot = _reopen(core, certificate.seq, certificate.view)
    if slot.prepared is None or slot.prepared.view < certificate.view:
        slot.prepared = certificate


def _reopen(core: Core, seq: Seq, view: View) -> Slot:
    """Return the slot of a record.

    Whoever wrote it knew who votes there, even if the ledger has since lost the checkpoint that
    told: its last flushes go with the power, and the log is not cut before they are durable.
    """
    core.epochs.horizon = max(core.epochs.horizon, seq)
    core.log.limit = max(core.log.limit, seq)
    return core.log.open(seq, view, now_ms=0)


def _rejoin_view(core: Core, seq: Seq) -> None:
    """Put our votes for the current view back where they were."""
    slot = core.log.open(seq, core.view, now_ms=0)
    accepted = slot.accepted_proposal
    if accepted is None or accepted.view != core.view:
        return
    if slot.proposal is None:
        slot.proposal = accepted
        slot.prepares.add_known(accepted)
    slot.accepted = True
    body = core.log.bodies.get(accepted.digest)
    assert body is not None, "a batch is durable before its proposal is accepted"
    for kind, votes in ((VoteKind.PREPARE, slot.prepares), (VoteKind.COMMIT, slot.commits)):
        vote = core.guard.past_vote(kind, core.epoch, core.view, seq)
        if vote is not None:
            votes.add_known(vote)

"""Members as the HTTP API shows them: who votes since when, what is under way, who lied."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from bftcluster.api.member_views import MemberView
from bftcluster.ids import Epoch, PeerId, ReplicaId, Seq
from bftcluster.ledger.rules.evidence import EvidenceRecord, evidence_record
from bftcluster.ledger.state.membership_rows import Change, read_changes, read_epoch
from bftcluster.ledger.state.records import PeerRecord, peer_record
from bftcluster.ledger.state.spaces import Space
from bftcluster.ledger.state.state import CHANGES_KEY
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.pbft.epochs import EpochStart, with_start
from bftcluster.storage.ledger_reader import LedgerReader

_PAGE_ROWS: Final = 500


def member_views(
    reader: LedgerReader, genesis: Genesis, connected: Collection[PeerId]
) -> list[MemberView]:
    """Return every admitted peer, sorted by name and id; blocks for a few reads."""
    position = reader.position()
    epochs = [EpochStart(Seq(1), genesis.membership())]
    for value in _values(reader, Space.EPOCH):
        epochs = with_start(epochs, read_epoch(value))
    changes = {change.peer: change for change in read_changes(reader.get(Space.META, CHANGES_KEY))}
    records = [peer_record(value) for value in _values(reader, Space.PEER)]
    evidence = evidence_by_peer(reader)
    return [
        _view(record, epochs, position, changes.get(record.peer), evidence, connected)
        for record in sorted(records, key=lambda record: (record.name, record.peer))
    ]


def evidence_by_peer(reader: LedgerReader) -> dict[PeerId, EvidenceRecord]:
    """Return the proofs of contradiction on record; blocks."""
    return {PeerId(key): evidence_record(value) for key, value in _rows(reader, Space.EVIDENCE)}


def voted_ever(reader: LedgerReader, genesis: Genesis, replica: ReplicaId) -> bool:
    """Return whether a peer was a member of any epoch; blocks."""
    epochs = [read_epoch(value) for value in _values(reader, Space.EPOCH)]
    memberships = [genesis.membership(), *(start.membership for start in epochs)]
    return any(replica in membership.replicas for membership in memberships)


def _epoch_at(epochs: list[EpochStart], seq: Seq) -> EpochStart:
    """Return the epoch that owns the batch after ``seq``."""
    return [start for start in epochs if start.first <= seq + 1][-1]


def _view(
    record: PeerRecord,
    epochs: list[EpochStart],
    position: Seq,
    change: Change | None,
    evidence: Mapping[PeerId, EvidenceRecord],
    connected: Collection[PeerId],
) -> MemberView:
    current = _epoch_at(epochs, position).membership
    votes = ReplicaId(record.peer) in current.replicas
    proof = evidence.get(record.peer)
    return MemberView(
        peer=record.peer,
        peername=record.name,
        addresses=record.addresses,
        votes=votes,
        since_epoch=_since(epochs, record.peer, current.epoch) if votes else None,
        is_barred=ReplicaId(record.peer) in current.barred,
        has_joined=record.joined_ms > 0,
        is_connected=record.peer in connected,
        under_way="" if change is None else _under_way(change, epochs),
        evidence=None if proof is None else proof.digest,
    )


def _since(epochs: list[EpochStart], peer: PeerId, current: Epoch) -> Epoch:
    """Return the first epoch of those up to ``current`` in which the peer votes throughout."""
    since = current
    for membership in reversed([start.membership for start in epochs]):
        if membership.epoch > current:
            continue
        if ReplicaId(peer) not in membership.replicas:
            break
        since = membership.epoch
    return since


def _under_way(change: Change, epochs: list[EpochStart]) -> str:
    what = "will vote" if change.votes else "will leave" if change.leaves else "will vote no more"
    if change.is_waiting:
        return f"{what}: waits for a checkpoint"
    [first] = [start.first for start in epochs if start.membership.epoch == change.epoch]
    return f"{what}: epoch {change.epoch}, from batch {first} on"


def _values(reader: LedgerReader, space: Space) -> list[bytes]:
    return [value for _, value in _rows(reader, space)]


def _rows(reader: LedgerReader, space: Space) -> Iterator[tuple[bytes, bytes]]:
    after = b""
    while page := reader.iterate(space, after, _PAGE_ROWS):
        yield from page
        after = page[-1][0]

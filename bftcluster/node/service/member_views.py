"""Members as the HTTP API shows them: who votes since when, what is under way, who lied."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from bftcluster.api.member_views import MemberView
from bftcluster.api.reputation_views import ReputationView
from bftcluster.ids import Epoch, PeerId, ReplicaId, Seq
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.membership_rows import Change
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.node.service.reputation_views import reputation_views
from bftcluster.pbft.epochs import EpochStart
from bftcluster.storage.ledger_reader import LedgerReader


def member_views(
    reader: LedgerReader, genesis: Genesis, connected: Collection[PeerId]
) -> list[MemberView]:
    """Return every admitted peer, sorted by name and id; blocks for a few reads."""
    position = reader.position()
    epochs = queries.epochs(reader, genesis)
    changes = {change.peer: change for change in queries.changes_under_way(reader)}
    records = queries.peers(reader).values()
    reputations, absent = reputation_views(reader, genesis), queries.absent_peers(reader)
    return [
        replace(
            _view(record, epochs, position, changes.get(record.peer), reputations, connected),
            is_absent=record.peer in absent,
        )
        for record in sorted(records, key=lambda record: (record.name, record.peer))
        if record.peer in reputations
    ]


def _epoch_at(epochs: list[EpochStart], seq: Seq) -> EpochStart:
    """Return the epoch that owns the batch after ``seq``."""
    return [start for start in epochs if start.first <= seq + 1][-1]


def _view(
    record: PeerRecord,
    epochs: list[EpochStart],
    position: Seq,
    change: Change | None,
    reputations: Mapping[PeerId, ReputationView],
    connected: Collection[PeerId],
) -> MemberView:
    current = _epoch_at(epochs, position).membership
    votes = ReplicaId(record.peer) in current.replicas
    return MemberView(
        record=record,
        votes=votes,
        since_epoch=_since(epochs, record.peer, current.epoch) if votes else None,
        is_barred=ReplicaId(record.peer) in current.barred,
        is_connected=record.peer in connected,
        is_absent=False,
        used_bytes=max(0, record.usable_capacity_bytes - record.usable_free_bytes),
        reputation=reputations[record.peer],
        under_way="" if change is None else _under_way(change, epochs),
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

"""A founding some minutes later: all have joined, dealt a key, and agreed on that state.

To deal one takes minutes of simulated time, for which no run of seconds can wait. So it is done
once, by the real ledger and what real members owe it, batch by batch without a network; peers
begin with the state of a certified checkpoint, as those do that fetched it.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from bftcluster.ids import Digest, Epoch, Seq, View
from bftcluster.ledger.ledger import Ledger
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rules.batch import OrderedBatch
from bftcluster.ledger.state import queries
from bftcluster.limits import PERIOD_MIN_MS
from bftcluster.pbft import CheckpointCertificate
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster.sync.announcements import Announcer
from bftcluster.sync.beacon_duties import BeaconDuties
from bftcluster_sim.cluster.environment.signatures import SimSigner, signed_vote
from bftcluster_sim.cluster.peers.beacons import seed_of
from bftcluster_sim.cluster.peers.states import (
    CAPACITY_BYTES,
    WALL_EPOCH_MS,
    Founding,
    approvals_of,
    founding,
)

_AGO_MS: Final = 600_000
"""When the cluster was made: before the time at which runs begin."""
_BATCH_MS: Final = 5_000
_NO_SIGNATURE: Final = bytes(64)


@lru_cache(maxsize=32)
def dealt(n: int, checkpoint_interval_seqs: int, audit_day_ms: int) -> Founding:
    """Return the founding of ``n`` peers with short periods, with the key already dealt."""
    created_ms = WALL_EPOCH_MS - _AGO_MS
    begun = founding(n, checkpoint_interval_seqs, PERIOD_MIN_MS, audit_day_ms, created_ms)
    return _Dealing(begun).founding()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    announcer: Announcer
    duties: BeaconDuties


class _Dealing:
    """One ledger, fed batch by batch with what its members owe."""

    def __init__(self, begun: Founding) -> None:
        self._begun = begun
        self._store = MemoryStateStore()
        self._store.flush(begun.delta)
        self._approvals = approvals_of(begun)
        self._ledger = Ledger(begun.genesis, self._store, self._approvals)
        self._now_ms = begun.genesis.created_ms
        self._signers = [SimSigner(each.peer) for each in begun.genesis.peers]
        self._root: Digest | None = None
        """Of the state after the last batch, if that was a checkpoint."""

    def founding(self) -> Founding:
        """Deal, and return what there is then."""
        members = [self._member(signer, index) for index, signer in enumerate(self._signers)]
        self._execute([self._join(each.announcer) for each in members])
        while not self._is_done:
            beacon, period = queries.beacon_of(self._store), self._ledger.head.period
            owed = [request for each in members for request in each.duties.owed(beacon, period)]
            self._execute([each for each in owed if self._approvals.is_wanted(each)])
            assert self._now_ms < WALL_EPOCH_MS, "a key is dealt within minutes"
        assert self._root is not None, "it ends with a checkpoint"
        certificate = self._certificate(self._ledger.head.seq, self._root)
        checkpoint = (self._ledger.head.seq, certificate.to_bytes())
        return replace(self._begun, delta=dict(self._store.rows()), checkpoint=checkpoint)

    @property
    def _is_done(self) -> bool:
        beacon = queries.beacon_of(self._store)
        return bool(beacon.groups) and beacon.open is None and self._root is not None

    def _execute(self, requests: list[bytes]) -> None:
        self._now_ms += _BATCH_MS
        batch = OrderedBatch(
            seq=Seq(self._ledger.head.seq + 1),
            timestamp_ms=self._now_ms,
            view=View(0),
            requests=tuple(requests),
        )
        result = self._ledger.execute([batch])
        assert all(each.is_accepted for each in result.applied[0].outcomes), "nobody is wrong here"
        self._store.flush(result.delta)
        self._root = result.roots.get(batch.seq)

    def _member(self, signer: SimSigner, index: int) -> _Member:
        cluster_id, curve = self._begun.cluster_id, self._approvals.curve
        duties = BeaconDuties(
            signer=signer, seed=seed_of(signer.public_key), cluster_id=cluster_id, curve=curve
        )
        announcer = Announcer(signer, cluster_id, f"peer{index}", duties.registration())
        return _Member(announcer=announcer, duties=duties)

    def _join(self, announcer: Announcer) -> bytes:
        return announcer.join(
            (),
            capacity_bytes=CAPACITY_BYTES,
            free_bytes=CAPACITY_BYTES,
            recorded=0,
            wall_ms=self._now_ms,
            is_registered=False,
        )

    def _certificate(self, seq: Seq, root: Digest) -> CheckpointCertificate:
        membership = self._begun.genesis.membership()
        votes = [
            Vote(VoteKind.CHECKPOINT, Epoch(0), View(0), seq, root, voter, _NO_SIGNATURE)
            for voter in membership.replicas[: membership.quorum]
        ]
        cluster_id = self._begun.cluster_id
        return CheckpointCertificate.of(
            [signed_vote(each, SimSigner(each.replica), cluster_id) for each in votes]
        )

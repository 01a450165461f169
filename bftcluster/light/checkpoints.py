"""What a light peer knows of checkpoints: who may sign them, and which is the newest."""

from collections.abc import Sequence

from bftcluster.errors import ClusterError
from bftcluster.ids import PeerId, Seq
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.limits import COUNTER_MAX
from bftcluster.pbft import CheckpointCertificate
from bftcluster.pbft.certificates import verify_checkpoint_certificate
from bftcluster.pbft.verdicts import Verdict
from bftcluster.signing.envelope import Verifier
from bftcluster.sync.epoch_proofs import rows_of_links, starts_after
from bftcluster.sync.epoch_sync import EpochLearning


class CertifiedCheckpoints:
    """Follows links between epochs from the genesis, and believes who votes at their end."""

    def __init__(self, genesis: Genesis, verifier: Verifier) -> None:
        self._cluster_id = genesis.cluster_id
        self._genesis = genesis.membership()
        self._verifier = verifier
        self._rows = MemoryStateStore()
        """The links."""
        self._learning = EpochLearning(
            genesis.cluster_id,
            verifier,
            genesis=self._genesis,
            policy=genesis.policy,
            own=self._rows,
        )
        self.newest: CheckpointCertificate | None = None
        """The newest of those whose signatures were verified."""

    @property
    def seq(self) -> Seq:
        """The newest checkpoint; 0: none was shown."""
        return Seq(0) if self.newest is None else self.newest.seq

    @property
    def links(self) -> tuple[bytes, ...]:
        """All links, for a later life."""
        return tuple(link for _, link in self._rows.iterate(Space.EPOCH_LINK, b"", COUNTER_MAX))

    def recall(self, links: Sequence[bytes], certificate: bytes) -> None:
        """Know again what an earlier life verified."""
        self._rows.flush(rows_of_links(links))
        if certificate:
            self.newest = CheckpointCertificate.from_bytes(certificate)

    def look_at(self, certificate: CheckpointCertificate) -> Verdict:
        """Judge a checkpoint that somebody shows; cheap checks first.

        A voter's key counts for the seqs of its epoch only, whoever may have it later.

        Returns:
            ``WAITING`` if it is of an epoch to which no links lead yet.
        """
        if certificate.seq <= self.seq:
            return Verdict.LATE
        starts = starts_after(self._rows, self._genesis.epoch)
        voters = {start.membership.epoch: start.membership for start in starts}
        voters[self._genesis.epoch] = self._genesis
        if certificate.epoch not in voters:
            return Verdict.WAITING
        later = [start.first for start in starts if start.membership.epoch > certificate.epoch]
        if later and certificate.seq >= min(later):
            return Verdict.BAD_CERTIFICATE
        membership = voters[certificate.epoch]
        try:
            verify_checkpoint_certificate(
                certificate.to_bytes(), membership, self._cluster_id, self._verifier
            )
        except ClusterError:
            return Verdict.BAD_CERTIFICATE
        self.newest = certificate
        return Verdict.ACCEPTED

    def ask(self, relay: PeerId, now_ms: int) -> bytes | None:
        """Return the frame that asks for links that we lack, unless it was asked lately."""
        return self._learning.ask(relay, now_ms)

    def on_links(self, relay: PeerId, frame: bytes, now_ms: int) -> Verdict:
        """Take links, if they were asked for and lead from where we are."""
        if not self._learning.on_frame(relay, frame):
            return Verdict.UNSOLICITED
        answer = self._learning.next_answer()
        assert answer is not None, "one came just now"
        try:
            learned = self._learning.look_at(answer)
        except ClusterError:
            self._learning.on_lie(relay, now_ms)
            return Verdict.BAD_CERTIFICATE
        self._rows.flush(learned.delta)
        return Verdict.ACCEPTED

"""The recovery point of a peer: the last checkpoint that it can prove, with the proof.

It goes to the maintainers by file, who take the highest of those that the survivors have.
"""

from dataclasses import dataclass
from typing import Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError, RefusedError
from bftcluster.ids import Digest, Epoch, PeerId, Seq
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.limits import (
    CBOR_SIZE_MAX_BYTES,
    CERTIFICATE_SIZE_MAX_BYTES,
    COUNTER_MAX,
    DIGEST_SIZE_BYTES,
    PUBLIC_KEY_SIZE_BYTES,
)
from bftcluster.membership import Membership
from bftcluster.pbft.certificates import CheckpointCertificate, verify_checkpoint_certificate
from bftcluster.pbft.epochs import Epochs, EpochStart
from bftcluster.signing.envelope import Verifier
from bftcluster.signing.wire import check_items, check_size, read_array
from bftcluster.sync.epoch_proofs import EpochLink, follow

_MAGIC: Final = "bftcluster-recovery-point"
_VERSION: Final = 1
_SHAPE: Final[list[type]] = [str, int, bytes, bytes, int, int, bytes, bytes, list]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPoint:
    """What one survivor shows. Nothing in it is trusted before ``voters`` has returned."""

    cluster_id: bytes
    peer: PeerId
    """Whose ledger and votes these are."""
    executed: Seq
    """How far it had got."""
    epoch: Epoch
    """The last one that it knows of."""
    state_root: Digest
    """After the last checkpoint that it can prove; that of the genesis, if there is none."""
    certificate: bytes
    """Of that checkpoint; empty for the genesis."""
    links: tuple[bytes, ...]
    """Who voted in each epoch up to that of the certificate: ``EpochLink.to_bytes()``."""

    @property
    def proof(self) -> CheckpointCertificate | None:
        """The certificate, decoded; ``None`` for the genesis."""
        return CheckpointCertificate.from_bytes(self.certificate) if self.certificate else None

    @property
    def seq(self) -> Seq:
        """The checkpoint."""
        return Seq(0) if self.proof is None else self.proof.seq

    def epochs(self, genesis: Genesis, verifier: Verifier) -> list[EpochStart]:
        """Return the epochs up to that of the checkpoint, once everything here is proved.

        Raises:
            ClusterError: The point is another cluster's, or something is not proved.
        """
        if self.cluster_id != genesis.cluster_id:
            raise RefusedError("this recovery point is another cluster's")
        first = EpochStart(Seq(1), genesis.membership())
        links = [EpochLink.from_bytes(link) for link in self.links]
        starts = [first]
        starts += follow(links, first.membership, genesis.cluster_id, verifier, genesis.policy)
        certificate = self.proof
        if certificate is None:
            return [first]
        if certificate.state_root != self.state_root or certificate.seq > self.executed:
            raise RefusedError("this recovery point contradicts itself")
        owner = _membership_in(starts, certificate.epoch)
        verify_checkpoint_certificate(self.certificate, owner, genesis.cluster_id, verifier)
        if Epochs(starts).of(certificate.seq) != owner:
            raise RefusedError("the checkpoint was certified by those who had no say in it")
        return starts

    def to_bytes(self) -> bytes:
        """Return the file's contents."""
        return codec.encode(
            [
                _MAGIC,
                _VERSION,
                self.cluster_id,
                self.peer,
                self.executed,
                self.epoch,
                self.state_root,
                self.certificate,
                self.links,
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "RecoveryPoint":
        """Return the point in a file's contents.

        Raises:
            MalformedMessageError: Not a recovery point, or of another version.
        """
        magic, version, cluster_id, peer, executed, epoch, root, certificate, links = read_array(
            data, _SHAPE, "recovery point", size_max_bytes=CBOR_SIZE_MAX_BYTES
        )
        if (magic, version) != (_MAGIC, _VERSION):
            raise MalformedMessageError("not a recovery point of this version")
        check_size(cluster_id, DIGEST_SIZE_BYTES, "a cluster id")
        check_size(peer, PUBLIC_KEY_SIZE_BYTES, "a peer id")
        check_size(root, DIGEST_SIZE_BYTES, "a state root")
        if not (0 <= executed <= COUNTER_MAX and 0 <= epoch <= COUNTER_MAX):
            raise MalformedMessageError("not a counter")
        if len(certificate) > CERTIFICATE_SIZE_MAX_BYTES:
            raise MalformedMessageError(f"a certificate of {len(certificate)} bytes")
        return cls(
            cluster_id=cluster_id,
            peer=PeerId(peer),
            executed=Seq(executed),
            epoch=Epoch(epoch),
            state_root=Digest(root),
            certificate=certificate,
            links=check_items(links, bytes, "a link"),
        )


def _membership_in(starts: list[EpochStart], epoch: Epoch) -> Membership:
    for start in starts:
        if start.membership.epoch == epoch:
            return start.membership
    raise RefusedError(
        f"nothing proves who voted in epoch {epoch}",
        hint="this peer went past it by the log; take the recovery point of another survivor",
    )

"""What maintainers sign to let a cluster go on that lost too many disks: never ordered, applied.

It names a certified state, who votes behind it, and whose keys never vote again.
"""

from dataclasses import dataclass
from typing import Any, Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest, Epoch, PeerId, ReplicaId, Seq
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.peer_terms import terms_from_wire
from bftcluster.limits import (
    CERTIFICATE_SIZE_MAX_BYTES,
    COUNTER_MAX,
    DIGEST_SIZE_BYTES,
    PUBLIC_KEY_SIZE_BYTES,
    RECOVERY_EPOCHS,
    REPLICAS_MAX,
)
from bftcluster.membership import Membership
from bftcluster.pbft.certificates import CheckpointCertificate
from bftcluster.pbft.epochs import EpochStart
from bftcluster.signing.wire import check_array, check_items, check_size

RECOVER: Final = 20
_SHAPE: Final[list[type]] = [int, int, bytes, bytes, int, int, list, list, list]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverCluster:
    """Go on behind a certified checkpoint in a new epoch, whatever came after it.

    Raises:
        MalformedMessageError: On construction, if it contradicts itself.
    """

    seq: Seq
    """The checkpoint; 0 is the genesis, when there was none yet."""
    state_root: Digest
    """Of the state after ``seq``."""
    certificate: bytes
    """The voters' proof of that checkpoint; empty for the genesis."""
    epoch: Epoch
    """A multiple of ``RECOVERY_EPOCHS``, later than any that the survivors know of."""
    executed: Seq
    """How far the survivor who came furthest had got: what is beyond ``seq`` is ordered again."""
    staying: tuple[PeerId, ...]
    """Voters before and after: their disks, with their votes, are there."""
    coming: tuple[AdmitPeer, ...]
    """New voters, under keys that never voted."""
    leaving: tuple[PeerId, ...]
    """Members no more: their keys are lost with their disks. Other voters stay as storage peers."""

    def __post_init__(self) -> None:
        check_size(self.state_root, DIGEST_SIZE_BYTES, "a state root")
        for peer in (*self.staying, *self.leaving):
            check_size(peer, PUBLIC_KEY_SIZE_BYTES, "a peer id")
        if not 0 <= self.seq <= self.executed <= COUNTER_MAX:
            raise MalformedMessageError("a recovery behind what was executed")
        if self.epoch % RECOVERY_EPOCHS or not 0 < self.epoch <= COUNTER_MAX:
            raise MalformedMessageError(f"epoch {self.epoch} is not for a recovery")
        named = [*self.staying, *(peer.peer for peer in self.coming), *self.leaving]
        if len(set(named)) != len(named):
            raise MalformedMessageError("a recovery names a peer twice")
        if not 1 <= len(self.staying) + len(self.coming) <= REPLICAS_MAX:
            raise MalformedMessageError(f"1 to {REPLICAS_MAX} replicas vote")
        self._check_certificate()

    def _check_certificate(self) -> None:
        proof = self.proof
        if (proof is None) != (self.seq == 0):
            raise MalformedMessageError("only a recovery at the genesis needs no certificate")
        if proof is not None and (proof.seq, proof.state_root) != (self.seq, self.state_root):
            raise MalformedMessageError("the certificate is of another checkpoint")

    @property
    def proof(self) -> CheckpointCertificate | None:
        """The certificate, decoded; nothing is verified."""
        return CheckpointCertificate.from_bytes(self.certificate) if self.certificate else None

    @property
    def start(self) -> EpochStart:
        """The epoch that it begins."""
        voters = (*self.staying, *(peer.peer for peer in self.coming))
        return EpochStart(Seq(self.seq + 1), Membership(self.epoch, tuple(map(ReplicaId, voters))))

    @property
    def subject(self) -> str:
        """Return nothing: it is about the whole cluster."""
        return ""

    def to_bytes(self) -> bytes:
        """Return the canonical encoding, an intent's ``operation``."""
        return codec.encode(
            [
                RECOVER,
                self.seq,
                self.state_root,
                self.certificate,
                self.epoch,
                self.executed,
                self.staying,
                [
                    [peer.peer, peer.name, peer.addresses, peer.terms.to_wire()]
                    for peer in self.coming
                ],
                self.leaving,
            ]
        )


def parse_recover(items: list[Any]) -> RecoverCluster:
    """Return the operation that a decoded array stands for.

    Raises:
        MalformedMessageError: It stands for none.
    """
    _, seq, root, certificate, epoch, executed, staying, coming, leaving = check_array(
        items, _SHAPE, "recover operation"
    )
    if len(certificate) > CERTIFICATE_SIZE_MAX_BYTES:
        raise MalformedMessageError(f"a certificate of {len(certificate)} bytes")
    peers = [check_array(item, [bytes, str, list, list], "a new voter") for item in coming]
    return RecoverCluster(
        seq=Seq(seq),
        state_root=Digest(root),
        certificate=certificate,
        epoch=Epoch(epoch),
        executed=Seq(executed),
        staying=tuple(map(PeerId, check_items(staying, bytes, "a peer id"))),
        coming=tuple(
            AdmitPeer(
                peer=PeerId(peer),
                name=name,
                addresses=tuple(addresses),
                votes=True,
                terms=terms_from_wire(terms),
            )
            for peer, name, addresses, terms in peers
        ),
        leaving=tuple(map(PeerId, check_items(leaving, bytes, "a peer id"))),
    )

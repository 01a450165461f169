"""The chain of proofs from voters that a peer knows to those of now: it trusts nobody who tells.

A link from one epoch to the next is a checkpoint certificate of the old voters, the row of their
state that names the new ones, and the proof that it is in it. Links are made while an epoch ends,
by those who stand there; whoever goes past it otherwise asks for them. They are kept for ever,
without a gap from the genesis on, and followed from the last epoch that is known.

A link to an epoch that maintainers began is what they signed, and a checkpoint certificate of the
new voters: without that it is not in force, and whoever has the file could stop a cluster with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bftcluster import codec
from bftcluster.errors import MalformedMessageError, RemoteProtocolError
from bftcluster.ids import ClusterId, Epoch
from bftcluster.ledger.ledger import Ledger
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.store import Delta, StatePort
from bftcluster.ledger.rows.tree_proofs import Proof, prove, proves
from bftcluster.ledger.rules.recovery import VerifiedRecovery, start_of, verify_recovery
from bftcluster.ledger.state.membership_rows import epoch_key, epoch_of, epoch_to_value, read_epoch
from bftcluster.limits import (
    CERTIFICATE_SIZE_MAX_BYTES,
    EPOCH_LINK_SIZE_MAX_BYTES,
    EPOCH_LINKS_MAX,
    FRAME_SIZE_MAX_BYTES,
    PEERS_MAX,
    PROOF_SIZE_MAX_BYTES,
    REQUEST_SIZE_MAX_BYTES,
)
from bftcluster.membership import Membership
from bftcluster.pbft import shapes
from bftcluster.pbft.certificates import CheckpointCertificate, verify_checkpoint_certificate
from bftcluster.pbft.epochs import EpochStart, is_recovery_epoch, recovery_after
from bftcluster.signing.envelope import Verifier
from bftcluster.signing.policies import Policy
from bftcluster.sync.frames import EpochLinks
from bftcluster.sync.state_parts import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochLink:
    """The proof of who votes in an epoch: by the voters of the one before, or by a recovery."""

    certificate: bytes
    """Of a checkpoint in the epoch before; after a recovery, of one in the epoch itself."""
    row: bytes
    """The value of the epoch's row in that state; after a recovery, its request."""
    proof: bytes
    """``Proof.to_bytes()`` of the row; after a recovery, nothing."""

    @property
    def is_recovery(self) -> bool:
        """Whether maintainers began the epoch."""
        return not self.proof

    @classmethod
    def of_recovery(cls, recovery: VerifiedRecovery) -> "EpochLink":
        """Return the link to the epoch that a recovery begins, which has no checkpoint yet."""
        return cls(certificate=b"", row=recovery.request, proof=b"")

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return codec.encode([self.certificate, self.row, self.proof])

    @classmethod
    def from_bytes(cls, data: bytes) -> "EpochLink":
        """Return the link that ``data`` encodes; nothing is verified.

        Raises:
            MalformedMessageError: It encodes none.
        """
        value = codec.decode(data, size_max_bytes=EPOCH_LINK_SIZE_MAX_BYTES)
        certificate, row, proof = shapes.array(value, 3, "a link between epochs")
        return cls(
            certificate=shapes.blob(certificate, CERTIFICATE_SIZE_MAX_BYTES),
            row=shapes.blob(row, REQUEST_SIZE_MAX_BYTES),
            proof=shapes.blob(proof, PROOF_SIZE_MAX_BYTES),
        )


def links_after(store: Source, after: Epoch) -> list[bytes]:
    """Return the links that ``store`` keeps from ``after`` on, up to the first that is missing."""
    links: list[bytes] = []
    before = after
    for key, link in store.iterate(Space.EPOCH_LINK, epoch_key(after), EPOCH_LINKS_MAX):
        number = epoch_of(key)
        if is_recovery_epoch(number):
            if not EpochLink.from_bytes(link).certificate:
                break
        elif number != before + 1:
            break
        links.append(link)
        before = number
    return links


def recoveries_in(
    store: Source, cluster_id: ClusterId, policy: Policy, verifier: Verifier
) -> list[VerifiedRecovery]:
    """Return the recoveries that ``store`` knows of, in their order.

    Raises:
        ClusterError: What it has is none.
    """
    found: list[VerifiedRecovery] = []
    after = Epoch(0)
    while rows := store.iterate(Space.EPOCH_LINK, epoch_key(Epoch(recovery_after(after) - 1)), 1):
        key, link = rows[0]
        after = epoch_of(key)
        if is_recovery_epoch(after):
            request = EpochLink.from_bytes(link).row
            found.append(verify_recovery(request, cluster_id, policy, verifier))
    return found


def starts_after(store: Source, after: Epoch) -> tuple[EpochStart, ...]:
    """Return the epochs that the links in ``store`` lead to from ``after`` without a gap."""
    starts: list[EpochStart] = []
    while links := links_after(store, after):
        starts += [_start_of(EpochLink.from_bytes(link)) for link in links]
        after = starts[-1].membership.epoch
    return tuple(starts)


def rows_of_links(links: Sequence[bytes]) -> Delta:
    """Return the rows that keep links of our own, which were verified when they were learnt."""
    starts = [_start_of(EpochLink.from_bytes(link)) for link in links]
    return {
        (Space.EPOCH_LINK, epoch_key(start.membership.epoch)): link
        for start, link in zip(starts, links, strict=True)
    }


def _start_of(link: EpochLink) -> EpochStart:
    """Return the epoch that a link of our own leads to: it was verified before it was kept."""
    return start_of(link.row) if link.is_recovery else read_epoch(link.row)


def links_frame(links: Sequence[bytes]) -> bytes:
    """Return the answer: consecutive links, encoded, as many as fit."""
    fitting: list[bytes] = []
    size_bytes = 0
    for link in links[:EPOCH_LINKS_MAX]:
        size_bytes += len(link)
        if fitting and size_bytes > FRAME_SIZE_MAX_BYTES // 2:
            break
        fitting.append(link)
    return EpochLinks(tuple(fitting)).frame()


def read_links(frame: bytes) -> list[EpochLink]:
    """Return the links in an answer; nothing is verified.

    Raises:
        MalformedMessageError: No such answer.
    """
    return [EpochLink.from_bytes(link) for link in EpochLinks.from_frame(frame).links]


def follow(
    links: Sequence[EpochLink],
    known: Membership,
    cluster_id: ClusterId,
    verifier: Verifier,
    policy: Policy,
) -> list[EpochStart]:
    """Return the epochs that ``links`` lead to from ``known``, each proved by the one before.

    Raises:
        ClusterError: A link proves nothing. Those before it would have done.
    """
    starts: list[EpochStart] = []
    for link in links:
        if link.is_recovery:
            start = _recovered(link, known, cluster_id, verifier, policy)
        else:
            start = _named(link, known, cluster_id, verifier)
        starts.append(start)
        known = start.membership
    return starts


def _read_row(row: bytes) -> EpochStart:
    """Return the epoch in a row of others, who may all have been liars.

    Raises:
        MalformedMessageError: It is none.
    """
    value = codec.decode(row, size_max_bytes=PROOF_SIZE_MAX_BYTES)
    first, epoch, replicas, barred = shapes.array(value, 4, "an epoch")
    voters = [shapes.replica(each) for each in shapes.items(replicas, PEERS_MAX, "voters")]
    passed_over = [shapes.replica(each) for each in shapes.items(barred, PEERS_MAX, "barred")]
    is_good = bool(voters) and len(set(voters)) == len(voters)
    is_good = is_good and set(passed_over) <= set(voters)
    if not is_good or len(passed_over) > (len(voters) - 1) // 3:
        raise MalformedMessageError("no membership")
    membership = Membership(shapes.epoch(epoch), tuple(voters), frozenset(passed_over))
    return EpochStart(shapes.seq(first), membership)


def _named(
    link: EpochLink, known: Membership, cluster_id: ClusterId, verifier: Verifier
) -> EpochStart:
    """Return the epoch that the voters of ``known`` named."""
    certificate = verify_checkpoint_certificate(link.certificate, known, cluster_id, verifier)
    proof = Proof.from_bytes(link.proof)
    key = epoch_key(Epoch(known.epoch + 1))
    if not proves(certificate.state_root, Space.EPOCH, key, link.row, proof):
        raise RemoteProtocolError(f"no proof of who votes in epoch {known.epoch + 1}")
    start = _read_row(link.row)
    if certificate.seq >= start.first:
        raise RemoteProtocolError(f"epoch {known.epoch + 1} had begun by then")
    return start


def _recovered(
    link: EpochLink, known: Membership, cluster_id: ClusterId, verifier: Verifier, policy: Policy
) -> EpochStart:
    """Return the epoch that the maintainers began, once its voters have shown that it is."""
    start = verify_recovery(link.row, cluster_id, policy, verifier).start
    if start.membership.epoch <= known.epoch:
        raise RemoteProtocolError(f"a recovery before epoch {known.epoch}")
    verify_checkpoint_certificate(link.certificate, start.membership, cluster_id, verifier)
    return start


def epoch_link(ledger: Ledger, certificate: CheckpointCertificate) -> Delta:
    """Return the row that links two epochs, if this checkpoint of ours can make one."""
    store = ledger.store
    proved = _recovery_link(store, certificate)
    seq, interval = certificate.seq, ledger.genesis.checkpoint_interval
    named = [start for start in ledger.epochs if start.first in (seq + 1, seq + interval + 1)]
    if not named or ledger.checkpoint_root() != certificate.state_root:
        return proved
    key = epoch_key(named[0].membership.epoch)
    if store.get(Space.EPOCH_LINK, key) is not None:
        return proved
    link = EpochLink(
        certificate=certificate.to_bytes(),
        row=epoch_to_value(named[0]),
        proof=prove(store, Space.EPOCH, key).to_bytes(),
    )
    return {**proved, (Space.EPOCH_LINK, key): link.to_bytes()}


def _recovery_link(store: StatePort, certificate: CheckpointCertificate) -> Delta:
    """Return the link to a recovery, if this is the first checkpoint that shows it in force."""
    key = epoch_key(certificate.epoch)
    row = store.get(Space.EPOCH_LINK, key)
    if row is None or not is_recovery_epoch(certificate.epoch):
        return {}
    link = EpochLink.from_bytes(row)
    if link.certificate:
        return {}
    proved = replace(link, certificate=certificate.to_bytes())
    return {(Space.EPOCH_LINK, key): proved.to_bytes()}

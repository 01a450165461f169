"""Applies a recovery to a peer that does not run: all of it or nothing, whatever moment ends it.

The ledger goes back to the checkpoint in one transaction that also notes the recovery; opening the
peer lets the write-ahead log follow, and carries the recovery out behind the checkpoint.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bftcluster.errors import HaltedError, RefusedError
from bftcluster.ids import Digest, Seq
from bftcluster.ledger.ledger import Ledger, genesis_delta
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.tree import stored_root
from bftcluster.ledger.rules.recovery import VerifiedRecovery, start_of, verify_recovery
from bftcluster.ledger.wire.recovery_operation import RecoverCluster
from bftcluster.node.parts import Parts, open_parts
from bftcluster.node.process.clock import SystemClock
from bftcluster.node.process.config import Config
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.temporary_roots import ADDED_KEEP_MS, TemporaryRoots
from bftcluster.pbft.certificates import verify_checkpoint_certificate
from bftcluster.pbft.epochs import Epochs, EpochStart
from bftcluster.signing.keys import Ed25519Verifier
from bftcluster.sync.epoch_proofs import EpochLink, links_after
from bftcluster.sync.recovery_point import RecoveryPoint
from bftcluster.sync.rewind import goes_back, links_to_change, stage_checkpoint

_log = log_for("recovery")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedRecovery:
    """What applying a recovery led to."""

    is_new: bool
    """False if the peer had applied it before."""
    seq: Seq
    """Where the peer stands now."""
    entries_set_aside: int
    """Batches whose requests it will hand in again."""
    fetches: bool
    """Whether it is new or lags: it fetches the recovery's state from the others once it runs."""


def recovery_point(config: Config) -> RecoveryPoint:
    """Return what the peer could be recovered from.

    Raises:
        ClusterError: It runs, it cannot be opened, or its ledger is behind its own votes.
    """
    with open_parts(config) as parts:
        certificate = parts.replica.stable_certificate
        position = parts.store.position()
        if certificate is not None and certificate.seq > position:
            raise RefusedError(
                f"the ledger ends at {position}, before checkpoint {certificate.seq}",
                hint="take the recovery point of another survivor",
            )
        epochs = parts.ledger.epochs
        if certificate is None:
            root, links = genesis_root(parts), []
        else:
            root = certificate.state_root
            links = links_after(parts.store.reader, epochs[0].membership.epoch)
        return RecoveryPoint(
            cluster_id=parts.genesis.cluster_id,
            peer=parts.me,
            executed=position,
            epoch=epochs[-1].membership.epoch,
            state_root=root,
            certificate=b"" if certificate is None else certificate.to_bytes(),
            links=tuple(links),
        )


def genesis_root(parts: Parts) -> Digest:
    """Return the root of the state that the genesis describes."""
    store = MemoryStateStore()
    store.flush(genesis_delta(parts.genesis))
    return stored_root(store.get)


def apply_recovery(config: Config, request: bytes, *, now_ms: int) -> AppliedRecovery:
    """Apply a recovery that is brought by file.

    Args:
        config: Of the peer, which must not run.
        request: What the maintainers signed.
        now_ms: Unix milliseconds. Nothing is ordered while the cluster stands, so that whoever
            applies a recovery judges by this clock whether it is too late.

    Raises:
        ClusterError: It does not hold, or not here. Nothing was changed.
    """
    is_new = begin_recovery(config, request, now_ms=now_ms)
    with open_parts(config) as parts:  # This is what carries it out.
        return AppliedRecovery(
            is_new=is_new,
            seq=parts.store.position(),
            entries_set_aside=parts.store.rewinder.count_set_aside(),
            fetches=parts.store.position() + 1 < start_of(request).first,
        )


def begin_recovery(config: Config, request: bytes, *, now_ms: int) -> bool:
    """Change the ledger, in one transaction; return whether the recovery was new here.

    Whenever the peer is opened next, the rest is done.

    Raises:
        ClusterError: As ``apply_recovery``.
    """
    with open_parts(config) as parts:
        recovery = _verified(parts, request)
        if recovery.start in parts.ledger.epochs:
            return False
        if not recovery.intent.not_before_ms <= now_ms < recovery.intent.expires_ms:
            raise RefusedError(
                "this recovery is not valid now",
                hint="is this machine's clock right? otherwise let the maintainers sign another",
            )
        _check_role(parts, recovery.operation)
        _begin(parts, recovery, EpochLink.of_recovery(recovery))
        return True


def take_over(config: Config, link: EpochLink) -> None:
    """Apply a recovery that others have shown to be in force.

    Raises:
        HaltedError: This peer has gone past the checkpoint: people must decide.
        ClusterError: It does not fit.
    """
    with open_parts(config) as parts:
        recovery = _verified(parts, link.row)
        if recovery.start in parts.ledger.epochs:
            return
        seq, position = recovery.operation.seq, parts.store.position()
        if position > seq:
            raise HaltedError(
                f"the maintainers started the cluster again from batch {seq}, and this peer has "
                f"executed {position}: what came after {seq} was given up by the others",
                hint="apply their file: `bftcluster peer recover DIR FILE`; "
                "what only this peer has is then ordered again",
            )
        _begin(parts, recovery, link)
        _log.warning("following a recovery of the cluster", seq=seq, epoch=recovery.operation.epoch)


def _verified(parts: Parts, request: bytes) -> VerifiedRecovery:
    genesis = parts.genesis
    return verify_recovery(request, genesis.cluster_id, genesis.policy, Ed25519Verifier())


def _check_role(parts: Parts, operation: RecoverCluster) -> None:
    """Return if this peer may take the part that the recovery gives it."""
    if parts.me in operation.leaving:
        raise RefusedError(
            "this recovery removes this peer: its key never votes again",
            hint="make a new peer with `bftcluster peer init`, and have it admitted",
        )
    if parts.me in operation.staying and not parts.has_votes:
        raise RefusedError(
            "this recovery counts on the disk of this peer, and its votes are not here",
            hint="a key whose votes are lost never votes again: let the maintainers sign a "
            "recovery in which this peer has a new key",
        )


def _begin(parts: Parts, recovery: VerifiedRecovery, link: EpochLink) -> None:
    """Check everything that can be checked here, then change the ledger in one transaction."""
    operation, epochs = recovery.operation, parts.ledger.epochs
    if operation.epoch <= epochs[-1].membership.epoch:
        raise RefusedError(
            f"this recovery begins epoch {operation.epoch}, and this peer knows of "
            f"{epochs[-1].membership.epoch}",
            hint="it is older than what this peer has; ask the maintainers for the last one",
        )
    _check_certificate(parts, operation, epochs)
    position = parts.store.position()
    is_our_last = position - position % parts.genesis.checkpoint_interval == operation.seq
    if is_our_last and stored_root(parts.store.get) != operation.state_root:
        raise _another_state(operation.seq)
    staged = None
    if goes_back(operation.seq, position, epochs):
        staged = _stage(parts, operation)
        if staged == operation.seq:
            _check_fit(operation, Ledger(parts.genesis, parts.store.stage, parts.verifier))
    elif position == operation.seq:
        _check_fit(operation, parts.ledger)
    # What the earlier state does not name is not to go before its pins are ordered again.
    wall_ms = SystemClock().wall_ms()
    temporary_roots = TemporaryRoots(parts.config.directory)
    temporary_roots.keep_everything(until_ms=wall_ms + ADDED_KEEP_MS)
    parts.store.rewinder.begin(
        recovery.request,
        operation.seq,
        links_to_change(epochs, recovery.start, link),
        staged=staged,
    )
    parts.store.sync()


def _check_certificate(
    parts: Parts, operation: RecoverCluster, epochs: Sequence[EpochStart]
) -> None:
    """Check the proof of the checkpoint, if this peer knows who voted then.

    One that lags does not; it checks the state root when it gets there.
    """
    proof = operation.proof
    if proof is None:
        return
    owner = Epochs(epochs).of(operation.seq)
    if owner.epoch == proof.epoch:
        cluster_id = parts.genesis.cluster_id
        verify_checkpoint_certificate(operation.certificate, owner, cluster_id, Ed25519Verifier())
    elif parts.store.position() >= operation.seq:
        raise RefusedError(f"epoch {proof.epoch} had no say in batch {operation.seq}")


def _check_fit(operation: RecoverCluster, ledger: Ledger) -> None:
    problem = ledger.problem_with(operation)
    if problem:
        raise RefusedError(
            f"this recovery does not fit the cluster: {problem}",
            hint="let the maintainers write another with `bftcluster cluster recover`, "
            "from the recovery points of all survivors",
        )


def _another_state(seq: Seq) -> RefusedError:
    return RefusedError(
        f"the state that this recovery names is not the one that this peer has at {seq}",
        hint="compare the recovery points of all survivors before you go on",
    )


def _stage(parts: Parts, operation: RecoverCluster) -> Seq:
    """Stage an earlier state out of our own store; return where it stands.

    The store keeps what rows and nodes were at its last checkpoint, and where the log is cut, at
    the few before. Where it does not keep those, it has the log, to be executed again.
    """
    stage = parts.store.stage
    if operation.seq > 0 and stage_checkpoint(stage, parts.store.reader, operation.state_root):
        return operation.seq
    is_genesis = operation.seq == 0 and operation.state_root == genesis_root(parts)
    if not is_genesis and not (operation.seq and parts.store.rewinder.has_log(operation.seq)):
        raise _another_state(operation.seq)
    stage.clear()
    stage.flush(genesis_delta(parts.genesis))
    return Seq(0)

"""Checks and carries out a recovery: maintainers start a cluster again that lost too many disks.

A recovery names a certified checkpoint, and an epoch that begins behind it. It is no batch: its
ledgers take it between the checkpoint and the first batch of that epoch, so that the state root of
the checkpoint stays what a quorum certified, and a state that is fetched there is brought forward
by whoever fetched it.
"""

from dataclasses import dataclass, replace

from bftcluster.errors import RefusedError
from bftcluster.ids import ClusterId, ReplicaId, Seq, View
from bftcluster.ledger.rules.context import Execution, burn
from bftcluster.ledger.rules.effects import Effect, PeerChanged
from bftcluster.ledger.rules.membership import grant
from bftcluster.ledger.rules.standings import drop, problem_with_return
from bftcluster.ledger.state.membership_rows import voters_min
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.operations import parse_operation
from bftcluster.ledger.wire.recovery_operation import RecoverCluster
from bftcluster.ledger.wire.requests import Submit, parse_request
from bftcluster.membership import Membership
from bftcluster.pbft.epochs import EpochStart
from bftcluster.signing.approvals import ApprovalCertificate, Intent
from bftcluster.signing.envelope import Verifier
from bftcluster.signing.policies import Policy
from bftcluster.signing.schemes import verify_certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedRecovery:
    """A recovery that enough maintainers signed; made by ``verify_recovery``."""

    intent: Intent
    operation: RecoverCluster
    request: bytes
    """The certificate, as a request would carry it: what is kept and passed on."""

    @property
    def start(self) -> EpochStart:
        """The epoch that it begins."""
        return self.operation.start


def verify_recovery(
    request: bytes, cluster_id: ClusterId, policy: Policy, verifier: Verifier
) -> VerifiedRecovery:
    """Return the recovery in ``request``. When it may be applied first is for others to judge.

    Raises:
        ClusterError: It is none, another cluster's, or not signed by enough maintainers.
    """
    parsed = parse_request(request)
    if not isinstance(parsed, Submit):
        raise RefusedError("this is no recovery")
    return verify_signed_recovery(parsed.certificate, cluster_id, policy, verifier)


def verify_signed_recovery(
    certificate: ApprovalCertificate, cluster_id: ClusterId, policy: Policy, verifier: Verifier
) -> VerifiedRecovery:
    """Return the recovery that ``certificate`` proves.

    Raises:
        ClusterError: As ``verify_recovery``.
    """
    intent = Intent.from_bytes(certificate.intent)
    operation = parse_operation(intent.operation)
    if not isinstance(operation, RecoverCluster):
        raise RefusedError("this is no recovery")
    if intent.cluster_id != cluster_id:
        raise RefusedError("this recovery is for another cluster")
    verify_certificate(certificate, policy, verifier)
    request = Submit(certificate=certificate).to_bytes()
    return VerifiedRecovery(intent=intent, operation=operation, request=request)


def start_of(request: bytes) -> EpochStart:
    """Return the epoch that a recovery begins which was verified before.

    Raises:
        ClusterError: It is none.
    """
    parsed = parse_request(request)
    if not isinstance(parsed, Submit):
        raise RefusedError("this is no recovery")
    operation = parse_operation(Intent.from_bytes(parsed.certificate.intent).operation)
    if not isinstance(operation, RecoverCluster):
        raise RefusedError("this is no recovery")
    return operation.start


def problem_with(operation: RecoverCluster, state: State, period_ms: int) -> str:
    """Return why a recovery does not fit the state at its checkpoint; empty if it does."""
    voted = [each.membership for each in state.epochs]
    before = _voters_at(state)
    voters = {replica for membership in voted for replica in membership.replicas}
    if operation.epoch <= state.epochs[-1].membership.epoch:
        return f"epoch {operation.epoch} is not later than any that this peer knows"
    for peer in operation.staying:
        if ReplicaId(peer) not in voters or peer not in state.peers:
            return f"{peer.hex()[:8]} stays, and does not vote in the state that is certified"
    for coming in operation.coming:
        if ReplicaId(coming.peer) in voters:
            return f"{coming.peer.hex()[:8]} comes under a key that has voted: it needs a new one"
        too_early = problem_with_return(state, coming.peer, state.head.period, period_ms)
        if too_early:
            return f"{coming.peer.hex()[:8]} comes too early: {too_early}"
    for peer in operation.leaving:
        if peer not in state.peers:
            return f"{peer.hex()[:8]} leaves, and is no peer in the state that is certified"
    n = operation.start.membership.n
    if n < voters_min(before.n):
        return f"{n} replicas would vote, fewer than {voters_min(before.n)}"
    return ""


def carry_out(recovery: VerifiedRecovery, state: State, genesis: Genesis) -> list[Effect]:
    """Bring the state at the recovery's checkpoint forward to the beginning of its epoch."""
    operation, head = recovery.operation, state.head
    assert head.seq == operation.seq, "a recovery follows its checkpoint"
    execution = Execution(genesis=genesis, state=state, seq=operation.seq, now_ms=head.timestamp_ms)
    state.recover_in(operation.start)
    state.set_changes(())
    state.set_turns(replace(state.turns, view=View(0)))
    for peer in operation.leaving:
        if peer in state.peers:
            drop(execution, peer)
    _set_voters(execution, recovery)
    burn(execution, recovery.intent)
    return execution.effects


def _voters_at(state: State) -> Membership:
    """Return who votes on what comes next, were there no recovery."""
    return state.membership_at(Seq(state.head.seq + 1))


def _set_voters(execution: Execution, recovery: VerifiedRecovery) -> None:
    state, operation = execution.state, recovery.operation
    for coming in operation.coming:
        grant(execution, coming, recovery.intent.digest)
    voters = set(operation.start.membership.replicas)
    for peer, record in list(state.peers.items()):
        votes = ReplicaId(peer) in voters
        if votes or record.is_replica:
            state.put_peer(replace(record, is_replica=votes))
            execution.effects.append(PeerChanged(peer))

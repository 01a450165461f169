"""Recoveries of simulated clusters: what ``bftcluster.node.recovery`` does to a peer."""

from bftcluster.errors import FatalStorageError
from bftcluster.ledger.rules.recovery import VerifiedRecovery, verify_recovery
from bftcluster.pbft import Batch, LogEntry
from bftcluster.pbft.records import recovery_records
from bftcluster.sync.epoch_proofs import EpochLink
from bftcluster_sim.cluster.peers.processes import Process


def apply(node: Process, recovery: VerifiedRecovery) -> None:
    """Apply a recovery to a peer that does not run."""
    assert not node.is_up, "a peer that runs is left alone"
    _begin(node, recovery, EpochLink.of_recovery(recovery))


def follow(node: Process, link: EpochLink) -> None:
    """Take over a recovery that others have shown to a running peer to be in force."""
    world = node.world
    genesis, cluster_id = world.founding.genesis, world.founding.cluster_id
    recovery = verify_recovery(link.row, cluster_id, genesis.policy, world.verifier)
    seq = recovery.operation.seq
    if node.state.executed > seq:
        raise FatalStorageError(f"the others went on from {seq}, {node.state.executed} is executed")
    node.reopen()
    _begin(node, recovery, link)


def hand_in_again(node: Process) -> None:
    """Have a peer that runs order again what was set aside."""
    tables = node.state.database.tables
    entries, tables.set_aside = tables.set_aside, []
    for data in entries:
        batch = Batch.from_bytes(LogEntry.from_bytes(data).batch)
        for request in batch.requests:
            node.world.hand_in(request, "a request that was set aside", to=node.index)


def _begin(node: Process, recovery: VerifiedRecovery, link: EpochLink) -> None:
    node.state.rewind(recovery, link)
    cluster_id, proof = node.world.founding.cluster_id, recovery.operation.proof
    node.rewrite_votes(recovery_records(cluster_id, node.key, proof))
    node.world.trace.line(f"{node.index} goes on from {recovery.operation.seq}")

"""What all replicas agree on, and what follows from it."""

import pytest

from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.limits import CHECKPOINT_INTERVAL_SEQS, WINDOW_SIZE_SEQS
from bftcluster.pbft import ReplicaSettings
from bftcluster_sim.cluster.cluster import SimulatedCluster
from tests.unit.ledger.world import genesis_of


@pytest.mark.parametrize("interval", [1, 2, CHECKPOINT_INTERVAL_SEQS, 256, 257, 511, 512])
def test_every_genesis_that_parses_runs(interval: int) -> None:
    genesis = Genesis.from_bytes(genesis_of(checkpoint_interval=interval).to_bytes())

    settings = ReplicaSettings(checkpoint_interval_seqs=genesis.checkpoint_interval)

    assert settings.window_seqs >= max(WINDOW_SIZE_SEQS, 2 * interval)


@pytest.mark.parametrize("interval", [1, 257, 512])
def test_a_cluster_orders_past_its_second_checkpoint(interval: int) -> None:
    cluster = SimulatedCluster.running(
        4, settings=ReplicaSettings(checkpoint_interval_seqs=interval)
    )
    rounds = 2 * interval + 2 if interval == 1 else interval + 2
    for number in range(rounds):
        cluster.submit(b"request %d" % number)
        cluster.run(4)
    cluster.run(1_000)

    assert [host.replica.stable for host in cluster.hosts] == [rounds // interval * interval] * 4


def test_a_window_without_two_halves_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="two halves"):
        ReplicaSettings(checkpoint_interval_seqs=4, window_size_seqs=7)

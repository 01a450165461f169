"""Fixtures for the tests of one replica among simulated ones."""

import pytest

from bftcluster.pbft import Replica
from bftcluster_sim.cluster.cluster import SimulatedCluster
from tests.unit.pbft.forgetting import founded


@pytest.fixture
def backup() -> Replica:
    """One that has heard from the others, and from no client."""
    cluster = SimulatedCluster(4)
    cluster.start()
    cluster.run(20)
    return cluster.hosts[1].replica


@pytest.fixture
def cluster() -> SimulatedCluster:
    """Four replicas, and a host that may take somebody's place."""
    return founded()

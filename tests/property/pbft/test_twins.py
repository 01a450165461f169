"""Twins: two correct processes with one key behave like a liar (after the Twins paper).

With up to f keys doubled nothing may go wrong. With f + 1 it must: a check that never fires proves
nothing.
"""

from dataclasses import dataclass
from random import Random

import pytest

from bftcluster.ids import ReplicaId
from bftcluster.pbft import verify_evidence
from bftcluster_sim.cluster.cluster import CLUSTER_ID, SimulatedCluster
from bftcluster_sim.cluster.environment.signatures import SimVerifier
from bftcluster_sim.cluster.hosts import Host
from tests.property.pbft.test_mutations import SETTINGS

SPLITTING = (17, 32, 53)
"""Of 60 seeds those in which two doubled keys do their worst: in the others the twins are shown
votes of their key that they did not cast, and fall silent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    agreed: bool
    """The logs of the replicas that have one process each are prefixes of one another."""
    finished: bool
    """After healing, all of them executed the last request."""
    culprits: frozenset[ReplicaId]
    """Whom the evidence convicts."""
    halted: bool


def play(seed: int, *, doubled: tuple[int, ...]) -> Outcome:
    """Partition, order, kill and restart at random; then heal and demand progress."""
    random = Random(seed)
    cluster = SimulatedCluster(4, seed=seed, settings=SETTINGS)
    for index in doubled:
        add_twin(cluster, index)
    liars = {cluster.hosts[index].me for index in doubled}
    honest = [host for host in cluster.hosts if host.me not in liars]
    cluster.network.faults.delay_ms_max = random.choice([1, 5, 20])
    cluster.network.faults.loss_percent = random.choice([0, 0, 5])
    cluster.start()
    cluster.run(100)
    for number in range(12):
        sides = random.choice([1, 2, 2])
        side_of = [random.randrange(sides) for _ in cluster.hosts]
        groups = [{i for i, side in enumerate(side_of) if side == s} for s in range(2)]
        cluster.partition(*groups)
        for turn in range(random.randrange(4)):
            host = random.choice(cluster.hosts)
            cluster.submit(b"request %d %d" % (number, turn), to=host.index)
        cluster.run(random.choice([5, 30, 150, 600]))
        if random.random() < 0.15:
            victim = random.choice(honest)
            (victim.stop if victim.is_up else victim.start)()
    for host in honest:
        if not host.is_up:
            host.start()
    cluster.heal()
    cluster.network.faults.loss_percent = 0
    cluster.submit(b"the end", to=2)
    finished = cluster.run_until(
        lambda: all(b"the end" in host.requests for host in honest), limit_ms=20_000
    )
    return judge(cluster, honest, finished=finished)


def add_twin(cluster: SimulatedCluster, index: int) -> None:
    twin = cluster.new_host(index)
    twin.index = len(cluster.hosts)
    cluster.hosts.append(twin)
    twin.hosts = cluster.hosts


def judge(cluster: SimulatedCluster, honest: list[Host], *, finished: bool) -> Outcome:
    logs = [host.log for host in honest]
    longest = max(logs, key=len)
    evidence = {data for host in honest for data in host.evidence}
    return Outcome(
        agreed=all(log == longest[: len(log)] for log in logs),
        finished=finished,
        culprits=frozenset(
            verify_evidence(data, cluster.membership, CLUSTER_ID, SimVerifier())
            for data in evidence
        ),
        halted=any(host.halt is not None for host in honest),
    )


@pytest.mark.parametrize("seed", range(12))
def test_one_doubled_key_of_four_harms_nobody(seed: int) -> None:
    outcome = play(seed, doubled=(seed % 4,))

    assert outcome.agreed
    assert outcome.finished
    assert not outcome.halted
    assert outcome.culprits <= {SimulatedCluster(4).hosts[seed % 4].me}


def test_two_doubled_keys_of_four_split_the_log_and_no_honest_replica_is_convicted() -> None:
    outcomes = [play(seed, doubled=(0, 1)) for seed in (*range(8), *SPLITTING)]

    split = [outcome for outcome in outcomes if not outcome.agreed]
    liars = {host.me for host in SimulatedCluster(4).hosts[:2]}
    assert split
    assert all(outcome.culprits <= liars for outcome in outcomes)
    assert any(outcome.culprits == liars for outcome in split)

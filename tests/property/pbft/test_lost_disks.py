"""Four replicas, and two disks lost: whatever the schedule, nothing forks."""

from random import Random

import pytest

from bftcluster.pbft import ReplicaSettings
from bftcluster_sim.cluster.cluster import SimulatedCluster
from bftcluster_sim.cluster.environment.links import LinkFaults
from bftcluster_sim.cluster.hosts import MEMBERS, HostDisk

SETTINGS = ReplicaSettings(
    checkpoint_interval_seqs=2,
    window_size_seqs=4,
    slots_in_flight_max=2,
    request_timeout_ms=200,
    view_change_timeout_ms=200,
)
STEPS = 30


class Story:
    """Crashes, cuts, requests and changes of members at random; some disks are emptied."""

    def __init__(self, seed: int, lost: int) -> None:
        self.random = Random(seed)
        faults = LinkFaults(loss_percent=5, delay_ms_max=20)
        self.cluster = SimulatedCluster(4, spare=1, seed=seed, settings=SETTINGS, faults=faults)
        self.losers = self.random.sample(range(5), lost)
        self.cluster.start()
        self.cluster.run(20)

    def go(self) -> None:
        for _ in range(STEPS):
            self.random.choice((self.crash, self.cut, self.lose, self.change, self.cluster.heal))()
            for _ in range(self.random.randint(1, 4)):
                self.ask()
                self.cluster.run(self.random.choice((1, 20, 20, 200)))
            self.cluster.check_agreement()
        self.cluster.heal()
        for host in self.cluster.hosts:
            if not host.is_up:
                host.start()
        self.ask()
        self.cluster.run(5_000)

    def ask(self) -> None:
        request = b"request at %d" % self.cluster.clock.now_ms
        for to in self.random.sample(range(5), 2):
            self.cluster.submit(request, to=to)

    def crash(self) -> None:
        """Kill one, unless one is down: then that one comes back."""
        down = [host for host in self.cluster.hosts if not host.is_up]
        if down:
            down[0].start()
        else:
            self.random.choice(self.cluster.hosts).stop()

    def cut(self) -> None:
        alone = set(self.random.sample(range(5), self.random.randint(1, 2)))
        self.cluster.partition(alone, set(range(5)) - alone)

    def lose(self) -> None:
        host = self.cluster.hosts[self.random.choice(self.losers)]
        host.stop()
        host.disk = HostDisk(epochs=host.disk.epochs[:1])
        host.start()

    def change(self) -> None:
        members = self.random.sample(range(5), 4)
        self.cluster.submit(MEMBERS + bytes(sorted(members)), to=self.random.randrange(5))


@pytest.mark.parametrize("lost", [1, 2, 3])
@pytest.mark.parametrize("seed", [1, 3, 8, 14])
def test_whatever_the_schedule_lost_disks_fork_nothing_and_accuse_nobody(
    seed: int, lost: int
) -> None:
    story = Story(seed, lost)

    story.go()

    story.cluster.check_agreement()
    hosts = story.cluster.hosts
    assert not any(host.halt for host in hosts)
    assert not any(host.evidence for host in hosts)

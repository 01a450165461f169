"""Some hosts on one network."""

from collections.abc import Callable
from random import Random
from typing import Self

from bftcluster.ids import ClusterId, Epoch, ReplicaId
from bftcluster.membership import Membership
from bftcluster.pbft import ReplicaSettings, RequestSubmitted
from bftcluster_sim.cluster.environment.clocks import VirtualClock
from bftcluster_sim.cluster.environment.links import LinkFaults, RecordedLinks
from bftcluster_sim.cluster.environment.signatures import SimVerifier, sim_key
from bftcluster_sim.cluster.hosts import Host

CLUSTER_ID = ClusterId(b"a simulated cluster".ljust(32, b"."))
SMALL_WINDOW = ReplicaSettings(checkpoint_interval_seqs=4, window_size_seqs=16)
"""So that a short run crosses many boundaries."""


class SimulatedCluster:
    """``n`` replicas of one membership, and ``spare`` hosts that follow and may become members.

    Host 0 is the primary of view 0.
    """

    def __init__(
        self,
        n: int = 4,
        *,
        spare: int = 0,
        seed: int = 0,
        settings: ReplicaSettings | None = None,
        faults: LinkFaults | None = None,
    ) -> None:
        self.clock = VirtualClock()
        random = Random(seed)  # noqa: S311 - a simulation, not a secret
        self.network = RecordedLinks(clock=self.clock, random=random, faults=faults or LinkFaults())
        self.verifier = SimVerifier()
        self.membership = Membership(
            Epoch(0), tuple(ReplicaId(sim_key(index)) for index in range(n))
        )
        self._settings = settings or ReplicaSettings()
        self.hosts = [self.new_host(index) for index in range(n + spare)]
        for host in self.hosts:
            host.hosts = self.hosts

    @classmethod
    def running(
        cls, n: int = 4, *, spare: int = 0, settings: ReplicaSettings | None = None
    ) -> Self:
        """Return one whose hosts have all heard from each other."""
        cluster = cls(n, spare=spare, settings=settings)
        cluster.start()
        cluster.run(10)
        return cluster

    def new_host(self, index: int) -> Host:
        """Return a host with the key of that number, which none of the others knows yet."""
        return Host(
            index,
            clock=self.clock,
            network=self.network,
            membership=self.membership,
            cluster_id=CLUSTER_ID,
            verifier=self.verifier,
            settings=self._settings,
        )

    def start(self) -> None:
        """Start every process."""
        for host in self.hosts:
            host.start()

    def submit(self, request: bytes, *, to: int = 0) -> None:
        """Have a client hand ``request`` to one host."""
        self.hosts[to].step(RequestSubmitted(request))

    def run(self, duration_ms: int) -> None:
        """Let time pass."""
        self.clock.run_until(self.clock.now_ms + duration_ms)

    def run_until(self, condition: Callable[[], bool], *, limit_ms: int) -> bool:
        """Let time pass until ``condition``; return False if it does not hold in time."""
        end_ms = self.clock.now_ms + limit_ms
        while not condition():
            if self.clock.now_ms > end_ms or not self.clock.step():
                return False
        return True

    def partition(self, *groups: set[int]) -> None:
        """Cut every link between hosts of different groups."""
        group_of = {index: number for number, group in enumerate(groups) for index in group}
        self.network.cut = lambda source, target, _frame: group_of[source] != group_of[target]

    def heal(self) -> None:
        """Restore every link."""
        self.network.cut = lambda _source, _target, _frame: False

    def check_agreement(self) -> None:
        """Assert that the logs of all hosts are prefixes of one another."""
        logs = [host.log for host in self.hosts]
        longest = max(logs, key=len)
        for log in logs:
            assert log == longest[: len(log)], "logs are prefixes of one another"

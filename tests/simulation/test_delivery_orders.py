"""One decision and one change of view, in every order of deliveries up to a bound.

Messages arrive in the order in which they were sent, but for those that are put off until whatever
waits with them has arrived. Every choice of so many of them is run, on the real replicas.
"""

from collections import deque
from itertools import combinations

import pytest

from bftcluster import codec
from bftcluster.pbft import ReplicaSettings
from bftcluster_sim.cluster.cluster import CLUSTER_ID, SimulatedCluster
from bftcluster_sim.cluster.environment.auditor import Auditor

STEPS_MAX = 2_000
COMMIT = 3
SETTINGS = ReplicaSettings(
    request_timeout_ms=100, view_change_timeout_ms=100, status_interval_ms=1_000
)
REQUEST = b"request"


class Story:
    """Only the primary hears the commits of view 0, and dies once it has decided alone."""

    def __init__(self, put_off: tuple[int, ...]) -> None:
        self.cluster = SimulatedCluster(4, settings=SETTINGS)
        self.auditor = Auditor(CLUSTER_ID)
        self.cluster.start()
        self.cluster.run(10)
        self.cluster.network.cut = self._take
        self._put_off = frozenset(put_off)
        self._waiting: deque[tuple[int, int, bytes]] = deque()
        self.steps = 0

    def _take(self, source: int, target: int, frame: bytes) -> bool:
        """Lose each frame for the network, and keep it."""
        self.auditor.note(self.cluster.hosts[source].me, frame)
        kind, _, view, *_ = (*codec.decode(frame), 0, 0)
        if target == 0 or (kind, view) != (COMMIT, 0):
            self._waiting.append((source, target, frame))
        return True

    def go(self) -> bool:
        """Return whether the three that are left have decided in another view, in time."""
        hosts, clock = self.cluster.hosts, self.cluster.clock
        self.cluster.submit(REQUEST, to=0)
        while self.steps < STEPS_MAX:
            if hosts[0].is_up and hosts[0].decided:
                hosts[0].stop()
            if all(host.requests == [REQUEST] for host in hosts[1:]) and not self._waiting:
                return True
            if self._waiting:
                self._deliver()
                clock.run_until(clock.now_ms)
            else:
                clock.step()
        return False

    def _deliver(self) -> None:
        """Deliver what was sent first, or put it off."""
        source, target, frame = self._waiting.popleft()
        self.steps += 1
        if self.steps in self._put_off:
            self._waiting.append((source, target, frame))
        elif self.cluster.hosts[target].is_up:
            self.cluster.hosts[target].receive(self.cluster.hosts[source].me, frame)


def test_as_sent_the_primary_decides_alone_and_the_others_in_the_next_view() -> None:
    story = Story(())

    assert story.go()

    hosts = story.cluster.hosts
    assert [[one.view for one in host.decided] for host in hosts] == [[0], [1], [1], [1]]


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_however_messages_overtake_each_other_one_batch_is_decided(count: int) -> None:
    plain = Story(())
    plain.go()

    for put_off in combinations(range(1, plain.steps + 1), count):
        story = Story(put_off)
        assert story.go(), put_off
        story.cluster.check_agreement()
        assert story.auditor.culprits == set(), put_off

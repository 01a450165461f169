"""A view change for every checkpoint, on and on: nothing grows, and nobody contradicts itself."""

import gc
from collections import deque
from dataclasses import replace
from types import FunctionType, ModuleType

import pytest

from bftcluster.limits import SIGNATURE_CACHE_MAX
from bftcluster.pbft import Replica
from bftcluster_sim.cluster.cluster import CLUSTER_ID, SMALL_WINDOW, SimulatedCluster
from bftcluster_sim.cluster.environment.auditor import Auditor

SETTINGS = replace(
    SMALL_WINDOW, status_interval_ms=200, request_timeout_ms=20, view_change_timeout_ms=20
)
RECORDS_SIZE_MAX_BYTES = 8_000
LONG = 64
"""More than any table of such a replica holds, but for the two that are bounded by number."""


class Reign:
    """A cluster whose primaries each order one checkpoint's worth of batches, and are cut off."""

    def __init__(self) -> None:
        self.cluster = SimulatedCluster(4, settings=SETTINGS)
        self.auditor = Auditor(CLUSTER_ID)
        self.requests = 0
        self.cluster.start()
        self.cluster.run(10)

    def order(self, view: int) -> None:
        for _ in range(SETTINGS.checkpoint_interval_seqs):
            self.requests += 1
            self.cluster.submit(b"%d" % self.requests, to=(view + 1) % 4)
            assert self.cluster.run_until(
                lambda: all(h.replica.last_executed == self.requests for h in self.cluster.hosts),
                limit_ms=2_000,
            )

    def depose(self, view: int) -> None:
        """Cut off the primary of ``view`` until the others are in the next one."""
        hosts, old = self.cluster.hosts, view % 4
        self.cluster.partition({old}, set(range(4)) - {old})
        self.cluster.submit(b"in vain in view %d" % view, to=(view + 1) % 4)
        self.requests += 1
        assert self.cluster.run_until(
            lambda: all(
                host.replica.view == view + 1 and host.replica.is_active
                for host in hosts
                if host.index != old
            ),
            limit_ms=2_000,
        )
        self.cluster.heal()

    def audit(self) -> None:
        for _, source, _, frame in self.cluster.network.sent:
            self.auditor.note(self.cluster.hosts[source].me, frame)
        self.cluster.network.sent.clear()


def long_tables(replica: Replica) -> list[int]:
    """Return how much is in each long container that a replica keeps, wherever it is.

    What its application keeps, which knows all that was executed, is left out.
    """
    seen = {id(replica._core.application)}
    lengths, left = [], [replica]
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen.add(id(one))
        if isinstance(one, dict | list | set | deque) and len(one) > LONG:
            lengths.append(len(one))
        left += gc.get_referents(one)
    return sorted(lengths)


@pytest.mark.parametrize("views", [100, pytest.param(1_000, marks=pytest.mark.slow)])
def test_however_many_views_follow_one_another_nothing_grows(views: int) -> None:
    reign = Reign()

    for view in range(views):
        reign.order(view)
        reign.depose(view)
        reign.audit()

    reign.cluster.check_agreement()
    assert reign.auditor.culprits == set()
    for host in reign.cluster.hosts:
        assert sum(map(len, host.disk.records)) < RECORDS_SIZE_MAX_BYTES
        decided, signatures = long_tables(host.replica)
        assert decided <= reign.requests
        assert signatures <= SIGNATURE_CACHE_MAX

"""What a fault-free decision costs: messages, delays, signature checks, and time to simulate."""

import time
from dataclasses import dataclass

from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import SimulatedCluster

DELAYS = 3
"""PRE-PREPARE, PREPARE, COMMIT."""
_VOTES = (VoteKind.PRE_PREPARE, VoteKind.PREPARE, VoteKind.COMMIT)
_WARM_UP_MS = 50
_DECISIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageCountRow:
    """The cost of one decision of ``n`` replicas, on a network where each message takes 1 ms."""

    n: int
    messages_expected: int
    messages: int
    """PRE-PREPARE, PREPARE and COMMIT, each counted per receiver."""
    delays: int
    """From PRE-PREPARE to the last replica's decision, in message delays."""
    verifies: int
    """Signatures checked by all replicas together."""
    verifies_max: int
    cpu_s: float
    """Processor time to simulate it."""


def measure(n: int) -> MessageCountRow:
    """Return the dearest of a few decisions."""
    cluster = SimulatedCluster(n)
    cluster.start()
    cluster.run(_WARM_UP_MS)
    rows = [_decide_one(cluster, n, number) for number in range(1, _DECISIONS + 1)]
    return max(rows, key=lambda row: (row.messages, row.delays, row.verifies))


def _decide_one(cluster: SimulatedCluster, n: int, number: int) -> MessageCountRow:
    before = _verified(cluster)
    cluster.network.sent.clear()
    begun_s = time.process_time()
    cluster.submit(b"request %d" % number)
    decided = cluster.run_until(
        lambda: all(host.replica.last_decided == number for host in cluster.hosts), limit_ms=1_000
    )
    assert decided, "nothing stands in the way of a decision"
    ended_ms = cluster.clock.now_ms
    cpu_s = time.process_time() - begun_s
    cluster.run(_WARM_UP_MS)
    votes = [sent for sent in cluster.network.sent if kind_of(sent[3]) in _VOTES]
    f = (n - 1) // 3
    return MessageCountRow(
        n=n,
        messages=len(votes),
        messages_expected=2 * n * (n - 1),
        delays=ended_ms - votes[0][0],
        verifies=_verified(cluster) - before,
        verifies_max=4 * f * n,
        cpu_s=round(cpu_s, 3),
    )


def _verified(cluster: SimulatedCluster) -> int:
    return sum(host.replica.stats.signatures_verified for host in cluster.hosts)

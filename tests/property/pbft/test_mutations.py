"""A liar that changes a little of what it says (after ByzzFuzz): view or seq by one, a digest,
another kind, an old message again, a flipped bit, or nothing at all. To each receiver differently.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from bftcluster import codec
from bftcluster.ids import Digest, Epoch, Seq, View
from bftcluster.pbft import verify_evidence
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind, vote_payload
from bftcluster.signing.envelope import sign
from bftcluster_sim.cluster.cluster import CLUSTER_ID, SMALL_WINDOW, SimulatedCluster
from bftcluster_sim.cluster.environment.signatures import SimSigner, SimVerifier

SETTINGS = replace(
    SMALL_WINDOW,
    request_timeout_ms=100,
    view_change_timeout_ms=200,
    view_change_timeout_max_ms=1_600,
    view_change_resend_ms=100,
    status_interval_ms=60,
    fetch_timeout_ms=50,
)


class Liar:
    """Stands between some hosts and the network."""

    def __init__(self, cluster: SimulatedCluster, hosts: tuple[int, ...], random: Random) -> None:
        self._cluster = cluster
        self._hosts = hosts
        self._random = random
        self._rate_percent = random.choice([5, 20, 60])
        self._old: deque[bytes] = deque(maxlen=200)
        self._send = cluster.network.send
        cluster.network.send = self.send  # type: ignore[method-assign]

    def send(self, source: int, target: int, frame: bytes, deliver: Callable[[], None]) -> None:
        if source not in self._hosts:
            self._send(source, target, frame, deliver)
            return
        self._old.append(frame)
        if self._random.randrange(100) >= self._rate_percent:
            self._send(source, target, frame, deliver)
            return
        changed = self._change(source, frame)
        if changed is not None:
            host, me = self._cluster.hosts[target], self._cluster.hosts[source].me
            self._send(source, target, changed, lambda: host.receive(me, changed))

    def _change(self, source: int, frame: bytes) -> bytes | None:
        choice = self._random.randrange(8)
        kind, *rest = codec.decode(frame)
        if choice == 0:
            return None
        if choice == 1:
            return self._random.choice(self._old)
        if kind <= 4:
            return self._change_vote(source, VoteKind(kind), rest, choice)
        flipped = bytearray(frame)
        flipped[self._random.randrange(len(flipped))] ^= 1 << self._random.randrange(8)
        return bytes(flipped)

    def _change_vote(self, source: int, kind: VoteKind, rest: list[int], choice: int) -> bytes:
        epoch, view, seq, digest, _ = rest
        if choice == 2:
            view = max(0, view + self._random.choice([-1, 1, 5]))
        elif choice == 3:
            seq = max(0, seq + self._random.choice([-1, 1, 4]))
        elif choice == 6:
            kind = self._random.choice(list(VoteKind))
        else:
            digest = hashlib.sha256(b"%d" % self._random.randrange(3)).digest()  # type: ignore[assignment]
        slot = (Epoch(epoch), View(0 if kind is VoteKind.CHECKPOINT else view), Seq(seq))
        what = Digest(digest)  # type: ignore[arg-type]
        me = self._cluster.hosts[source].me
        signature = sign(SimSigner(me), DOMAINS[kind], vote_payload(CLUSTER_ID, *slot, what, me))
        return Vote(kind, *slot, what, me, signature).frame()


@pytest.mark.parametrize("seed", range(16))
def test_f_replicas_that_change_what_they_say_harm_nobody(seed: int) -> None:
    random = Random(seed)
    n, liars = random.choice([(4, (0,)), (4, (2,)), (7, (0, 1)), (7, (0, 5)), (5, (0,))])
    cluster = SimulatedCluster(n, seed=seed, settings=SETTINGS)
    Liar(cluster, liars, random)
    cluster.network.faults.delay_ms_max = random.choice([1, 5, 20])
    cluster.network.faults.loss_percent = random.choice([0, 0, 5])
    cluster.start()
    cluster.run(100)
    honest = [host for host in cluster.hosts if host.index not in liars]

    for number in range(24):
        cluster.submit(b"request %d" % number, to=random.randrange(n))
        cluster.run(random.choice([5, 30, 150, 300]))
    cluster.network.faults.loss_percent = 0
    cluster.submit(b"the end", to=honest[0].index)
    finished = cluster.run_until(
        lambda: all(b"the end" in host.requests for host in honest), limit_ms=20_000
    )

    assert finished
    longest = max((host.log for host in honest), key=len)
    assert all(host.log == longest[: len(host.log)] for host in honest)
    assert all(host.halt is None for host in honest)
    for data in {data for host in honest for data in host.evidence}:
        culprit = verify_evidence(data, cluster.membership, CLUSTER_ID, SimVerifier())
        assert culprit in {cluster.hosts[index].me for index in liars}

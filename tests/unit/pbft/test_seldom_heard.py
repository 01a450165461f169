"""Verdicts that random faults hardly ever lead to."""

from dataclasses import replace

import pytest

from bftcluster.ids import Epoch, Seq, View
from bftcluster.pbft import CheckpointCertificate, MessageReceived, Ready, Verdict
from bftcluster.pbft.messages import Requests, StableCheckpoint, Vouch
from bftcluster.pbft.steps import Notice, StartStateTransfer
from bftcluster_sim.cluster.cluster import SMALL_WINDOW, SimulatedCluster
from tests.unit.pbft.builders import B, checkpoint
from tests.unit.pbft.readies import those

SETTINGS = replace(SMALL_WINDOW, pool_requests_max=2)


@pytest.fixture
def cluster() -> SimulatedCluster:
    cluster = SimulatedCluster(4, settings=SETTINGS)
    cluster.start()
    return cluster


def hear(cluster: SimulatedCluster, frame: bytes) -> Ready:
    """Have host 1 hear it from host 0, and return what it makes of that."""
    sender, (now_ms, receiver) = cluster.hosts[0].me, (cluster.clock.now_ms, cluster.hosts[1])
    return receiver.replica.step(MessageReceived(sender, frame), now_ms=now_ms, wall_ms=0)


def verdicts(ready: Ready) -> list[Verdict]:
    return [report.verdict for report in those(Notice, ready)]


GOOD = checkpoint(8, voters=(0, 2, 3))


@pytest.mark.parametrize(
    "certificate",
    [
        checkpoint(8, voters=(0, 1)),
        checkpoint(8, voters=(0, 1, 4)),
        CheckpointCertificate(GOOD.epoch, Seq(12), GOOD.state_root, GOOD.signatures),
        CheckpointCertificate(GOOD.epoch, GOOD.seq, B, GOOD.signatures),
    ],
    ids=["one signer short", "a stranger among them", "another number", "another root"],
)
def test_a_checkpoint_that_no_quorum_signed_is_a_fault(
    cluster: SimulatedCluster, certificate: CheckpointCertificate
) -> None:
    cluster.run(10)

    ready = hear(cluster, StableCheckpoint(certificate).frame())

    assert verdicts(ready) == [Verdict.BAD_CERTIFICATE]
    assert not those(StartStateTransfer, ready)
    assert verdicts(hear(cluster, StableCheckpoint(GOOD).frame())) == []


def test_a_certificate_off_the_interval_is_a_fault(cluster: SimulatedCluster) -> None:
    cluster.run(10)

    ready = hear(cluster, StableCheckpoint(checkpoint(9)).frame())

    assert verdicts(ready) == [Verdict.NOT_A_CHECKPOINT]


def test_an_answer_to_who_comes_back_that_holds_no_votes_is_malformed(
    cluster: SimulatedCluster,
) -> None:
    nonce = 1_700_000_000_000
    vouch = Vouch(
        nonce=nonce,
        epoch=Epoch(0),
        horizon=Seq(16),
        is_sure=True,
        votes=(b"\x80",),
        view_change=None,
        heard=(Epoch(0), View(0), Seq(0)),
        stable=None,
    )

    assert verdicts(hear(cluster, vouch.frame())) == [Verdict.MALFORMED]


def test_a_full_pool_takes_no_more_from_peers_either(cluster: SimulatedCluster) -> None:
    cluster.run(10)
    cluster.hosts[0].stop()

    for number in range(4):
        hear(cluster, Requests((b"request %d" % number,), relayed=False).frame())

    assert cluster.hosts[1].replica.stats.pending_requests == SETTINGS.pool_requests_max

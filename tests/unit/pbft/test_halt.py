"""More than f faults are shouted, not hidden."""

from bftcluster.ids import Digest, Epoch, ReplicaId, Seq, View
from bftcluster.pbft import (
    BatchesExecuted,
    HaltReason,
    MessageReceived,
    ReplicaDeadlinePassed,
    ReplicaSettings,
)
from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.messages import Doubt
from bftcluster.pbft.steps import Decided, Halt
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import SimulatedCluster
from bftcluster_sim.cluster.environment.signatures import sim_key
from tests.unit.pbft.builders import B, vote
from tests.unit.pbft.readies import those

SETTINGS = ReplicaSettings(checkpoint_interval_seqs=4, window_size_seqs=8)


def running() -> SimulatedCluster:
    return SimulatedCluster.running(4, settings=SETTINGS)


def test_a_second_certified_decision_for_a_slot_stops_the_replica() -> None:
    cluster = running()
    cluster.submit(b"request")
    cluster.run(10)
    replica = cluster.hosts[3].replica
    now_ms = cluster.clock.now_ms
    slot = replica._core.log.slots[Seq(1)]
    slot.commits.votes.clear()

    for liar in (0, 1, 2):
        frame = vote(VoteKind.COMMIT, liar, seq=1, digest=B).frame()
        event = MessageReceived(ReplicaId(sim_key(liar)), frame)
        ready = replica.step(event, now_ms=now_ms, wall_ms=0)

    [halt] = those(Halt, ready)
    assert halt.reason is HaltReason.CONFLICTING_DECISIONS
    assert len(halt.exhibits) == 2
    again = replica.step(ReplicaDeadlinePassed(), now_ms=now_ms + 10_000, wall_ms=0)
    assert again.steps == (halt,)


def test_a_state_that_a_quorum_disagrees_with_stops_the_replica() -> None:
    cluster = running()
    cluster.hosts[3].disk.root = Digest(b"x" * 32)

    for number in range(5):
        cluster.submit(b"request %d" % number)
        cluster.run(10)

    assert [host.replica.stable for host in cluster.hosts] == [4, 4, 4, 0]
    assert any("diverged" in r or "another state" in r for r in cluster.hosts[3].reports)
    cluster.submit(b"one more")
    cluster.run(10)
    assert [host.replica.last_executed for host in cluster.hosts[:3]] == [6, 6, 6]


def test_a_commit_and_a_timeout_of_the_same_instant_decide_first() -> None:
    """A timer that fires with the last commit must not overtake it (besu#1734)."""
    for commit_first in (True, False):
        cluster = SimulatedCluster.running(
            4, settings=ReplicaSettings(request_timeout_ms=100, view_change_timeout_ms=200)
        )
        held: list[bytes] = []
        cluster.network.cut = lambda source, target, frame, held=held: (
            (
                target == 1
                and source == 2
                and kind_of(frame) == VoteKind.COMMIT
                and not held.append(frame)
            )
            or (target == 1 and source == 3 and kind_of(frame) == VoteKind.COMMIT)
        )
        cluster.submit(b"request", to=1)
        cluster.run(5)
        replica = cluster.hosts[1].replica
        due_ms = replica._core.log.slots[Seq(1)].opened_ms + 300
        doubt = MessageReceived(cluster.hosts[3].me, Doubt(Epoch(0), View(0)).frame())
        commit = MessageReceived(cluster.hosts[2].me, held[0])
        turns = (
            [(doubt, commit), (ReplicaDeadlinePassed(),)]
            if commit_first
            else [(doubt, ReplicaDeadlinePassed()), (commit,)]
        )

        decided = []
        for events in turns:
            ready = replica.step(*events, now_ms=due_ms, wall_ms=0)
            decided += those(Decided, ready)

        assert [one.seq for one in decided] == [1]
        assert replica.is_active is commit_first


def test_executing_past_a_checkpoint_without_its_root_is_our_bug() -> None:
    import pytest

    cluster = running()
    host = cluster.hosts[0]
    replica = host.replica
    replica._core.decided = Seq(9)

    with pytest.raises(AssertionError, match="every checkpoint"):
        replica.step(BatchesExecuted(Seq(5)), now_ms=cluster.clock.now_ms, wall_ms=0)

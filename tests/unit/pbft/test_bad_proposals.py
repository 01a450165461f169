"""What a backup refuses to vote for, and what it reports (B4, B7, B8, B9)."""

from collections.abc import Callable

import pytest

from bftcluster import codec
from bftcluster.ids import ClusterId, Digest, ReplicaId, Seq, View
from bftcluster.pbft import Batch, MessageReceived, Ready, Replica, ReplicaSettings, Verdict
from bftcluster.pbft.batches import NULL_BATCH
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import Body
from bftcluster.pbft.steps import Notice
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import SimulatedCluster
from bftcluster_sim.cluster.environment.signatures import sim_key
from tests.unit.pbft.builders import A, vote
from tests.unit.pbft.readies import sent, those

NOW_MS = 100
WALL_MS = 1_700_000_000_000
SKEW_MS = ReplicaSettings().clock_skew_max_ms
PRIMARY = ReplicaId(sim_key(0))


def hear(backup: Replica, frame: bytes, *, sender: ReplicaId = PRIMARY) -> Ready:
    return backup.step(MessageReceived(sender, frame), now_ms=NOW_MS, wall_ms=WALL_MS)


def propose(backup: Replica, body: bytes, *, seq: int = 1) -> list[Ready]:
    proposal = vote(VoteKind.PRE_PREPARE, 0, seq=seq, digest=batch_digest(body))
    return [hear(backup, Body(body).frame()), hear(backup, proposal.frame())]


def prepares(readies: list[Ready]) -> int:
    frames = (o.frame for o in sent(*readies))
    return sum(codec.decode(frame)[0] == VoteKind.PREPARE for frame in frames)


def verdicts(readies: list[Ready]) -> list[Verdict]:
    return [report.verdict for report in those(Notice, *readies)]


def batch(*requests: bytes, ahead_ms: int = 0) -> bytes:
    return Batch(WALL_MS + ahead_ms, requests).to_bytes()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: b"\x00", Verdict.BAD_BATCH),
        (batch, Verdict.BAD_BATCH),
        (lambda: batch(b"a", b"a"), Verdict.BAD_BATCH),
        (lambda: Batch(WALL_MS, (b"a",), View(1)).to_bytes(), Verdict.BAD_BATCH),
        (lambda: Batch(0, (), View(1)).to_bytes(), Verdict.BAD_BATCH),
        (lambda: batch(b"inadmissible"), Verdict.INADMISSIBLE),
        (lambda: batch(b"a", ahead_ms=SKEW_MS + 1), Verdict.BAD_TIMESTAMP),
        (lambda: batch(b"a", ahead_ms=-SKEW_MS - 1), Verdict.BAD_TIMESTAMP),
    ],
    ids=["no batch", "empty", "twice", "other view", "null of other view", "bad", "future", "past"],
)
def test_a_bad_batch_gets_no_vote(
    backup: Replica, make: Callable[[], bytes], reason: Verdict
) -> None:
    readies = propose(backup, make())

    assert prepares(readies) == 0
    assert verdicts(readies) == [reason]


def test_a_fresh_batch_that_names_an_earlier_view_gets_no_vote() -> None:
    cluster = SimulatedCluster(4)
    cluster.start()
    cluster.run(20)
    cluster.hosts[0].stop()
    cluster.submit(b"what it leaves undone", to=2)
    cluster.run(10_000)
    backup, new_primary = cluster.hosts[2].replica, ReplicaId(sim_key(1))
    assert (backup.view, backup.last_executed) == (1, 1)
    now_ms = cluster.clock.now_ms
    body = Batch(WALL_MS + now_ms, (b"another",), View(0)).to_bytes()
    proposal = vote(VoteKind.PRE_PREPARE, 1, seq=2, digest=batch_digest(body), view=1)

    sent = [
        backup.step(MessageReceived(new_primary, frame), now_ms=now_ms, wall_ms=WALL_MS + now_ms)
        for frame in (Body(body).frame(), proposal.frame())
    ]

    assert prepares(sent) == 0
    assert verdicts(sent) == [Verdict.BAD_BATCH]


@pytest.mark.parametrize("ahead_ms", [-SKEW_MS, 0, SKEW_MS])
def test_a_clock_within_the_allowed_skew_gets_a_vote(backup: Replica, ahead_ms: int) -> None:
    readies = propose(backup, batch(b"a", ahead_ms=ahead_ms))

    assert prepares(readies) == 1
    assert verdicts(readies) == []


def test_a_null_batch_does_not_move_the_time(backup: Replica) -> None:
    backup._core.wants_batches = True
    assert prepares(propose(backup, NULL_BATCH, seq=1)) == 1
    assert prepares(propose(backup, batch(b"a", ahead_ms=-SKEW_MS), seq=2)) == 1

    readies = propose(backup, batch(b"b", ahead_ms=-SKEW_MS), seq=3)

    assert verdicts(readies) == [Verdict.BAD_TIMESTAMP]


@pytest.mark.parametrize("step_ms", [0, -1])
def test_time_must_pass_from_batch_to_batch(backup: Replica, step_ms: int) -> None:
    propose(backup, batch(b"a"), seq=1)

    readies = propose(backup, batch(b"b", ahead_ms=step_ms), seq=2)

    assert prepares(readies) == 0
    assert verdicts(readies) == [Verdict.BAD_TIMESTAMP]


def test_a_proposal_waits_for_the_one_before_it(backup: Replica) -> None:
    early = propose(backup, batch(b"b", ahead_ms=1), seq=2)
    assert prepares(early) == 0

    late = propose(backup, batch(b"a"), seq=1)

    assert prepares(late) == 2


def test_a_proposal_of_a_backup_is_refused(backup: Replica) -> None:
    frame = vote(VoteKind.PRE_PREPARE, 2, seq=1).frame()

    readies = [hear(backup, frame, sender=ReplicaId(sim_key(2)))]

    assert verdicts(readies) == [Verdict.NOT_THE_PRIMARY]


def test_a_prepare_of_the_primary_is_refused(backup: Replica) -> None:
    readies = [hear(backup, vote(VoteKind.PREPARE, 0, seq=1).frame())]

    assert verdicts(readies) == [Verdict.PRIMARY_PREPARED]


def test_a_forged_proposal_is_refused(backup: Replica) -> None:
    forged = vote(VoteKind.PRE_PREPARE, 2, seq=1)

    readies = [hear(backup, forged.frame())]

    assert verdicts(readies) == [Verdict.BAD_SIGNATURE]


def test_a_proposal_of_another_cluster_is_refused_as_forged(backup: Replica) -> None:
    other = vote(VoteKind.PRE_PREPARE, 0, seq=1, cluster_id=ClusterId(b"another".ljust(32)))

    readies = [hear(backup, other.frame())]

    assert verdicts(readies) == [Verdict.BAD_SIGNATURE]


def test_a_vote_of_one_sent_by_another_is_his_who_sent_it(backup: Replica) -> None:
    body = batch(b"a")
    readies = propose(backup, body)
    stolen = [vote(VoteKind.PREPARE, 2, seq=1, digest=batch_digest(body))] * 2

    readies += [hear(backup, stolen[0].frame(), sender=ReplicaId(sim_key(3)))]

    assert [(r.verdict, r.peer) for r in those(Notice, *readies)] == [
        (Verdict.BAD_SIGNATURE, sim_key(3))
    ]


@pytest.mark.parametrize(
    ("seq", "view", "epoch", "is_stashed"),
    [
        (0, 0, 0, False),
        (256, 0, 0, False),
        (257, 0, 0, True),
        (257 + 512, 0, 0, False),
        (1, 1, 0, True),
        (1, 0, 1, True),
    ],
    ids=["genesis", "last", "above", "far above", "next view", "next epoch"],
)
def test_votes_for_later_are_kept_within_bounds(
    backup: Replica, seq: int, view: int, epoch: int, is_stashed: bool
) -> None:
    frame = vote(VoteKind.PRE_PREPARE, 0, seq=seq, view=view, epoch=epoch).frame()

    hear(backup, frame)

    assert backup.stats.stashed_frames == int(is_stashed)
    assert (Seq(seq) in backup._core.log.slots) is (seq == 256)


def test_a_flood_of_votes_for_later_is_bounded_per_sender(backup: Replica) -> None:
    for view in range(1, 4_000):
        hear(backup, vote(VoteKind.COMMIT, 0, seq=1, view=view).frame())

    assert backup.stats.stashed_frames == 2_048
    assert backup.stats.open_slots == 0


def test_a_stranger_is_not_heard(backup: Replica) -> None:
    stranger = ReplicaId(sim_key(9))

    readies = [hear(backup, vote(VoteKind.COMMIT, 9, seq=1).frame(), sender=stranger)]

    assert verdicts(readies) == [Verdict.NOT_A_MEMBER]


def test_junk_is_reported_and_nothing_else_happens(backup: Replica) -> None:
    readies = [hear(backup, b"junk")]

    assert verdicts(readies) == [Verdict.MALFORMED]
    assert len(readies[0].steps) == 1


def test_a_body_nobody_waits_for_is_not_kept(backup: Replica) -> None:
    body = batch(b"a")

    hear(backup, Body(body).frame(), sender=ReplicaId(sim_key(2)))

    assert backup._core.log.bodies.get(batch_digest(body)) is None


def test_a_checkpoint_vote_off_the_interval_is_refused(backup: Replica) -> None:
    readies = [hear(backup, vote(VoteKind.CHECKPOINT, 0, seq=5, digest=Digest(A)).frame())]

    assert verdicts(readies) == [Verdict.NOT_A_CHECKPOINT]

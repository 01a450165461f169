"""What a primary proposed and nobody decided is held within bounds, and let go."""

import pytest

from bftcluster.ids import ReplicaId, Seq
from bftcluster.limits import BATCH_SIZE_MAX_BYTES, UNEXECUTED_SIZE_MAX_BYTES
from bftcluster.pbft import Batch, MessageReceived, Ready, Replica, RequestSubmitted
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import Body, Entries, LogEntry
from bftcluster.pbft.pool import RequestPool
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.environment.signatures import sim_key
from tests.unit.pbft.builders import committed, vote
from tests.unit.pbft.test_bad_proposals import prepares, propose

NOW_MS = 100
WALL_MS = 1_700_000_000_000


def pool_of(backup: Replica) -> RequestPool:
    return backup._core.pool


def hear(backup: Replica, *frames: bytes, sender: int = 0) -> Ready:
    events = [MessageReceived(ReplicaId(sim_key(sender)), frame) for frame in frames]
    return backup.step(*events, now_ms=NOW_MS, wall_ms=WALL_MS)


def batch(seq: int, *requests: bytes, later_ms: int = 0) -> bytes:
    return Batch(WALL_MS + seq + later_ms, requests).to_bytes()


def commit(backup: Replica, seq: int, body: bytes, *, voters: tuple[int, ...] = (0, 2, 3)) -> None:
    for voter in voters:
        frame = vote(VoteKind.COMMIT, voter, seq=seq, digest=batch_digest(body)).frame()
        hear(backup, frame, sender=voter)


def fetch(backup: Replica, first: bytes) -> None:
    """Let it have the first batch from the log of another."""
    certificate = committed(1, batch_digest(first), voters=(0, 2, 3))
    entry = LogEntry(Seq(1), first, certificate.to_bytes())
    backup._catch_up._ask(ReplicaId(sim_key(2)))
    hear(backup, Entries(Seq(1), (entry.to_bytes(),)).frame(), sender=2)


def test_a_batch_that_lost_its_slot_leaves_nothing_behind(backup: Replica) -> None:
    for seq in range(1, 20):
        requests = tuple(b"junk %d %d" % (seq, number) for number in range(10))
        junk = batch(seq, *requests, later_ms=1_000)
        assert prepares(propose(backup, junk, seq=seq)) == 1
        assert len(pool_of(backup).proposed) == 10

        decided = batch(seq, b"request %d" % seq)
        commit(backup, seq, decided)
        hear(backup, Body(decided).frame())

        assert backup.last_decided == seq
        assert backup._core.timestamp_ms == WALL_MS + seq
        assert len(pool_of(backup)) == 0


def test_what_somebody_brought_waits_again_when_its_batch_lost_its_slot(backup: Replica) -> None:
    backup.step(RequestSubmitted(b"ours"), now_ms=NOW_MS, wall_ms=WALL_MS)
    propose(backup, batch(1, b"ours", b"junk", b"brought later", b"in both"))
    backup.step(RequestSubmitted(b"brought later"), now_ms=NOW_MS, wall_ms=WALL_MS)

    commit(backup, 1, decided := batch(1, b"in both"))
    hear(backup, Body(decided).frame())

    assert {p.request for p in pool_of(backup).waiting.values()} == {b"ours", b"brought later"}
    assert not pool_of(backup).proposed


def test_a_batch_that_the_log_shows_to_have_lost_its_slot_is_let_go(backup: Replica) -> None:
    propose(backup, batch(1, b"junk"))
    decided = batch(1, b"request")

    fetch(backup, decided)

    assert backup.last_decided == 1
    assert len(pool_of(backup)) == 0


def test_of_a_slot_that_is_decided_no_other_proposal_is_looked_at(backup: Replica) -> None:
    """Its batch comes after that proposal, whose time is not the one that counts."""
    commit(backup, 1, decided := batch(1, b"request"))

    propose(backup, batch(1, b"another", later_ms=5_000))
    hear(backup, Body(decided).frame())

    assert backup.last_decided == 1
    assert backup._core.timestamp_ms == WALL_MS + 1
    assert prepares(propose(backup, batch(2, b"next"), seq=2)) == 1


def large(seq: int) -> bytes:
    return batch(seq, *(b"%d %d" % (seq, number) * 50_000 for number in range(7)))


def test_a_primary_has_no_more_accepted_than_a_few_times_what_an_honest_one_has_under_way(
    backup: Replica,
) -> None:
    honest_bytes = UNEXECUTED_SIZE_MAX_BYTES + BATCH_SIZE_MAX_BYTES

    votes = [prepares(propose(backup, large(seq), seq=seq)) for seq in range(1, 31)]

    accepted = sum(votes)
    assert votes == [1] * accepted + [0] * (30 - accepted)
    assert honest_bytes < accepted * len(large(1)) < 6 * honest_bytes
    assert sum(len(p.request) for p in pool_of(backup).proposed.values()) < 6 * honest_bytes


@pytest.mark.parametrize("is_fetched", [False, True])
def test_what_waits_for_decisions_is_voted_for_once_there_are_some(
    backup: Replica, is_fetched: bool
) -> None:
    votes = sum(prepares(propose(backup, large(seq), seq=seq)) for seq in range(1, 16))
    assert prepares([hear(backup)]) == 0

    if is_fetched:
        fetch(backup, large(1))
    else:
        commit(backup, 1, large(1))

    held = backup._core.log.slots[Seq(votes + 1)]
    assert backup.last_decided == 1
    assert held.accepted

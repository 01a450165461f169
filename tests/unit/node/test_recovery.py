"""A recovery changes a peer as a whole or not at all, and only if everything about it holds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bftcluster.errors import ClusterError, ConfigError, HaltedError
from bftcluster.ids import Digest, Epoch, ReplicaId, Seq, View
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.limits import RECOVERY_EPOCHS
from bftcluster.node.parts import Parts, open_parts
from bftcluster.node.process.clock import SystemClock
from bftcluster.node.process.temporary_roots import ADDED_KEEP_MS, TemporaryRoots
from bftcluster.node.recovery import begin_recovery, recovery_point, take_over
from bftcluster.pbft import Batch, LogEntry
from bftcluster.pbft.records import Voted
from bftcluster.pbft.votes import VoteKind
from bftcluster.signing.keys import Ed25519Verifier
from bftcluster.sync.epoch_proofs import EpochLink
from tests.unit.ledger.world import cid_of
from tests.unit.node.recovery_peers import INTERVAL, Peers
from tests.unit.signing.people import ALICE, CAROL, DAY_MS, START_MS

BEYOND = 3


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Peers:
    """Founders that certified a checkpoint, and executed three batches beyond it."""
    peers = Peers(tmp_path_factory.mktemp("stopped"))
    peers.start(0, 1, 2)
    requests = [peers.pin_request(f"pin {number}") for number in range(INTERVAL + BEYOND)]
    peers.run([0, 1], requests)
    peers.opened(0, lambda parts: parts.wal.append([a_vote(parts)]))
    peers.run([2], requests[:5])
    return peers


@pytest.fixture
def peers(stopped: Peers, tmp_path: Path) -> Peers:
    return stopped.copied_to(tmp_path / "peers")


def told(logs: Sequence[Mapping[str, object]]) -> list[object]:
    """Return what an operator reads of whether a peer takes part."""
    return [log["event"] for log in logs if str(log["event"]).startswith("this peer")]


def refused(peers: Peers, number: int, recovery: bytes, match: str, **options: int) -> ClusterError:
    """Apply a recovery that must be refused, and see that the peer is as it was."""
    before = peers.standing(number), peers.rows(number)
    with pytest.raises(ClusterError, match=match) as caught:
        peers.apply(number, recovery, **options)
    assert (peers.standing(number), peers.rows(number)) == before
    return caught.value


def test_survivors_come_back_to_the_checkpoint_and_agree(peers: Peers) -> None:
    recovery = peers.recovery()
    root = recovery_point(peers.config(0)).state_root.hex()

    applied = [peers.apply(number, recovery) for number in (0, 1)]

    assert [(each.is_new, each.seq, each.entries_set_aside) for each in applied] == [
        (True, INTERVAL, BEYOND)
    ] * 2
    assert not any(each.fetches for each in applied)
    assert peers.standing(0) == peers.standing(1)
    assert peers.rows(0) == peers.rows(1)
    assert peers.standing(0)[2] == root, "the certified state is what newcomers are served"
    assert peers.pins(0) == INTERVAL


def test_a_new_voter_is_told_that_it_votes_once_it_has_the_state(peers: Peers) -> None:
    with capture_logs() as before:
        peers.standing(4)
    peers.apply(4, peers.recovery())
    peers.apply(0, peers.recovery())

    with capture_logs() as after:
        peers.standing(4)
    with capture_logs() as survivor:
        peers.standing(0)

    assert told(before) == [
        "this peer is not admitted, as far as it has executed: "
        "it follows, and takes part once it is"
    ]
    assert told(after) == ["this peer votes once it has fetched the state from the others"]
    assert told(survivor) == []


def test_the_new_epoch_begins_right_behind_the_checkpoint(peers: Peers) -> None:
    peers.apply(0, peers.recovery())

    def look(parts: Parts) -> tuple[Epoch, tuple[ReplicaId, ...], Seq]:
        replica = parts.replica
        return replica.membership.epoch, replica.membership.replicas, replica.stable

    assert peers.opened(0, look) == (
        RECOVERY_EPOCHS,
        tuple(ReplicaId(peers.peer(number)) for number in (0, 1, 4, 5)),
        INTERVAL,
    )


def test_peers_are_those_of_the_recovery(peers: Peers) -> None:
    peers.apply(0, peers.recovery(leaving=(peers.peer(2),)))

    records = peers.opened(0, lambda parts: dict(parts.ledger._state.peers))

    votes = {number: records[peers.peer(number)].is_replica for number in (0, 1, 3, 4, 5)}
    assert votes == {0: True, 1: True, 3: False, 4: True, 5: True}
    assert peers.peer(2) not in records


def test_what_was_executed_beyond_is_set_aside_in_its_order(peers: Peers) -> None:
    peers.apply(0, peers.recovery())

    def look(parts: Parts) -> list[int]:
        seqs = []
        while (first := parts.store.rewinder.first_set_aside()) is not None:
            number, data = first
            seqs.append(LogEntry.from_bytes(data).seq)
            parts.store.rewinder.forget_set_aside(number)
        assert parts.store.reader.log(Seq(INTERVAL + 1), 10) == []
        return seqs

    assert peers.opened(0, look) == [INTERVAL + 1, INTERVAL + 2, INTERVAL + 3]


def test_applying_twice_changes_nothing(peers: Peers) -> None:
    recovery = peers.recovery()
    peers.apply(0, recovery)
    peers.opened(0, lambda parts: parts.wal.append([a_vote(parts)]))
    before = peers.rows(0), peers.opened(0, lambda parts: parts.replica.live_records())

    again = peers.apply(0, recovery, now_ms=START_MS + 2 * DAY_MS)

    assert (again.is_new, again.entries_set_aside) == (False, BEYOND)
    assert (peers.rows(0), peers.opened(0, lambda parts: parts.replica.live_records())) == before


def a_vote(parts: Parts) -> bytes:
    """Return the record of a vote of the new epoch: it must not be forgotten."""
    epoch = parts.replica.membership.epoch
    return Voted(VoteKind.PREPARE, epoch, View(0), Seq(INTERVAL + 1), Digest(bytes(32))).to_bytes()


def test_a_peer_that_lags_waits_for_the_checkpoint_in_the_new_epoch(peers: Peers) -> None:
    applied = peers.apply(2, peers.recovery(staying=(peers.peer(0), peers.peer(2)), leaving=()))

    def look(parts: Parts) -> tuple[int, int, int]:
        return parts.replica.membership.epoch, parts.replica.stable, parts.ledger.head.seq

    assert (applied.seq, applied.entries_set_aside, applied.fetches) == (5, 0, True)
    assert peers.opened(2, look) == (RECOVERY_EPOCHS, INTERVAL, 5)


def test_a_newcomer_begins_with_nothing(peers: Peers) -> None:
    applied = peers.apply(4, peers.recovery())

    assert applied.seq == 0
    assert peers.opened(4, lambda parts: parts.replica.stable) == INTERVAL


def test_one_that_lags_carries_the_recovery_out_when_it_gets_there(peers: Peers) -> None:
    recovery = peers.recovery(staying=(peers.peer(0), peers.peer(2)), leaving=())
    peers.apply(0, recovery)
    peers.apply(2, recovery)
    log = peers.opened(0, lambda parts: parts.store.reader.log(Seq(6), INTERVAL - 5))
    requests = [request for data in log for request in requests_of(data)]

    peers.run([2], requests, stable=False)

    assert peers.rows(2) == peers.rows(0)


def requests_of(entry: bytes) -> tuple[bytes, ...]:
    return tuple(Batch.from_bytes(LogEntry.from_bytes(entry).batch).requests)


def test_without_any_checkpoint_it_goes_on_from_the_genesis(tmp_path: Path) -> None:
    peers = Peers(tmp_path)
    peers.start(0, 1)
    peers.run([0, 1], [peers.pin_request("early")])

    applied = peers.apply(0, peers.recovery())

    assert (applied.seq, applied.entries_set_aside) == (0, 1)
    assert peers.opened(0, lambda parts: parts.replica.membership.epoch) == RECOVERY_EPOCHS
    assert peers.pins(0) == 0


def test_a_state_that_is_not_kept_is_made_again_from_the_log(peers: Peers) -> None:
    recovery = peers.recovery()
    peers.apply(1, recovery)
    more = [peers.pin_request(f"more {number}") for number in range(INTERVAL)]
    peers.run([0], more, stable=False)

    applied = peers.apply(0, recovery)

    assert (applied.seq, applied.entries_set_aside) == (INTERVAL, BEYOND + INTERVAL)
    assert peers.rows(0) == peers.rows(1)


def log_sizes(parts: Parts) -> tuple[int, int]:
    """Return how large the log is said to be, and how large it is."""
    entries = parts.store.reader.log(Seq(1), 1000)
    return parts.store.log_size_bytes, sum(map(len, entries))


def test_the_log_of_a_recovered_peer_is_as_large_as_it_says(peers: Peers) -> None:
    recovery = peers.recovery()
    peers.apply(1, recovery)  # Goes back to a state that is kept.
    more = [peers.pin_request(f"more {number}") for number in range(INTERVAL)]
    peers.run([0], more, stable=False)
    peers.apply(0, recovery)  # Executes its log again.

    for number in (0, 1):
        said, actual = peers.opened(number, log_sizes)
        assert said == actual > 0


def test_a_later_recovery_replaces_one_that_came_to_nothing(peers: Peers) -> None:
    peers.apply(0, peers.recovery())
    second = peers.recovery(epoch=Epoch(2 * RECOVERY_EPOCHS), coming=peers.operation().coming[:1])
    with pytest.raises(ClusterError, match="fewer than 4"):
        peers.apply(0, second)
    third = peers.recovery(
        epoch=Epoch(2 * RECOVERY_EPOCHS),
        staying=(peers.peer(0), peers.peer(1), peers.peer(2)),
        coming=peers.operation().coming[1:],
        leaving=(peers.peer(3),),
    )

    applied = [peers.apply(number, third) for number in (0, 1)]

    assert [each.entries_set_aside for each in applied] == [BEYOND, BEYOND]
    assert peers.rows(0) == peers.rows(1)
    assert peers.opened(0, lambda parts: parts.replica.membership.n) == 4


def test_fewer_than_the_threshold_do_nothing(peers: Peers) -> None:
    refused(peers, 0, peers.submit(peers.operation(), ALICE), "1 of 2 required signatures")


def test_another_cluster_s_recovery_is_refused(peers: Peers) -> None:
    other = peers.submit(peers.operation(), ALICE, CAROL, cluster_id=bytes(32))

    refused(peers, 0, other, "for another cluster")


def test_a_pin_is_no_recovery(peers: Peers) -> None:
    refused(peers, 0, peers.pin_request("a pin"), "this is no recovery")


def test_a_recovery_from_another_state_is_refused(peers: Peers) -> None:
    point = recovery_point(peers.config(0))
    wrong = peers.checkpoint(INTERVAL, b"r" * 32).to_bytes()
    here = peers.recovery(state_root=Digest(b"r" * 32), certificate=wrong)
    refused(peers, 0, here, "not the one that this peer has")
    uncertified = peers.checkpoint(INTERVAL, point.state_root, signers=(0, 1)).to_bytes()
    refused(peers, 0, peers.recovery(certificate=uncertified), "2 of 3")
    strangers = peers.checkpoint(INTERVAL, point.state_root, epoch=7).to_bytes()
    refused(peers, 0, peers.recovery(certificate=strangers), "epoch 7 had no say")


def test_at_the_checkpoint_itself_the_state_is_compared_too(tmp_path: Path) -> None:
    peers = Peers(tmp_path)
    peers.start(0)
    peers.run([0], [peers.pin_request(f"pin {number}") for number in range(INTERVAL)])
    wrong = peers.checkpoint(INTERVAL, b"r" * 32).to_bytes()

    refused(
        peers, 0, peers.recovery(state_root=Digest(b"r" * 32), certificate=wrong),
        "not the one that this peer has",
    )  # fmt: skip


def test_a_key_that_has_voted_does_not_come_back(peers: Peers) -> None:
    lost = AdmitPeer(peer=peers.peer(3), name="lost", addresses=(), votes=True)
    coming = (*peers.operation().coming, lost)

    refused(peers, 0, peers.recovery(coming=coming, leaving=()), "under a key that has voted")


def test_who_stays_must_have_its_votes(peers: Peers) -> None:
    recovery = peers.recovery(staying=(peers.peer(0), peers.peer(3)), leaving=())

    error = refused(peers, 3, recovery, "its votes are not here")

    assert "new key" in error.hint


def test_who_is_removed_does_not_apply_it(peers: Peers) -> None:
    refused(peers, 2, peers.recovery(), "this recovery removes this peer")


@pytest.mark.parametrize("now_ms", [START_MS - 1, START_MS + DAY_MS])
def test_a_recovery_is_applied_within_its_time_only(peers: Peers, now_ms: int) -> None:
    refused(peers, 0, peers.recovery(), "not valid now", now_ms=now_ms)


def test_an_older_recovery_is_refused_after_a_later_one(peers: Peers) -> None:
    older = peers.recovery()
    peers.apply(0, peers.recovery(epoch=Epoch(2 * RECOVERY_EPOCHS)))

    refused(peers, 0, older, "this recovery begins epoch 1048576")


def test_a_peer_that_runs_is_left_alone(peers: Peers) -> None:
    recovery = peers.recovery()

    with open_parts(peers.config(0)), pytest.raises(ConfigError, match="is in use"):
        peers.apply(0, recovery)


def test_a_crash_behind_the_transaction_leaves_a_peer_that_goes_on(peers: Peers) -> None:
    recovery = peers.recovery()
    peers.apply(1, recovery)

    assert begin_recovery(peers.config(0), recovery, now_ms=START_MS + 1)

    votes = peers.directories[0] / "wal" / "votes.wal"
    unfinished = votes.read_bytes()
    assert peers.rows(0) == peers.rows(1)
    assert peers.opened(0, records_of) == peers.opened(1, records_of), "no old vote is left"
    assert votes.read_bytes() != unfinished
    assert not begin_recovery(peers.config(0), recovery, now_ms=START_MS + 1)


def test_what_survivors_hold_stays_until_its_pins_are_ordered_again(peers: Peers) -> None:
    peers.apply(0, peers.recovery())

    roots, wall_ms = TemporaryRoots(peers.directories[0]), SystemClock().wall_ms()
    assert roots.is_kept(cid_of(1), wall_ms=wall_ms + ADDED_KEEP_MS - 60_000)
    assert not roots.is_kept(cid_of(1), wall_ms=wall_ms + ADDED_KEEP_MS + 60_000)


def records_of(parts: Parts) -> list[bytes]:
    """Return what the replica remembers, but for whose it is."""
    return list(parts.replica.live_records())[1:]


def link(recovery: bytes) -> EpochLink:
    return EpochLink(certificate=b"", row=recovery, proof=b"")


def test_a_running_peer_that_lags_follows_what_others_show_it(peers: Peers) -> None:
    recovery = peers.recovery(leaving=(peers.peer(3),))
    peers.apply(0, recovery)

    take_over(peers.config(2), link(recovery))

    assert peers.opened(2, lambda parts: parts.replica.membership.epoch) == RECOVERY_EPOCHS


def test_a_running_peer_that_went_further_stops_and_says_so(peers: Peers) -> None:
    recovery, before = peers.recovery(), peers.rows(0)

    with pytest.raises(HaltedError, match="started the cluster again from batch 8") as caught:
        take_over(peers.config(0), link(recovery))

    assert "peer recover DIR FILE" in caught.value.hint
    assert peers.rows(0) == before


def test_a_point_proves_itself_from_the_genesis_on(peers: Peers) -> None:
    point = recovery_point(peers.config(0))

    assert (point.seq, point.executed, point.epoch) == (INTERVAL, INTERVAL + BEYOND, 0)
    assert len(point.epochs(peers.genesis, Ed25519Verifier())) == 1
    assert not peers.opened(0, lambda parts: queries.is_new(parts.store))

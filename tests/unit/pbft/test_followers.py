"""What is said to all goes to the voters; who does not vote asks, and is answered in time."""

import tracemalloc
from collections import Counter

import pytest

from bftcluster import codec
from bftcluster.ids import Epoch, ReplicaId, Seq
from bftcluster.limits import RECENT_ENTRIES_MAX
from bftcluster.membership import Membership
from bftcluster.pbft import (
    Batch,
    LogEntry,
    MessageReceived,
    ReplicaSettings,
    Verdict,
)
from bftcluster.pbft.epochs import Epochs, EpochStart
from bftcluster.pbft.frames import kind_of, parse_frame
from bftcluster.pbft.messages import ENTRIES, FETCH_ENTRIES, FOLLOW, STATUS, Entries, Follow, Status
from bftcluster.pbft.steps import Append
from bftcluster_sim.cluster.cluster import SimulatedCluster
from bftcluster_sim.cluster.hosts import MEMBERS
from tests.unit.pbft.readies import sent, sent_early, those

SETTINGS = ReplicaSettings(checkpoint_interval_seqs=4, window_size_seqs=16)
FOLLOWER = 4
ENTRY_BYTES = 200 << 10


def following(spare: int = 1) -> SimulatedCluster:
    """Return four voters and followers that are at rest."""
    cluster = SimulatedCluster(4, spare=spare, settings=SETTINGS)
    cluster.start()
    cluster.run(SETTINGS.follow_hold_ms + 1_000)
    cluster.network.sent.clear()
    return cluster


def source_at_rest(cluster: SimulatedCluster) -> int:
    """Return who holds the question of a follower."""
    cluster.run(SETTINGS.follow_hold_ms)
    return source_of(cluster)


def order(cluster: SimulatedCluster, count: int, *, to: int = 0) -> None:
    for number in range(count):
        cluster.submit(b"request %d at %d" % (number, cluster.clock.now_ms), to=to)
        cluster.run(20)


def kinds(cluster: SimulatedCluster, *, to: int) -> Counter[int]:
    return Counter(codec.decode(f)[0] for _, _, target, f in cluster.network.sent if target == to)


def source_of(cluster: SimulatedCluster, follower: int = FOLLOWER) -> int:
    """Return whom it asked last."""
    said = [(to, codec.decode(f)[0]) for _, s, to, f in cluster.network.sent if s == follower]
    return [to for to, kind in said if kind == FOLLOW][-1]


def test_a_follower_is_sent_entries_and_checkpoints_and_no_vote_and_no_body() -> None:
    cluster = following()

    order(cluster, 8)
    assert cluster.hosts[FOLLOWER].log == cluster.hosts[0].log
    assert len(cluster.hosts[FOLLOWER].log) == 8
    cluster.run(2 * SETTINGS.status_interval_ms)

    assert cluster.hosts[FOLLOWER].replica.stable == 8
    assert set(kinds(cluster, to=FOLLOWER)) <= {ENTRIES, STATUS, 16}
    assert kinds(cluster, to=FOLLOWER)[ENTRIES] == 8


def test_it_learns_of_a_decision_one_delay_after_its_source() -> None:
    cluster = following()
    cluster.submit(b"request")
    assert cluster.run_until(lambda: cluster.hosts[0].replica.last_decided == 1, limit_ms=100)
    begin_ms = cluster.clock.now_ms

    assert cluster.run_until(
        lambda: cluster.hosts[FOLLOWER].replica.last_decided == 1, limit_ms=100
    )

    assert cluster.clock.now_ms - begin_ms <= 1


def test_a_followers_rest_costs_two_small_frames_per_hold() -> None:
    cluster = following()

    cluster.run(10 * SETTINGS.follow_hold_ms)

    to_it = [f for _, _, target, f in cluster.network.sent if target == FOLLOWER]
    by_it = [f for _, source, _, f in cluster.network.sent if source == FOLLOWER]
    assert len(to_it) <= 11 + 3
    assert len(by_it) <= 11 + 3
    assert max(map(len, to_it + by_it)) < 20


def test_a_follower_that_is_answered_is_not_lost_however_little_happens() -> None:
    cluster = following()

    lost = 0
    for _ in range(100):
        cluster.run(SETTINGS.follow_hold_ms // 20)
        lost += cluster.hosts[FOLLOWER].replica.is_lost
    assert lost == 0

    for host in cluster.hosts[:4]:
        host.stop()
    cluster.run(3 * SETTINGS.follow_hold_ms)
    assert cluster.hosts[FOLLOWER].replica.is_lost


def test_followers_share_the_voters_between_them() -> None:
    cluster = following(spare=24)

    cluster.run(2 * SETTINGS.follow_hold_ms)

    assert {source_of(cluster, follower) for follower in range(4, 28)} == {0, 1, 2, 3}


def test_a_source_that_dies_is_replaced_when_it_misses_an_answer() -> None:
    cluster = following()
    cluster.run(SETTINGS.follow_hold_ms)
    source = source_of(cluster)
    cluster.hosts[source].stop()

    order(cluster, 2, to=(source + 1) % 4)
    cluster.run(SETTINGS.follow_hold_ms + 2 * SETTINGS.request_timeout_ms + 5_000)

    assert cluster.hosts[FOLLOWER].replica.last_executed >= 2
    assert source_of(cluster) != source


def test_a_source_that_withholds_entries_is_found_out_by_comparison_and_left() -> None:
    cluster = following()
    cluster.run(SETTINGS.follow_hold_ms)
    source = source_of(cluster)
    cluster.network.cut = lambda s, target, f: (
        (s, target) == (source, FOLLOWER) and codec.decode(f)[0] == ENTRIES
    )
    behind = Status(*[0] * 6).frame()

    order(cluster, 2)
    for _ in range(5):  # It says in time that there is nothing.
        cluster.hosts[FOLLOWER].step(MessageReceived(cluster.hosts[source].me, behind))
        cluster.run(SETTINGS.follow_hold_ms)
    cluster.run(SETTINGS.follow_compare_ms)

    assert cluster.hosts[FOLLOWER].replica.last_executed == 2
    assert source_of(cluster) != source


def test_a_source_that_forges_is_left_at_once() -> None:
    cluster = following()
    cluster.run(SETTINGS.follow_hold_ms)
    source = source_of(cluster)
    cluster.network.cut = lambda s, target, _f: (s, target) == (source, FOLLOWER)
    order(cluster, 1)
    genuine = LogEntry.from_bytes(cluster.hosts[0].disk.entries[0])
    forged = LogEntry(Seq(1), Batch(1, (b"forged",)).to_bytes(), genuine.certificate).to_bytes()

    cluster.hosts[FOLLOWER].step(
        MessageReceived(cluster.hosts[source].me, Entries(Seq(1), (forged,)).frame())
    )
    cluster.run(10)

    assert cluster.hosts[FOLLOWER].log == cluster.hosts[0].log
    assert any(r.startswith(Verdict.WRONG_ENTRY.value) for r in cluster.hosts[FOLLOWER].reports)


def test_one_that_is_far_behind_fetches_and_then_follows() -> None:
    cluster = following()
    cluster.hosts[FOLLOWER].stop()
    order(cluster, 100)
    cluster.network.sent.clear()

    cluster.hosts[FOLLOWER].start()
    cluster.run(2_000)

    assert cluster.hosts[FOLLOWER].log == cluster.hosts[0].log
    asked = Counter(codec.decode(f)[0] for _, s, _, f in cluster.network.sent if s == FOLLOWER)
    assert asked[FETCH_ENTRIES] >= 2
    assert asked[FOLLOW] >= 1


def test_its_clients_requests_are_ordered_and_reach_the_primary_of_a_later_view() -> None:
    cluster = following()
    cluster.hosts[0].stop()
    cluster.submit(b"first", to=FOLLOWER)
    cluster.run(10_000)
    assert cluster.hosts[FOLLOWER].requests == [b"first"]
    cluster.network.sent.clear()

    cluster.submit(b"second", to=FOLLOWER)
    cluster.run(10)

    assert cluster.hosts[FOLLOWER].requests == [b"first", b"second"]
    assert cluster.hosts[FOLLOWER].replica.primary == cluster.hosts[1].me
    asked = [to for _, s, to, f in cluster.network.sent if s == FOLLOWER and kind_of(f) == 11]
    assert asked == [1]


def test_next_members_hear_votes_as_soon_as_they_are_named_and_old_ones_for_an_interval() -> None:
    cluster = following()
    cluster.submit(MEMBERS + bytes((1, 2, 3, 4)), to=1)
    cluster.run(20)
    heard = []
    for _ in range(14):
        cluster.network.sent.clear()
        order(cluster, 1, to=1)
        heard.append((kinds(cluster, to=4)[3] > 0, kinds(cluster, to=0)[3] > 0))

    # Named at 4; begins after 8, where 0 leaves; 12 is the first checkpoint without it.
    assert heard[:2] == [(False, True)] * 2
    assert heard[3:] == [(True, True)] * 8 + [(True, False)] * 3


def test_whoever_hears_no_voter_tells_everybody_where_it_is() -> None:
    cluster = following(spare=2)
    order(cluster, 2)
    helper, lost = 4, 5
    cluster.hosts[lost].stop()
    order(cluster, 3)
    cluster.network.cut = lambda s, target, _f: lost in {s, target} and helper not in {s, target}

    cluster.hosts[lost].start()
    cluster.run(5_000)

    assert cluster.hosts[lost].log == cluster.hosts[helper].log
    assert len(cluster.hosts[lost].log) == 5


@pytest.mark.parametrize("first", [1, 5, 6])
def test_an_entry_of_this_turn_leaves_after_our_vote_in_it_is_durable(first: int) -> None:
    cluster = following()
    order(cluster, 4)
    source = cluster.hosts[0]
    held: list[tuple[int, bytes]] = []
    cluster.network.cut = lambda s, to, f: (
        to == 0 and kind_of(f) in {2, 3} and not held.append((s, f))
    )
    cluster.submit(b"fifth")
    cluster.run(20)
    now_ms = cluster.clock.now_ms
    question = MessageReceived(cluster.hosts[FOLLOWER].me, Follow(Seq(first), Seq(4)).frame())

    ready = source.replica.step(
        question,
        *(MessageReceived(cluster.hosts[i].me, frame) for i, frame in held if i in {1, 2}),
        now_ms=now_ms,
        wall_ms=0,
    )

    early = [parse_frame(source.me, out.frame) for out in sent_early(ready)]
    said = [parse_frame(source.me, out.frame) for out in sent(ready)]
    assert those(Append, ready)
    assert not any(isinstance(message, Entries) for message in early)
    assert any(isinstance(message, Entries) for message in said) is (first == 5)


def test_a_source_that_stood_still_goes_back_to_rest_when_it_wakes() -> None:
    cluster = following()
    source = cluster.hosts[source_at_rest(cluster)]
    woken_ms = cluster.clock.now_ms + 3 * SETTINGS.follow_hold_ms

    for _ in range(3):
        ready = source.replica.step(now_ms=woken_ms, wall_ms=woken_ms)

    assert ready.deadline_ms is None or ready.deadline_ms > woken_ms + 10


def test_questions_from_many_places_keep_one_answer_in_memory() -> None:
    cluster = following()
    order(cluster, RECENT_ENTRIES_MAX - 1)
    cluster.submit(bytes(ENTRY_BYTES))
    cluster.run(100)
    source, now_ms = cluster.hosts[source_of(cluster)], cluster.clock.now_ms
    last = source.replica.last_decided
    assert last >= RECENT_ENTRIES_MAX

    def ask(first: int) -> bytes:
        question = MessageReceived(cluster.hosts[FOLLOWER].me, Follow(Seq(first), last).frame())
        ready = source.replica.step(question, now_ms=now_ms, wall_ms=0)
        [frame] = [out.frame for out in sent(ready) if len(out.frame) > ENTRY_BYTES]
        return frame

    ask(last)
    tracemalloc.start()
    try:
        for first in range(last - RECENT_ENTRIES_MAX + 1, last):
            ask(first)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 4 * ENTRY_BYTES
    assert ask(last) is ask(last)


def test_who_votes_next_is_told_though_later_voters_are_known_too() -> None:
    voters = [ReplicaId(bytes([number]) * 32) for number in range(3)]
    starts = [
        EpochStart(Seq(1 + 8 * number), Membership(Epoch(number), (voter,)))
        for number, voter in enumerate(voters)
    ]

    assert set(Epochs(starts).around(Seq(4), 4)) == set(voters)


def test_who_asks_in_the_step_that_decides_what_it_asks_for_is_not_sent_nothing() -> None:
    """A step takes all that has arrived: the last COMMIT, and a question behind it."""
    cluster = following()
    order(cluster, 4)
    source, follower = cluster.hosts[source_at_rest(cluster)], cluster.hosts[FOLLOWER].me
    to_source = source.index
    held: list[tuple[int, bytes]] = []
    cluster.network.cut = lambda s, to, f: (
        to == to_source and kind_of(f) in {2, 3} and not held.append((s, f))
    )
    cluster.submit(b"fifth", to=(to_source + 1) % 4)
    cluster.run(20)

    ready = source.replica.step(
        *(MessageReceived(cluster.hosts[i].me, frame) for i, frame in held),
        MessageReceived(follower, Follow(Seq(5), Seq(4)).frame()),
        now_ms=cluster.clock.now_ms,
        wall_ms=0,
    )

    assert source.replica.last_decided == 5
    frames = [codec.decode(each.frame) for each in sent(ready) if each.to == follower]
    assert frames
    assert [frame for frame in frames if frame[0] == ENTRIES and not frame[2]] == []

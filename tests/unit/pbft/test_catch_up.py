"""What a lagging replica takes from a source that may lie: only what a quorum certified."""

import pytest

from bftcluster import codec
from bftcluster.ids import Epoch, ReplicaId, Seq, View
from bftcluster.limits import LOG_READS_MAX
from bftcluster.pbft import Batch, LogEntry, MessageReceived, ReplicaSettings, Verdict
from bftcluster.pbft.frames import parse_frame
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.messages import (
    Body,
    FetchBody,
    FetchEntries,
    Message,
    StableCheckpoint,
    Status,
)
from bftcluster.pbft.steps import ReadLog
from bftcluster.pbft.votes import Vote, VoteKind
from bftcluster_sim.cluster.cluster import SimulatedCluster
from tests.unit.pbft.readies import sent, those
from tests.unit.pbft.view_builders import view_change


def lagging() -> SimulatedCluster:
    """Return a cluster whose host 3 was cut off, missed four batches, and hears host 0 only."""
    cluster = SimulatedCluster.running(
        4, settings=ReplicaSettings(checkpoint_interval_seqs=8, window_size_seqs=16)
    )
    cluster.partition({0, 1, 2}, {3})
    for number in range(4):
        cluster.submit(b"request %d" % number)
        cluster.run(10)
    cluster.network.cut = lambda source, target, _frame: 3 in {source, target} != {0, 3}
    return cluster


def change_seq(entry: LogEntry) -> LogEntry:
    return LogEntry(Seq(3), entry.batch, entry.certificate)


def change_batch(entry: LogEntry) -> LogEntry:
    return LogEntry(entry.seq, Batch(1, (b"forged",)).to_bytes(), entry.certificate)


@pytest.mark.parametrize("forge", [change_seq, change_batch])
def test_an_entry_that_its_certificate_does_not_cover_is_not_executed(forge) -> None:
    cluster = lagging()
    source, late = cluster.hosts[0], cluster.hosts[3]
    genuine = source.disk.entries[1]
    source.disk.entries[1] = forge(LogEntry.from_bytes(genuine)).to_bytes()

    cluster.run(2_000)

    assert late.replica.last_executed == 1
    assert any(report.startswith(Verdict.WRONG_ENTRY.value) for report in late.reports)


def test_after_a_lie_another_source_is_asked() -> None:
    cluster = lagging()
    late = cluster.hosts[3]
    for liar in cluster.hosts[:2]:
        genuine = LogEntry.from_bytes(liar.disk.entries[1])
        liar.disk.entries[1] = change_batch(genuine).to_bytes()
    # Votes would do as well as the log.
    cluster.network.cut = lambda _source, target, frame: (
        target == 3 and codec.decode(frame)[0] in set(VoteKind)
    )

    cluster.run(2_000)

    assert late.log == cluster.hosts[2].log
    assert any(report.startswith(Verdict.WRONG_ENTRY.value) for report in late.reports)


def test_what_was_decided_beyond_a_gap_is_handed_out_when_the_log_has_filled_the_gap() -> None:
    settings = ReplicaSettings(checkpoint_interval_seqs=8, window_size_seqs=16, fetch_entries_max=1)
    cluster = SimulatedCluster.running(4, settings=settings)
    cluster.partition({0, 1, 2}, {3})
    cluster.submit(b"missed")
    cluster.run(10)
    names = [host.me for host in cluster.hosts]
    cluster.network.cut = lambda source, target, frame: (
        3 in {source, target} and not isinstance(parse_frame(names[source], frame), Vote | Body)
    )
    cluster.submit(b"decided beyond the gap")
    cluster.run(10)
    late = cluster.hosts[3]
    assert late.replica.last_executed == 0
    cluster.network.cut = lambda source, target, frame: (
        3 in {source, target} and isinstance(parse_frame(names[source], frame), Vote | Body)
    )
    cluster.network.sent.clear()

    cluster.run(2_000)

    assert late.log == cluster.hosts[0].log
    sent = [frame for _, source, _, frame in cluster.network.sent if source == 3]
    asked = [parse_frame(late.me, frame) for frame in sent]
    assert [one.first for one in asked if isinstance(one, FetchEntries)] == [1]


def answers(cluster: SimulatedCluster, host: int, asker: int, frame: bytes) -> list[Message]:
    """Return what ``host`` sends to ``asker`` on hearing ``frame``, but for statuses."""
    me = cluster.hosts[host]
    cluster.run(300)
    ready = me.replica.step(
        MessageReceived(cluster.hosts[asker].me, frame), now_ms=cluster.clock.now_ms, wall_ms=0
    )
    said = (parse_frame(me.me, out.frame) for out in sent(ready))
    return [message for message in said if not isinstance(message, Status)]


def test_what_was_cut_off_the_log_is_answered_with_the_checkpoint_that_covers_it() -> None:
    cluster = SimulatedCluster.running(
        4, settings=ReplicaSettings(checkpoint_interval_seqs=4, window_size_seqs=16)
    )
    for number in range(5):
        cluster.submit(b"request %d" % number)
        cluster.run(10)
    cluster.partition({0, 1, 2}, {3})
    replica = cluster.hosts[1].replica
    late = Status(Epoch(0), View(0), View(0), Seq(0), Seq(0), Seq(0)).frame()
    body = FetchBody(batch_digest(cluster.hosts[0].log[0])).frame()

    assert answers(cluster, 1, 3, view_change(3, view=1).frame()) == []
    assert answers(cluster, 1, 3, body) == [], "the log has it, by its number"
    answers(cluster, 1, 3, late)
    assert StableCheckpoint(replica.stable_certificate) in answers(cluster, 1, 3, late)
    assert replica.stable == 4
    assert replica.is_active


def test_followers_that_read_the_log_leave_the_voters_theirs() -> None:
    cluster = lagging()
    source, now_ms = cluster.hosts[0], cluster.clock.now_ms
    frame = FetchEntries(Seq(1), 4).frame()
    followers = [ReplicaId(bytes([number]) * 32) for number in range(LOG_READS_MAX + 1)]
    askers = [*followers, cluster.hosts[3].me]

    ready = source.replica.step(
        *(MessageReceived(asker, frame) for asker in askers), now_ms=now_ms, wall_ms=now_ms
    )

    assert [read.to for read in those(ReadLog, ready)] == [*followers[:-1], cluster.hosts[3].me]

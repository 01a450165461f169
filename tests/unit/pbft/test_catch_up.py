"""What a lagging replica takes from a source that may lie: only what a quorum certified."""

import pytest

from bftcluster import codec
from bftcluster.ids import Seq
from bftcluster.pbft import Batch, LogEntry, Settings, Verdict
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import Cluster


def lagging() -> Cluster:
    """Return a cluster whose host 3 was cut off, missed four batches, and hears host 0 only."""
    cluster = Cluster(4, settings=Settings(checkpoint_interval_seqs=8, window_size_seqs=16))
    cluster.start()
    cluster.run(10)
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

"""A small cluster whose disks are emptied and put back, and what its members said."""

from dataclasses import replace

from bftcluster import codec
from bftcluster.pbft.frames import kind_of
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import SMALL_WINDOW, SimulatedCluster
from bftcluster_sim.cluster.hosts import MEMBERS, Host, HostDisk

SETTINGS = replace(SMALL_WINDOW, request_timeout_ms=300, view_change_timeout_ms=600)


def founded() -> SimulatedCluster:
    """Return four replicas at work, and a host that may take somebody's place."""
    return SimulatedCluster.running(4, spare=1, settings=SETTINGS)


def order(cluster: SimulatedCluster, count: int, *, to: int = 1) -> None:
    for number in range(count):
        cluster.submit(b"request %d at %d" % (number, cluster.clock.now_ms), to=to)
        cluster.run(15)


def change_members(cluster: SimulatedCluster, *members: int) -> None:
    cluster.submit(MEMBERS + bytes(members), to=1)
    cluster.run(15)
    order(cluster, 9)
    cluster.run(2_000)
    assert {cluster.hosts[index].replica.membership.epoch for index in members} == {1}


def restart(
    cluster: SimulatedCluster, index: int, disk: HostDisk | None = None, *, run_ms: int = 200
) -> Host:
    """Start a host again: on another disk, or on an empty one that knows the genesis."""
    host = cluster.hosts[index]
    host.stop()
    host.disk = disk or HostDisk(epochs=host.disk.epochs[:1])
    host.reports.clear()
    cluster.network.sent.clear()
    host.start()
    cluster.run(run_ms)
    return host


def votes_of(cluster: SimulatedCluster, index: int) -> dict[tuple[int, ...], set[bytes]]:
    """Return the digests it sent for each kind, epoch, view and slot; checkpoints left out."""
    said: dict[tuple[int, ...], set[bytes]] = {}
    for _, source, _, frame in cluster.network.sent:
        if source == index and kind_of(frame) <= VoteKind.COMMIT:
            kind, epoch, view, seq, digest, _ = codec.decode(frame)
            said.setdefault((kind, epoch, view, seq), set()).add(digest)
    return said


def slots_of(cluster: SimulatedCluster, index: int) -> set[int]:
    return {seq for _, _, _, seq in votes_of(cluster, index)}


def executed_together(cluster: SimulatedCluster, *members: int) -> bool:
    return len({cluster.hosts[index].replica.last_executed for index in members}) == 1

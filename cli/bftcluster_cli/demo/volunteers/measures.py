"""What is measured of the running cluster: through a replica's API, and on the disks."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from bftcluster.limits import PIN_REPLICATION_MIN_DEFAULT
from bftcluster_cli.client import Client, Record
from bftcluster_cli.demo.cluster import DemoCluster
from bftcluster_cli.demo.processes import PeerProcess
from bftcluster_cli.demo.volunteers.crowd import Volunteer, members_by_name
from bftcluster_cli.display.pin_lines import PINNED

_OUT: Final = ("suspended", "evicted")


def under_replicated(pins: Iterable[Record], members: Iterable[Record]) -> list[str]:
    """Return the CIDs of pins of which too few peers that are trusted reported a copy.

    Args:
        pins: As of ``/pins``.
        members: As of ``/members``.
    """
    ids = {str(each["id"]) for each in members if not is_out(each)}
    short = []
    for pin in pins:
        held = [peer for peer, at in pin["peer_map"].items() if at["status"] == PINNED]
        if len(ids.intersection(held)) < PIN_REPLICATION_MIN_DEFAULT:
            short.append(str(pin["cid"]))
    return short


def share_ratio_error(
    pins: Iterable[Record], members: Iterable[Record], crowd: Sequence[Volunteer]
) -> float:
    """Return how far allocated bytes are from quota, by class: half the sum of differences.

    Args:
        pins: As of ``/allocations``; there is one at least.
        members: As of ``/members``: what was approved counts.
        crowd: Whoever holds the pins.
    """
    quota_of = {each.id: each.quota_bytes for each in crowd}
    bytes_of: Counter[int] = Counter()
    room_of: Counter[int] = Counter()
    for each in members:
        if str(each["id"]) in quota_of:
            room_of[quota_of[str(each["id"])]] += int(each["capacity_bytes"])
    for pin in pins:
        for peer in pin["allocations"]:
            bytes_of[quota_of[str(peer)]] += int(pin["size_bytes"])
    total, room = sum(bytes_of.values()), sum(room_of.values())
    return sum(abs(bytes_of[each] / total - room_of[each] / room) for each in room_of) / 2


def bytes_over_quota(crowd: Sequence[Volunteer]) -> int:
    """Return how much the disks hold beyond what was lent, all volunteers together."""
    return sum(max(0, each.taken_bytes - each.lent_bytes) for each in crowd)


def standing_of(cluster: DemoCluster, at: PeerProcess, volunteer: Volunteer) -> Record:
    """Return all that is kept about a volunteer, member or not."""
    with cluster.client(at) as client:
        return client.get(f"/reputation/{volunteer.id}")


def is_out(record: Record) -> bool:
    """Return whether a peer is given nothing any more."""
    return str(record.get("standing")) in _OUT


def honest_out(cluster: DemoCluster, at: PeerProcess, crowd: Sequence[Volunteer]) -> list[str]:
    """Return the names of honest volunteers that are suspended or evicted."""
    known = members_by_name(cluster, at)
    honest = [each for each in crowd if not each.role.is_dishonest]
    return [each.name for each in honest if is_out(known.get(each.name, {}))]


def audit_evidence(client: Client, volunteer: Volunteer) -> Record:
    """Return what the audits that are kept say against a volunteer: grounds, and the last one."""
    grounds: Counter[str] = Counter()
    last: Record = {}
    for audit in client.lines("/audits"):
        for each in audit["peers"]:
            if each["id"] != volunteer.id:
                continue
            for verdict in each["verdicts"]:
                if verdict["outcome"] != "passed":
                    grounds[str(verdict["grounds"])] += 1
                    last = last or {"audit": audit["number"], "cid": audit["cid"], **verdict}
    return {"verdicts": dict(grounds), "last_verdict": last}

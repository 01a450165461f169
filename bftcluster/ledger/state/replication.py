"""Counts a pin's holders: when it is replicated, and who is still missing."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from bftcluster.ids import PeerId
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import HolderReport, PinRecord
from bftcluster.ledger.wire.operations import DEFAULT, PinOperation
from bftcluster.ledger.wire.requests import HolderStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """The peers that are to hold a pin, and those that report that they do."""

    wanted: tuple[PeerId, ...]
    """Sorted."""
    needed: int
    """How many of them make it replicated."""
    pinned: tuple[PeerId, ...]
    """Those of ``wanted`` whose last report was ``PINNED`` and who are not absent, sorted."""
    failed: tuple[HolderReport, ...]
    """Those of ``wanted`` whose last report was ``PIN_ERROR``, sorted by peer."""

    @property
    def is_replicated(self) -> bool:
        """Whether enough holders have reported it."""
        return len(self.pinned) >= self.needed > 0


def wanted(pin: PinRecord, peers: Iterable[PeerRecord]) -> tuple[PeerId, ...]:
    """Return who is to hold ``pin``, sorted: its allocations, or everybody who has joined."""
    if not pin.is_everywhere:
        return pin.allocations
    return tuple(sorted(peer.peer for peer in peers if peer.joined_ms))


def default_within(factor: int, peers: int) -> int:
    """Return a replication factor that is the cluster's default where there are so many peers."""
    return max(1, min(factor, peers))


def reachable(pin: PinOperation, least: int, most: int, peers: int) -> tuple[int, int]:
    """Return both factors of a pin, of which those by default are at most the number of peers."""
    least = default_within(least, peers) if pin.replication_min == DEFAULT else least
    most = default_within(most, peers) if pin.replication_max == DEFAULT else most
    return least, max(least, most)


def status_of(
    pin: PinRecord, peers: Iterable[PeerRecord], *, absent: Collection[PeerId] = ()
) -> Replication:
    """Return where ``pin`` stands.

    Args:
        pin: With its holders' reports.
        peers: All of the state.
        absent: Those of them that were not heard for long: what they reported does not count.
    """
    everybody = tuple(peers)
    holders = wanted(pin, everybody)
    factors = pin.replication_min, pin.replication_max
    least, _ = reachable(pin.options, *factors, len(everybody))
    needed = len(holders) if pin.is_everywhere else least
    counted = set(holders).difference(absent)
    reports = [report for report in pin.reports if report.peer in counted]
    return Replication(
        wanted=holders,
        needed=needed,
        pinned=tuple(r.peer for r in reports if r.status is HolderStatus.PINNED),
        failed=tuple(r for r in reports if r.status is HolderStatus.PIN_ERROR),
    )

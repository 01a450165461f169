"""How many copies a pin needs, by its age too, and how many it has: who is still missing.

The rules by age have one row: which hold, and how far pins were looked at since they changed.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from bftcluster import codec
from bftcluster.ids import PeerId
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import HolderReport, PinRecord
from bftcluster.ledger.wire.operations import DEFAULT, PinOperation
from bftcluster.ledger.wire.pin_strategy import AgeRule, rules_from_wire, rules_to_wire
from bftcluster.ledger.wire.requests import HolderStatus

AGE_RULES_KEY: Final = b"age-rules"


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
    """Return who is to hold ``pin``, sorted: its allocations, or everybody who has joined.

    Everybody but light peers, which hold their duties and know of nothing else.
    """
    if not pin.is_everywhere:
        return pin.allocations
    return tuple(sorted(peer.peer for peer in peers if peer.joined_ms and not peer.terms.is_light))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeRules:
    """The rules that hold."""

    rules: tuple[AgeRule, ...] = ()
    """By age, the youngest first."""
    is_new: bool = False
    """Whether there are pins that were not looked at since they changed."""
    after: bytes = b""
    """The CID of the last one that was."""

    def rule_at(self, age_ms: int) -> AgeRule | None:
        """Return the rule for pins that were ordered so long ago; None: the genesis says it."""
        found = None
        for rule in self.rules:
            if rule.older_than_ms <= age_ms:
                found = rule
        return found

    def next_ms(self, ordered_ms: int, now_ms: int, period_ms: int) -> int | None:
        """Return when another rule is to be applied to a pin: when a period begins.

        Args:
            ordered_ms: When the pin was ordered.
            now_ms: Until then it was looked at.
            period_ms: How long a period is.
        """
        for rule in self.rules:
            begins_ms = -(-(ordered_ms + rule.older_than_ms) // period_ms) * period_ms
            if rule.older_than_ms > 0 and begins_ms > now_ms:
                return begins_ms
        return None


def age_rules_to_value(rules: AgeRules) -> bytes | None:
    """Return the row; ``None`` if there never were any."""
    if rules == AgeRules():
        return None
    return codec.encode([rules_to_wire(rules.rules), rules.is_new, rules.after])


def read_age_rules(value: bytes | None) -> AgeRules:
    """Return what a row holds."""
    if value is None:
        return AgeRules()
    rules, is_new, after = codec.decode(value)
    return AgeRules(rules=rules_from_wire(rules), is_new=is_new, after=after)

"""How the cluster is doing: what is short or missing, and what the next failure would cost.

Everything but the count of pins is read when it is asked for, and costs what there are peers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bftcluster.api.health_views import ClusterHealthView, Finding, HealthGrade, LossView
from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.node.loops.census import Census, PinTally
from bftcluster.node.parts import Parts
from bftcluster.node.process.threads import Workers
from bftcluster.node.service.peers import PeerService
from bftcluster.reputation import PeerReputation
from bftcluster.reputation.standing import Standing
from bftcluster.storage.ledger_reader import LedgerReader

LAST_COPIES_SHOWN_MAX: Final = 1000
_BEACON_LATE_PERIODS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterHealthService:
    """Implements the API's port of the cluster's health."""

    parts: Parts
    peers: PeerService
    census: Census
    workers: Workers

    async def cluster_health(self) -> ClusterHealthView:
        """Return how the cluster is doing, as far as this peer knows."""
        membership = self.parts.replica.membership
        reached = sum(self.peers.is_connected(PeerId(replica)) for replica in membership.replicas)
        tally = await self.census.recent()
        view = await self.workers.run(_rows_view, self.parts.store.reader, tally)
        view = replace(view, voters=membership.n, reached=reached, quorum=membership.quorum)
        return replace(view, findings=findings_of(view))


def _rows_view(reader: LedgerReader, tally: PinTally | None) -> ClusterHealthView:
    """Return what the rows say; blocks for some reads."""
    with reader.snapshot() as rows:
        head, peers = queries.head_of(rows), queries.peers(rows)
        reputations, absent = queries.reputations(rows), queries.absent_peers(rows)
        held = {peer: queries.duty_head_of(rows, peer).size_bytes for peer in peers}
        waiting = queries.repairs_behind(rows, b"", LAST_COPIES_SHOWN_MAX)
        drawn = queries.beacon_of(rows).drawn
        takers = _takers(peers, reputations, absent)
        return ClusterHealthView(
            pins=head.pins,
            waiting=queries.repair_turn_of(rows).waiting,
            last_copies=sum(1 for _, pin in waiting if pin.is_urgent and pin.live <= 1),
            counts=None if tally is None else tally.counts(),
            members=len(peers),
            joined=sum(record.joined_ms > 0 for record in peers.values()),
            absent=_names(peers, absent),
            suspended=_names(
                peers, [p for p, r in reputations.items() if r.standing is Standing.SUSPENDED]
            ),
            evictions_waiting=len(queries.waiting_for_eviction(rows)),
            voters=0,
            reached=0,
            quorum=0,
            period=head.period,
            beacon_period=drawn[-1][0] if drawn else None,
            capacity_bytes=sum(record.usable_capacity_bytes for record in takers.values()),
            free_bytes=sum(record.usable_free_bytes for record in takers.values()),
            losses=losses_of(peers, takers, held, tally),
        )


def _takers(
    peers: Mapping[PeerId, PeerRecord],
    reputations: Mapping[PeerId, PeerReputation],
    absent: Collection[PeerId],
) -> dict[PeerId, PeerRecord]:
    """Return who is given pins."""
    return {
        peer: record
        for peer, record in peers.items()
        if record.joined_ms and reputations[peer].gets_data and peer not in absent
    }


def losses_of(
    peers: Mapping[PeerId, PeerRecord],
    takers: Mapping[PeerId, PeerRecord],
    held: Mapping[PeerId, int],
    tally: PinTally | None,
) -> tuple[LossView, ...]:
    """Return the worst peer to lose, and the worst domain if there are several.

    Args:
        peers: All that are admitted.
        takers: Those that are given pins.
        held: How many bytes each is to hold.
        tally: The last count of pins; None: there was none yet.
    """
    by_domain: dict[str, list[PeerId]] = {}
    for peer, record in sorted(peers.items()):
        by_domain.setdefault(record.terms.domain, []).append(peer)

    room_bytes = {peer: record.usable_free_bytes for peer, record in takers.items()}
    all_room_bytes = sum(room_bytes.values())

    def loss(name: str, lost: Sequence[PeerId], pins_short: int | None) -> LossView:
        room = all_room_bytes - sum(room_bytes.get(peer, 0) for peer in lost)
        moved_bytes = sum(held[peer] for peer in lost)
        return LossView(
            name=name,
            peers=tuple(lost),
            pins_short=pins_short,
            moved_bytes=moved_bytes,
            room_bytes=room,
        )

    short = None if tally is None else tally.without_peer
    each = [loss(peers[p].name, [p], None if short is None else short[p]) for p in sorted(peers)]
    losses = [max(each, key=_weight_of)] if each else []
    if len(by_domain) > 1:
        apart = None if tally is None else tally.without_domain
        losses.append(
            max(
                (loss(d, ps, None if apart is None else apart[d]) for d, ps in by_domain.items()),
                key=_weight_of,
            )
        )
    return tuple(losses)


def _weight_of(loss: LossView) -> tuple[bool, int, int]:
    return not loss.fits, loss.pins_short or 0, loss.moved_bytes


def _names(peers: Mapping[PeerId, PeerRecord], some: Collection[PeerId]) -> tuple[str, ...]:
    return tuple(peers[peer].name for peer in sorted(some) if peer in peers)


def findings_of(view: ClusterHealthView) -> tuple[Finding, ...]:
    """Return what is not as it should be, the worst first."""
    found = [*_of_pins(view), *_of_peers(view), *_of_the_order(view)]
    return tuple(sorted(found, key=lambda each: -each.grade))


def _of_pins(view: ClusterHealthView) -> list[Finding]:
    counts = view.counts
    degraded, endangered = HealthGrade.DEGRADED, HealthGrade.ENDANGERED
    rows = [
        (endangered, "last-copy", view.last_copies, "wait for repair with one live holder or none"),
        (degraded, "waiting", view.waiting, "have too few sound holders, and wait for others"),
    ]
    if counts is not None:
        rows += [
            (endangered, "missing", counts.missing, "have no copy that a live peer reported"),
            (endangered, "one-copy", counts.endangered, "have one reported copy, and need more"),
            (degraded, "short", counts.short, "have fewer reported copies than they need"),
        ]
    return [_finding(grade, code, f"{count:,} pins {what}") for grade, code, count, what in rows
            if count]  # fmt: skip


def _of_peers(view: ClusterHealthView) -> list[Finding]:
    degraded = HealthGrade.DEGRADED
    found = []
    if view.absent:
        text = "peers were not heard for a day: what they hold does not count"
        found.append(_finding(degraded, "absent", f"{len(view.absent):,} {text}"))
    if view.suspended:
        text = "peers are suspended: they are given nothing new"
        found.append(_finding(degraded, "suspended", f"{len(view.suspended):,} {text}"))
    if view.evictions_waiting:
        text = "peers are to be evicted, and too many are at once: has the network failed?"
        found.append(_finding(degraded, "evictions", f"{view.evictions_waiting:,} {text}"))
    found += [
        _finding(degraded, "no-room", f"if {loss.name!r} failed, others had no room for its pins")
        for loss in view.losses
        if not loss.fits
    ]
    return found


def _of_the_order(view: ClusterHealthView) -> list[Finding]:
    found = []
    reached = f"this peer reaches {view.reached} of {view.voters} voters"
    if view.reached < view.quorum:
        text = f"{reached}, and {view.quorum} must agree: as far as it sees, nothing is ordered"
        found.append(_finding(HealthGrade.ENDANGERED, "no-quorum", text))
    elif view.reached == view.quorum < view.voters:
        text = f"{reached}: one more that fails stops the order"
        found.append(_finding(HealthGrade.ENDANGERED, "last-quorum", text))
    elif view.reached < view.voters:
        found.append(_finding(HealthGrade.DEGRADED, "voters", reached))
    last = view.beacon_period
    if last is not None and view.period - last >= _BEACON_LATE_PERIODS:
        text = f"the last {view.period - last} periods have no beacon: no lots are drawn"
        found.append(_finding(HealthGrade.DEGRADED, "beacon", text))
    return found


def _finding(grade: HealthGrade, code: str, text: str) -> Finding:
    return Finding(grade=grade, code=code, text=text)

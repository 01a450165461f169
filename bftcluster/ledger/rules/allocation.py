"""Chooses the holders of a pin: the best of the roster, sticky as in ipfs-cluster."""

from collections.abc import Collection
from dataclasses import dataclass

from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.state.roster import Roster


@dataclass(frozen=True, slots=True, kw_only=True)
class NotEnoughPeers:
    """Why a pin cannot be allocated."""

    needed: int
    wanted: int
    candidates: int

    def __str__(self) -> str:
        """Return ipfs-cluster's words for it."""
        return (
            f"not enough peers to allocate CID. Needed at least: {self.needed}. "
            f"Wanted at most: {self.wanted}. Available candidates: {self.candidates}."
        )


def allocate(
    cid: Cid,
    roster: Roster,
    *,
    least: int,
    most: int,
    current: Collection[PeerId] = (),
    preferred: Collection[PeerId] = (),
) -> tuple[PeerId, ...] | NotEnoughPeers:
    """Return who is to hold ``cid``, sorted; what is allocated already stays where it is.

    Args:
        cid: What is pinned.
        roster: The candidates.
        least: With this many or more current holders nothing is added.
        most: Otherwise as many as possible up to this; what is beyond goes, worst draws first.
        current: Present allocations; they count whether or not they have free space.
        preferred: The user's choice: comes first, best effort.
    """
    assert 1 <= least <= most, "the caller resolved defaults and -1"
    if len(current) > most:
        return _shrink(cid, roster, most, current, preferred)
    if len(current) >= least:
        return tuple(sorted(current))
    chosen = set(current)
    candidates = [peer for peer in roster.rank_all(cid) if peer not in chosen]
    if len(candidates) < least - len(chosen):
        return NotEnoughPeers(
            needed=least - len(chosen), wanted=most - len(chosen), candidates=len(candidates)
        )
    candidates = roster.spread(candidates, chosen)
    if preferred:
        wanted_first = set(preferred)
        candidates.sort(key=lambda peer: peer not in wanted_first)
    chosen.update(candidates[: most - len(chosen)])
    return tuple(sorted(chosen))


def _shrink(
    cid: Cid,
    roster: Roster,
    most: int,
    current: Collection[PeerId],
    preferred: Collection[PeerId],
) -> tuple[PeerId, ...]:
    """Keep the ``most`` best: preferred ones, then by draw, then those without free space."""
    ranked = roster.rank(cid, sorted(current))
    ranked += sorted(set(current) - set(ranked))
    first = set(preferred)
    ranked.sort(key=lambda peer: peer not in first)
    return tuple(sorted(ranked[:most]))

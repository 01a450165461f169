"""Chooses the holders of a pin: the best of the roster, sticky as in ipfs-cluster."""

from collections.abc import Collection
from dataclasses import dataclass

from bftcluster.allocation.roster import BY_WEIGHT, Measure, Roster
from bftcluster.ids import PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class NotEnoughPeers:
    """Why a pin cannot be allocated."""

    needed: int
    wanted: int
    candidates: int
    domains_needed: int = 0
    domains: int = 0
    """In how many failure domains its holders could be."""
    tag: tuple[str, str] | None = None
    """The wanted tag that no candidate has."""

    def __str__(self) -> str:
        """Return ipfs-cluster's words for it, and what is missing beside peers."""
        said = (
            f"not enough peers to allocate CID. Needed at least: {self.needed}. "
            f"Wanted at most: {self.wanted}. Available candidates: {self.candidates}."
        )
        if self.domains_needed > self.domains:
            said += f" Failure domains needed: {self.domains_needed}. Available: {self.domains}."
        if self.tag is not None:
            said += f" No candidate has the tag {self.tag[0]}={self.tag[1]}."
        return said


def allocate(
    seed: bytes,
    roster: Roster,
    *,
    least: int,
    most: int,
    current: Collection[PeerId] = (),
    preferred: Collection[PeerId] = (),
    measures: tuple[Measure, ...] = (BY_WEIGHT,),
    domains_min: int = 0,
) -> tuple[PeerId, ...] | NotEnoughPeers:
    """Return who is to hold a pin, sorted; what is allocated already stays where it is.

    Args:
        seed: As of `pin_seed`.
        roster: The candidates.
        least: With this many or more current holders nothing is added.
        most: Otherwise as many as possible up to this; what is beyond goes, worst draws first.
        current: Present allocations; they count whether or not they have free space.
        preferred: The user's choice: comes first, best effort.
        measures: By what candidates are compared; the next one when the first has no more.
        domains_min: In how many failure domains the holders of a new pin have to be.
    """
    assert 1 <= least <= most, "the caller resolved defaults and -1"
    if len(current) > most:
        return _shrink(seed, roster, most, current, preferred, measures[0])
    if len(current) >= least:
        return tuple(sorted(current))
    chosen = list(current)
    wanted = most - len(chosen)
    candidates = sum(1 for peer in current if peer not in roster)
    candidates += roster.count(measures[-1]) - len(current)
    if candidates < least - len(chosen):
        return NotEnoughPeers(
            needed=least - len(chosen), wanted=wanted, candidates=max(0, candidates)
        )
    if preferred:
        named = set(preferred) - set(chosen)
        chosen += roster.rank(seed, sorted(named), held=chosen)[:wanted]
    for measure in measures:
        if len(chosen) < most:
            chosen += roster.pick(seed, most - len(chosen), held=chosen, measure=measure)
    if domains_min and (domains := roster.domains(chosen)) < domains_min:
        return NotEnoughPeers(
            needed=least - len(current),
            wanted=wanted,
            candidates=candidates,
            domains_needed=domains_min,
            domains=domains,
        )
    return tuple(sorted(chosen))


def pin_seed(source: bytes, name: bytes) -> bytes:
    """Return what a pin's draws come from.

    Args:
        source: The last beacon, or the cluster's id while there is none: 32 bytes.
        name: What it names, such as its CID.
    """
    return source + name


def _shrink(
    seed: bytes,
    roster: Roster,
    most: int,
    current: Collection[PeerId],
    preferred: Collection[PeerId],
    measure: Measure,
) -> tuple[PeerId, ...]:
    """Keep the ``most`` best: preferred ones, then by draw, then those without free space."""
    first = set(preferred) & set(current)
    ranked = roster.rank(seed, sorted(first), measure=measure)
    ranked += sorted(first - set(ranked))
    rest = set(current) - first
    ranked += roster.rank(seed, sorted(rest), held=ranked[:most], measure=measure)
    ranked += sorted(set(current) - set(ranked))
    return tuple(sorted(ranked[:most]))

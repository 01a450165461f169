"""Chooses the holders of a pin: the best of the roster, sticky as in ipfs-cluster."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from bftcluster.allocation.roster import BY_WEIGHT, Measure, Roster
from bftcluster.ids import PeerId
from bftcluster.limits import SPREAD_VALUES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """By what new holders are drawn."""

    measure: Measure = BY_WEIGHT
    """By what candidates are compared; who does not count by it comes into question nowhere."""
    first: tuple[Measure, ...] = ()
    """By these before: the next one when the one before has no more."""
    spread: str = ""
    """The key of a tag: one candidate of each of its values comes before second ones."""


BALANCED: Final = Draw()


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
    required: tuple[tuple[tuple[str, str], int], ...] = ()
    """The required tags, and how many candidates have each."""
    room: int | None = None
    """What candidates have free together, in MiB, if there are too few."""

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
        for (key, value), count in self.required:
            said += f" Candidates with the required tag {key}={value}: {count}."
        if self.room is not None:
            said += f" Free at the candidates: {self.room} MiB."
        return said


def allocate(
    seed: bytes,
    roster: Roster,
    *,
    least: int,
    most: int,
    current: Collection[PeerId] = (),
    preferred: Collection[PeerId] = (),
    draw: Draw = BALANCED,
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
        draw: By what new holders are drawn.
        domains_min: In how many failure domains the holders of a new pin have to be.
    """
    assert 1 <= least <= most, "the caller resolved defaults and -1"
    if len(current) > most:
        return _shrink(seed, roster, most, current, preferred, draw.measure)
    if len(current) >= least:
        return tuple(sorted(current))
    chosen = list(current)
    wanted = most - len(chosen)
    absent = sum([1 for peer in current if not roster.counts(peer, draw.measure)])
    candidates = roster.count(draw.measure) - len(current) + absent
    if candidates < least - len(chosen):
        return NotEnoughPeers(
            needed=least - len(chosen),
            wanted=wanted,
            candidates=max(0, candidates),
            required=tuple(
                [(tag, roster.count(Measure(tags=(tag,)))) for tag in draw.measure.tags]
            ),
            room=roster.room(draw.measure),
        )
    if preferred:
        named = set(preferred) - set(chosen)
        chosen += roster.rank(seed, sorted(named), held=chosen, measure=draw.measure)[:wanted]
    chosen += pick_by(draw, roster, seed, most - len(chosen), chosen)
    if domains_min and (domains := roster.domains(chosen)) < domains_min:
        return NotEnoughPeers(
            needed=least - len(current),
            wanted=wanted,
            candidates=candidates,
            domains_needed=domains_min,
            domains=domains,
        )
    return tuple(sorted(chosen))


def pick_by(
    draw: Draw, roster: Roster, seed: bytes, count: int, held: Collection[PeerId]
) -> list[PeerId]:
    """Return up to ``count`` candidates beside those that have a copy, the best first."""
    chosen = list(held)
    most = len(chosen) + count
    for measure in draw.first:
        chosen += roster.pick(seed, most - len(chosen), held=chosen, measure=measure)
    if draw.spread and len(chosen) < most:
        chosen += _spread(draw, roster, seed, most - len(chosen), chosen)
    if len(chosen) < most:
        chosen += roster.pick(seed, most - len(chosen), held=chosen, measure=draw.measure)
    return chosen[len(held) :]


def _spread(
    draw: Draw, roster: Roster, seed: bytes, count: int, held: Collection[PeerId]
) -> list[PeerId]:
    """Return one candidate for each value of a tag that no holder has, in an order by lot."""
    peers_of = roster.by_value(draw.spread, draw.measure)
    taken = roster.values_at(draw.spread, held)
    lots = sorted([(hashlib.sha256(seed + text.encode()).digest(), text) for text in peers_of])
    chosen: list[PeerId] = []
    for _, text in lots:
        if len(chosen) == min(count, SPREAD_VALUES_MAX):
            break
        if text not in taken:
            others = [*held, *chosen]
            ranked = roster.rank(seed, peers_of[text], held=others, measure=draw.measure)
            chosen += [peer for peer in ranked if peer not in others][:1]
            taken |= roster.values_at(draw.spread, chosen)
    return chosen


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

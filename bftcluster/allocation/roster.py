"""The peers that pins may be allocated to: their weights, their places, and what they offer."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bftcluster.allocation.straws import SEED_WORDS
from bftcluster.allocation.tree import Place, StrawTree, place_of
from bftcluster.ids import PeerId

NEWCOMERS_PART: Final = 20
"""At most one pin in so many has one copy at a newcomer: 5 %."""
TAG_VIEWS_MAX: Final = 64
_SEED_TAG: Final = b"bftcluster/allocation/pin/v2\x00"
_WORD_SIZE: Final = 4
_SCALE_BITS: Final = 24


@dataclass(frozen=True, slots=True)
class Measure:
    """By what peers are compared: their weights, or free space; all peers, or those with tags."""

    by_space: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    """All of which a peer has that comes into question."""


BY_WEIGHT: Final = Measure()
BY_SPACE: Final = Measure(by_space=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterEntry:
    """What the roster knows of one peer."""

    place: Place
    weight: int
    space: int
    tags: tuple[tuple[str, str], ...] = ()
    is_newcomer: bool = False

    def weight_by(self, measure: Measure) -> int:
        """Return what it draws with; who weighs nothing draws by no measure."""
        if self.weight <= 0:
            return 0
        for tag in measure.tags:
            if tag not in self.tags:
                return 0
        return self.space if measure.by_space else self.weight


class RosterView:
    """The roster by one measure: a tree of those that are trusted, and one of newcomers."""

    def __init__(self, measure: Measure, entries: Iterable[RosterEntry]) -> None:
        self._measure = measure
        self._trusted = StrawTree()
        self._newcomers = StrawTree()
        for entry in entries:
            self.update(entry)

    def __len__(self) -> int:
        """Return how many candidates it has."""
        return len(self._trusted) + len(self._newcomers)

    def update(self, entry: RosterEntry) -> None:
        """Take in what is known of a peer now."""
        weight = entry.weight_by(self._measure)
        self._trusted.update(entry.place, 0 if entry.is_newcomer else weight)
        self._newcomers.update(entry.place, weight if entry.is_newcomer else 0)

    def pick(self, seed: bytes, count: int, held: Sequence[Place]) -> list[PeerId]:
        """Return up to ``count`` peers apart from ``held``, as of `StrawTree.pick`.

        A newcomer is among them for few seeds, as its kind has a bounded part, or if there are not
        enough others.
        """
        digest = hashlib.sha256(_SEED_TAG + seed).digest()
        words = [
            int.from_bytes(digest[start : start + _WORD_SIZE], "big")
            for start in range(0, len(digest), _WORD_SIZE)
        ]
        chosen: list[PeerId] = []
        taken = list(held)
        if count > 0 and self._is_for_newcomers(words[SEED_WORDS]):
            chosen += self._newcomers.pick(words, 1, taken)
            taken += [self._newcomers.place(peer) for peer in chosen]
        trusted = self._trusted.pick(words, count - len(chosen), taken)
        chosen += trusted
        if len(chosen) < count and len(self._newcomers):
            taken += [self._trusted.place(peer) for peer in trusted]
            chosen += self._newcomers.pick(words, count - len(chosen), taken)
        return chosen

    def _is_for_newcomers(self, draw: int) -> bool:
        """Return whether a seed's draw gives a copy to a newcomer: as they weigh, up to 5 %."""
        if not len(self._newcomers):
            return False
        theirs, weight = self._newcomers.weight, self._trusted.weight + self._newcomers.weight
        part = min((theirs << _SCALE_BITS) // weight, (1 << _SCALE_BITS) // NEWCOMERS_PART)
        return draw >> 8 < part


class Roster:
    """The peers that pins may be allocated to."""

    def __init__(self) -> None:
        self._entries: dict[PeerId, RosterEntry] = {}
        self._views: dict[Measure, RosterView] = {BY_WEIGHT: RosterView(BY_WEIGHT, ())}
        """Made when they are first asked for."""
        self._digest = b""
        """Empty while it is not known."""

    def update(
        self,
        peer: PeerId,
        weight: int,
        *,
        space: int | None = None,
        domain: str = "",
        operator: str = "",
        tags: tuple[tuple[str, str], ...] = (),
        is_newcomer: bool = False,
    ) -> None:
        """Set what is known of a peer.

        Args:
            peer: Which one.
            weight: At most 2^24 - 1; without any it is no candidate.
            space: What it weighs by its free space alone; as ``weight`` if None.
            domain: Peers of one failure domain may fail together; all unnamed ones are one.
            operator: Who runs it; all unnamed ones are one.
            tags: What it says of itself.
            is_newcomer: Whether it is still being vetted.
        """
        entry = RosterEntry(
            place=place_of(peer, domain, operator),
            weight=weight,
            space=weight if space is None else space,
            tags=tags,
            is_newcomer=is_newcomer,
        )
        known = self._entries.get(peer)
        if known != entry:
            if (weight > 0) != (known is not None and known.weight > 0):
                self._digest = b""
            self._entries[peer] = entry
            for view in self._views.values():
                view.update(entry)

    def remove(self, peer: PeerId) -> None:
        """Forget a peer."""
        if peer in self._entries:
            self.update(peer, 0)
            del self._entries[peer]

    def __len__(self) -> int:
        """Return how many candidates there are."""
        return len(self._views[BY_WEIGHT])

    def __contains__(self, peer: PeerId) -> bool:
        """Return whether pins may be allocated to ``peer``."""
        return peer in self._entries and self._entries[peer].weight > 0

    def counts(self, peer: PeerId, measure: Measure) -> bool:
        """Return whether ``peer`` is a candidate by a measure."""
        return peer in self._entries and self._entries[peer].weight_by(measure) > 0

    def digest(self) -> bytes:
        """Return SHA-256 over who the candidates are, whatever they weigh."""
        if not self._digest:
            names = sorted(peer for peer in self._entries if peer in self)
            self._digest = hashlib.sha256(b"".join(names)).digest()
        return self._digest

    def count(self, measure: Measure) -> int:
        """Return how many candidates there are by a measure."""
        return len(self._view(measure))

    def pick(
        self, seed: bytes, count: int, held: Collection[PeerId] = (), measure: Measure = BY_WEIGHT
    ) -> list[PeerId]:
        """Return up to ``count`` candidates, the best first, as far apart as possible.

        Args:
            seed: The pin's: what nobody chooses freely, and names the pin.
            count: How many.
            held: Who has a copy already, candidates or not.
            measure: By what they are compared.
        """
        return self._view(measure).pick(seed, count, self._places(held))

    def rank(
        self,
        seed: bytes,
        peers: Collection[PeerId],
        held: Collection[PeerId] = (),
        measure: Measure = BY_WEIGHT,
    ) -> list[PeerId]:
        """Return those of ``peers`` that are candidates as if there were no others."""
        entries = [self._entries[peer] for peer in peers if peer in self._entries]
        view = RosterView(measure, entries)
        return view.pick(seed, len(view), self._places(held))

    def by_value(self, key: str, measure: Measure = BY_WEIGHT) -> dict[str, list[PeerId]]:
        """Return the candidates that have a tag of this key by its values, both in order."""
        found: dict[str, list[PeerId]] = {}
        for peer in sorted(self._entries):
            entry = self._entries[peer]
            if entry.weight_by(measure) > 0:
                for tag, value in entry.tags:
                    if tag == key:
                        found.setdefault(value, []).append(peer)
        return dict(sorted(found.items()))

    def values_at(self, key: str, peers: Iterable[PeerId]) -> set[str]:
        """Return which values of a tag the known ones of ``peers`` have."""
        return {
            value
            for peer in peers
            if peer in self._entries
            for tag, value in self._entries[peer].tags
            if tag == key
        }

    def room(self, measure: Measure = BY_WEIGHT) -> int:
        """Return what the candidates by a measure have free together, in units of space."""
        entries = self._entries.values()
        return sum([entry.space for entry in entries if entry.weight_by(measure) > 0])

    def domains(self, peers: Iterable[PeerId]) -> int:
        """Return in how many failure domains the known ones of ``peers`` are."""
        return len({self._entries[peer].place.domain for peer in peers if peer in self._entries})

    def _places(self, peers: Collection[PeerId]) -> list[Place]:
        return [self._entries[peer].place for peer in sorted(peers) if peer in self._entries]

    def _view(self, measure: Measure) -> RosterView:
        view = self._views.get(measure)
        if view is None:
            if len(self._views) > TAG_VIEWS_MAX:
                self._views = {BY_WEIGHT: self._views[BY_WEIGHT]}
            view = self._views[measure] = RosterView(measure, self._entries.values())
        return view

"""The tree of those that pins may go to: failure domains, their operators, and their peers."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bftcluster.allocation.straws import (
    UNLIMITED,
    Contest,
    Straw,
    add,
    carry,
    discard,
    key_of,
    limit,
)
from bftcluster.ids import PeerId
from bftcluster.reputation.arithmetic import WEIGHT_MAX

DOMAINS_CAPPED_MIN: Final = 20
"""With so many domains or more, none has more than one part in so many of all that is drawn."""
_DOMAIN: Final = b"domain"
_OPERATOR: Final = b"operator"
_PEER: Final = b"peer"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer is in the tree."""

    peer: PeerId
    domain: bytes
    operator: bytes


def place_of(peer: PeerId, domain: str, operator: str) -> Place:
    """Return a peer's place.

    All without a domain are one domain, and all without an operator one operator: nobody said that
    they fail apart.
    """
    return Place(peer, domain.encode(), operator.encode())


class Apart(IntEnum):
    """What two copies shall not have in common, the best first."""

    DOMAIN_AND_OPERATOR = 0
    DOMAIN = 1
    OPERATOR = 2
    PEER = 3


_WAYS: Final = (Apart.DOMAIN_AND_OPERATOR, Apart.DOMAIN, Apart.OPERATOR, Apart.PEER)


class StrawTree:
    """Peers with weights, in their places. A change of one costs as much as the tree is deep."""

    def __init__(self) -> None:
        self._root = Straw(b"", key_of(b"root", b""), level=0)
        self._domains: dict[bytes, Straw] = {}
        self._operators: dict[bytes, dict[bytes, Straw]] = {}
        """By operator and domain."""
        self._leaves: dict[PeerId, Straw] = {}
        self._places: dict[PeerId, Place] = {}
        self._sizes: list[tuple[int, bytes]] = []
        """What each domain stands for, and its name, ascending."""
        self._limited: list[bytes] = []
        self._is_settled = True

    def __len__(self) -> int:
        """Return how many peers it has."""
        return len(self._leaves)

    @property
    def weight(self) -> int:
        """What all of them draw with."""
        self._settle()
        return self._root.total

    def place(self, peer: PeerId) -> Place:
        """Return the place of one of its peers."""
        return self._places[peer]

    def update(self, place: Place, weight: int) -> None:
        """Set a peer's place and weight, at most WEIGHT_MAX; without any it is not in the tree."""
        weight = max(0, min(weight, WEIGHT_MAX))
        known = self._places.get(place.peer)
        if known is not None and (known != place or not weight):
            self._weigh(known, 0)
            self._take_out(known)
        if weight:
            if place.peer not in self._leaves:
                self._put_in(place)
            self._weigh(place, weight)

    def pick(self, words: Sequence[int], count: int, held: Sequence[Place]) -> list[PeerId]:
        """Return up to ``count`` peers, the best first, none of them in ``held``.

        In domains and of operators that neither ``held`` nor another of them has, as long as there
        are any; then in other domains, then of other operators, then any.

        Args:
            words: `SEED_WORDS` random words of 32 bits.
            count: How many.
            held: The places of those that count already.
        """
        self._settle()
        chosen: list[PeerId] = []
        taken = list(held)
        contest = Contest(self._root, words)
        for way in _WAYS:
            contest.restart()
            for place in taken:
                self._leave_out(contest, place, way)
            while len(chosen) < count:
                straw = contest.winner()
                if straw is None:
                    break
                place = self._places[PeerId(straw.name)]
                chosen.append(place.peer)
                taken.append(place)
                self._leave_out(contest, place, way)
            if len(chosen) >= count:
                break
        return chosen

    def _leave_out(self, contest: Contest, place: Place, way: Apart) -> None:
        """Let none take part that has in common with ``place`` what it shall not."""
        if way is not Apart.OPERATOR and way is not Apart.PEER:
            domain = self._domains.get(place.domain)
            if domain is not None:
                contest.leave_out(domain)
        if way is Apart.DOMAIN_AND_OPERATOR or way is Apart.OPERATOR:
            for operator in self._operators.get(place.operator, {}).values():
                contest.leave_out(operator)
        leaf = self._leaves.get(place.peer)
        if leaf is not None:
            contest.leave_out(leaf)

    def _put_in(self, place: Place) -> None:
        domain = self._domains.get(place.domain)
        if domain is None:
            domain = Straw(place.domain, key_of(_DOMAIN, place.domain), level=1)
            self._domains[place.domain] = domain
            add(self._root, domain)
            insort(self._sizes, (0, place.domain))
        operators = self._operators.setdefault(place.operator, {})
        operator = operators.get(place.domain)
        if operator is None:
            key = key_of(_OPERATOR, domain.key + place.operator)
            operator = operators[place.domain] = Straw(place.operator, key, level=2)
            add(domain, operator)
        leaf = Straw(place.peer, key_of(_PEER, place.peer), level=3)
        add(operator, leaf)
        self._leaves[place.peer] = leaf
        self._places[place.peer] = place

    def _take_out(self, place: Place) -> None:
        """Remove a peer that weighs nothing any more, and what is empty without it."""
        discard(self._leaves.pop(place.peer))
        del self._places[place.peer]
        operators = self._operators[place.operator]
        if not operators[place.domain].members:
            discard(operators.pop(place.domain))
        if not operators:
            del self._operators[place.operator]
        domain = self._domains[place.domain]
        if not domain.members:
            self._sizes.remove((0, place.domain))
            limit(domain, UNLIMITED)
            discard(self._domains.pop(place.domain))

    def _weigh(self, place: Place, weight: int) -> None:
        leaf, domain = self._leaves[place.peer], self._domains[place.domain]
        before = domain.total
        carry(leaf, weight - leaf.total)
        if domain.total != before:
            del self._sizes[bisect_left(self._sizes, (before, place.domain))]
            insort(self._sizes, (domain.total, place.domain))
            self._is_settled = False

    def _settle(self) -> None:
        """Limit the largest domains to their part of what is drawn, if there are enough of them.

        The limit is a part of what remains with it. Fewer than `DOMAINS_CAPPED_MIN` can be at it,
        and it is above what any of the others has.
        """
        if self._is_settled:
            return
        self._is_settled = True
        for name in self._limited:
            if name in self._domains:
                limit(self._domains[name], UNLIMITED)
        self._limited = []
        if len(self._sizes) < DOMAINS_CAPPED_MIN:
            return
        rest, parts = self._root.total, DOMAINS_CAPPED_MIN
        for size, name in reversed(self._sizes):
            if size * parts <= rest:
                break
            rest -= size
            parts -= 1
            self._limited.append(name)
        for name in self._limited:
            limit(self._domains[name], rest // parts)

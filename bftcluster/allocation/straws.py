"""Straws: the nodes of the tree, which draw against their siblings; the longest straw wins.

A crowd, the children of one node, draws at once while it is small. A larger one is parted by the
nibbles of its members' keys, so that nobody draws against more than `FAN_MAX`. Its shape follows
from who is in it alone, not from the order in which they came.
"""

import hashlib
from bisect import insort
from collections.abc import Sequence
from typing import Final

from bftcluster.reputation.arithmetic import NEVER, cost, mix32
from bftcluster.reputation.logarithms import log2_table

FAN_MAX: Final = 64
UNLIMITED: Final = 1 << 60
SEED_WORDS: Final = 7
"""Each level, and each nibble below it, draws with another of them."""
_TAG: Final = b"bftcluster/allocation/v2\x00"
WEIGHT_BITS: Final = 24
_TABLE: Final = log2_table()


class Straw:
    """A peer, an operator, a failure domain, or a part of a large crowd of these."""

    def __init__(self, name: bytes, key: bytes, *, level: int, depth: int = 0) -> None:
        """Make one that stands for nobody yet.

        Args:
            name: What it is called; of two equal draws the lower name wins.
            key: As of `key_of`; what it draws with, and where it is in a large crowd.
            level: How far below the root its children are.
            depth: How many nibbles its children's keys have in common, if it is part of a crowd.
        """
        self.name: Final = name
        self.key: Final = key
        self.word: Final = int.from_bytes(key[:4], "big")
        self.seed_index: Final = (level + 3 * depth) % SEED_WORDS
        self.level: Final = level
        self.depth: Final = depth
        self.parent: Straw | None = None
        self.children: list[Straw] = []
        """By name."""
        self.members = 0
        """Of its crowd, those in its parts included."""
        self.is_parted = False
        self.total = 0
        """Of the children's weights, or a peer's own."""
        self.limit = UNLIMITED

    @property
    def weight(self) -> int:
        """What it draws with."""
        return min(self.total, self.limit)


def key_of(kind: bytes, name: bytes) -> bytes:
    """Return a digest of 32 bytes that nobody shares."""
    return hashlib.sha256(_TAG + kind + name).digest()


def carry(straw: Straw | None, change: int) -> None:
    """Add to what a straw stands for, and so to all above it."""
    while straw is not None and change:
        before = straw.weight
        straw.total += change
        assert straw.total >= 0, "nobody takes away more than it gave"
        change = straw.weight - before
        straw = straw.parent


def limit(straw: Straw, most: int) -> None:
    """Let a straw draw with no more than ``most``, whatever it stands for."""
    before = straw.weight
    straw.limit = most
    carry(straw.parent, straw.weight - before)


class Contest:
    """One pin's draws: who wins, and who after those that are left out."""

    def __init__(self, root: Straw, words: Sequence[int]) -> None:
        self._root = root
        self._words = words
        self._gone: dict[Straw, int] = {}
        self._draws: dict[Straw, list[int]] = {}
        """Of each straw's children, in their order: the same whoever is left out."""

    def restart(self) -> None:
        """Let all take part again."""
        self._gone = {}

    def leave_out(self, straw: Straw) -> None:
        """Let a straw, and all below it, take no part."""
        gone = self._gone
        change = self._weight_left(straw)
        if not change:
            return
        gone[straw] = straw.total
        above = straw.parent
        while above is not None and change:
            before = self._weight_left(above)
            gone[above] = gone.get(above, 0) + change
            change = before - self._weight_left(above)
            above = above.parent

    def winner(self) -> Straw | None:
        """Return the peer that wins from the root down, or nothing if nobody takes part."""
        straw = self._root
        if not self._weight_left(straw):
            return None
        while straw.children:
            straw = self._longest(straw)
        return straw

    def _longest(self, parent: Straw) -> Straw:
        """Return the child with the least cost; of several, the one with the lowest name.

        Most draws are too small for their weight to win, which a bound shows that costs no
        logarithm: ``-log2(x) >= 1 - x``, so that ``2^24 * (1 - draw / 2^32)``, rounded down, is
        never above what `cost` divides by the weight.
        """
        if len(parent.children) == 1:
            return parent.children[0]
        draws = self._draws_of(parent)
        shift = max(0, parent.total.bit_length() - WEIGHT_BITS)
        is_whole = parent not in self._gone
        best = NEVER
        longest: Straw | None = None
        for index, child in enumerate(parent.children):
            weight = child.weight if is_whole else self._weight_left(child)
            if weight <= 0:
                continue
            weight = max(1, weight >> shift)
            draw = draws[index]
            if (((1 << 32) - draw) >> 8 << 24) // weight >= best:
                continue
            bid = cost(draw, weight, _TABLE)
            if bid < best:
                best = bid
                longest = child
        assert longest is not None, "a straw of some weight has a child of some"
        return longest

    def _draws_of(self, parent: Straw) -> list[int]:
        draws = self._draws.get(parent)
        if draws is None:
            seed = self._words[parent.seed_index]
            draws = [mix32(seed, child.word) for child in parent.children]
            self._draws[parent] = draws
        return draws

    def _weight_left(self, straw: Straw) -> int:
        """Return what a straw draws with, when those that are left out do not take part."""
        gone = self._gone.get(straw)
        if gone is None:
            return straw.weight
        return max(0, min(straw.total - gone, straw.limit))


def add(crowd: Straw, member: Straw) -> None:
    """Put a member into a crowd; it weighs nothing yet."""
    assert not member.total, "its weight is carried when it is in its place"
    straw = crowd
    while straw.is_parted:
        straw.members += 1
        straw = _part_of(straw, member.key)
    straw.members += 1
    member.parent = straw
    insort(straw.children, member, key=_name)
    if straw.members > FAN_MAX:
        _divide(straw)


def discard(member: Straw) -> None:
    """Take a member, which weighs nothing any more, out of its crowd."""
    assert not member.total, "its weight was taken away before"
    straw = member.parent
    assert straw is not None, "it is in a crowd"
    straw.children.remove(member)
    member.parent = None
    small: Straw | None = None
    while True:
        straw.members -= 1
        if straw.is_parted and straw.members <= FAN_MAX:
            small = straw
        above = straw.parent
        if not straw.depth or above is None:
            break
        if not straw.members:
            above.children.remove(straw)
        straw = above
    if small is not None:
        _unite(small)


def _divide(straw: Straw) -> None:
    """Part a crowd that became too large for one draw."""
    members = straw.children
    straw.children = []
    straw.is_parted = True
    for member in members:
        part = _part_of(straw, member.key)
        member.parent = part
        part.children.append(member)
        part.members += 1
        part.total += member.weight
    for part in straw.children:
        if part.members > FAN_MAX:
            _divide(part)


def _unite(straw: Straw) -> None:
    """Let a crowd that became small draw at once."""
    members: list[Straw] = []
    parts = list(straw.children)
    while parts:
        part = parts.pop()
        if part.is_parted:
            parts += part.children
        else:
            members += part.children
    members.sort(key=_name)
    for member in members:
        member.parent = straw
    straw.children = members
    straw.is_parted = False


def _part_of(straw: Straw, key: bytes) -> Straw:
    """Return the part of a crowd for a key, made if there is none."""
    byte = key[straw.depth // 2]
    nibble = bytes(((byte >> 4) if straw.depth % 2 == 0 else (byte & 15),))
    for part in straw.children:
        if part.name == nibble:
            return part
    part = Straw(nibble, key_of(straw.key, nibble), level=straw.level, depth=straw.depth + 1)
    part.parent = straw
    insort(straw.children, part, key=_name)
    return part


def _name(straw: Straw) -> bytes:
    return straw.name

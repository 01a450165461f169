"""Decides which connections may stay: those that were waited for longest make room for new ones.

A client that is served, and reads, is never turned away. One that opens a connection and is slow
to say what it wants, or to take what it asked for, is cheap for itself: it must not be in the way.
"""

from collections import defaultdict
from typing import Protocol


class Guest(Protocol):
    """A connection."""

    @property
    def waiting_since_s(self) -> float | None:
        """Since when we have waited for its client, in trio's time; None while it waits for us."""
        ...

    def turn_away(self) -> None:
        """Close soon, whatever is under way."""
        ...


class Admission:
    """The connections that are open, by the address of their client."""

    def __init__(self, *, total_max: int, per_address_max: int) -> None:
        self._total_max = total_max
        self._per_address_max = per_address_max
        self._guests: dict[str, dict[Guest, None]] = defaultdict(dict)

    @property
    def count(self) -> int:
        """How many are open."""
        return sum(map(len, self._guests.values()))

    def admit(self, address: str, guest: Guest) -> bool:
        """Let ``guest`` in, if need be in place of another; return whether there was room."""
        if len(self._guests[address]) >= self._per_address_max:
            has_room = self._make_room(address)
        elif self.count >= self._total_max:
            has_room = self._make_room(max(self._guests, key=lambda one: len(self._guests[one])))
        else:
            has_room = True
        if has_room:
            self._guests[address][guest] = None
        self._tidy(address)
        return has_room

    def leave(self, address: str, guest: Guest) -> None:
        """Forget a guest."""
        self._guests[address].pop(guest, None)
        self._tidy(address)

    def _make_room(self, address: str) -> bool:
        waited_for = [
            (since_s, number, guest)
            for number, guest in enumerate(self._guests[address])
            if (since_s := guest.waiting_since_s) is not None
        ]
        if not waited_for:
            return False
        _, _, longest = min(waited_for, key=lambda one: one[:2])
        longest.turn_away()
        self.leave(address, longest)
        return True

    def _tidy(self, address: str) -> None:
        if not self._guests[address]:
            del self._guests[address]

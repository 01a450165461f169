"""The rows of peers whose pins are looked at, since they left, were not heard, or are back.

One row for each, in the order in which they are to be looked at: of thousands that come back in one
hour each costs as much as of two.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from bftcluster import codec
from bftcluster.ids import PeerId

MOVE_PREFIX: Final = b"members/move/"
_NUMBER_SIZE_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A peer that left, was not heard for long, or is back, while its pins are looked at.

    From the last of its duties to the first, some after each batch. Whichever of its duties is
    given up meanwhile, the last takes its slot, so none is missed.
    """

    peer: PeerId
    slot: int
    """Those in the slots below are yet to be looked at."""


class MoveQueue:
    """The moves under way, the first of which is looked at."""

    def __init__(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Read.

        Args:
            rows: Those with the prefix, ascending, and perhaps others behind them.
        """
        self._moves: dict[PeerId, Move] = {}
        self._keys: dict[PeerId, bytes] = {}
        for key, value in rows:
            if not key.startswith(MOVE_PREFIX):
                break
            peer, slot = codec.decode(value)
            self._moves[PeerId(peer)] = Move(peer=PeerId(peer), slot=slot)
            self._keys[PeerId(peer)] = key

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._moves)

    @property
    def first(self) -> Move | None:
        """Return the one that is looked at, if there is any."""
        return next(iter(self._moves.values()), None)

    def __iter__(self) -> Iterator[Move]:
        """Yield them in order."""
        return iter(self._moves.values())

    def __contains__(self, peer: PeerId) -> bool:
        """Return whether the pins of ``peer`` are looked at."""
        return peer in self._moves

    def set(self, move: Move) -> tuple[bytes, bytes]:
        """Take in how far a move is, a new one behind all others; return its row."""
        key = self._keys.get(move.peer) or self._next_key()
        self._keys[move.peer], self._moves[move.peer] = key, move
        return key, codec.encode([move.peer, move.slot])

    def remove(self, peer: PeerId) -> bytes:
        """Take a move out; return the key of its row."""
        del self._moves[peer]
        return self._keys.pop(peer)

    def _next_key(self) -> bytes:
        last = next(reversed(self._keys.values()), None)
        number = 0 if last is None else int.from_bytes(last[len(MOVE_PREFIX) :], "big") + 1
        return MOVE_PREFIX + number.to_bytes(_NUMBER_SIZE_BYTES, "big")

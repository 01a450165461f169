"""The rows of repair: who is absent, which pins have too few live copies, how far repair has come.

A pin that waits has one row in ``Space.REPAIR`` and its place in its own row. Repair goes through
the queue in turns: what it could do nothing for waits until there is another candidate, or until
those that had their part of this period may be given more.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from bftcluster import codec
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.store import RowPort, scan

REPAIR_KEY: Final = b"repair"
ABSENCE_KEY: Final = b"absence"
ABSENCE_PREFIX: Final = b"absence/"
ABSENT_ROW: Final = b"\x01"
"""Of a peer that is absent: that there is a row is all it says."""
WITHOUT_HASTE: Final = 1 << 15
"""Added to the place of a pin that has enough live copies, some of them at suspended peers."""
_PLACE_SIZE: Final = 2
_NUMBER_SIZE: Final = 8
_KEY_SIZE: Final = _PLACE_SIZE + _NUMBER_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPin:
    """A pin with too few live copies, or too few at peers that are not suspended."""

    number: int
    place: int
    """The lower, the sooner."""
    cid: Cid

    @property
    def is_urgent(self) -> bool:
        """Whether it has too few live copies, those of suspended peers included."""
        return self.place < WITHOUT_HASTE

    @property
    def live(self) -> int:
        """Return how many copies counted, as it was last looked at.

        Those at holders that were heard lately; where it is not urgent, at those not suspended.
        """
        return self.place % WITHOUT_HASTE


def repair_key(place: int, number: int) -> bytes:
    """Return the key in ``Space.REPAIR`` of a pin: the most endangered sort first.

    A pin lives as long as one copy does, so what it has to spare is a copy less than its live ones.
    Its place is their number; behind all of those come pins with copies at suspended peers.
    """
    return place.to_bytes(_PLACE_SIZE, "big") + number.to_bytes(_NUMBER_SIZE, "big")


def waiting_pin(key: bytes, value: bytes) -> WaitingPin:
    """Return the pin in a row of ``Space.REPAIR``."""
    return WaitingPin(
        number=int.from_bytes(key[_PLACE_SIZE:], "big"),
        place=int.from_bytes(key[:_PLACE_SIZE], "big"),
        cid=Cid(value),
    )


@dataclass(frozen=True, slots=True)
class RepairTurn:
    """How far repair has come through the queue. Its row has the fields in their order."""

    waiting: int = 0
    """How many pins are in the queue."""
    is_over: bool = False
    """Whether all of them were looked at."""
    after: bytes = b""
    """The last one that was."""
    is_short: bool = False
    """Whether some candidate had had its part already: there is more to do next period."""
    period: int = 0
    """When the turn began."""
    candidates: bytes = b""
    """Who could be given pins when it began: the roster's digest."""

    def with_more(self, key: bytes) -> "RepairTurn":
        """Return this with one more pin in the queue; the turn goes back to it if it must."""
        before = (int.from_bytes(key, "big") - 1).to_bytes(_KEY_SIZE, "big") if any(key) else b""
        after = before if self.is_over else min(self.after, before)
        return replace(self, waiting=self.waiting + 1, is_over=False, after=after)

    def with_less(self) -> "RepairTurn":
        """Return this with one pin less in the queue."""
        return replace(self, waiting=self.waiting - 1) if self.waiting > 1 else RepairTurn()


def repair_turn_to_value(turn: RepairTurn) -> bytes | None:
    """Return the row; ``None`` if nothing waits."""
    if not turn.waiting:
        return None
    return codec.encode(
        [turn.waiting, turn.is_over, turn.after, turn.is_short, turn.period, turn.candidates]
    )


def read_repair_turn(value: bytes | None) -> RepairTurn:
    """Return what a row holds."""
    return RepairTurn() if value is None else RepairTurn(*codec.decode(value))


@dataclass(slots=True, kw_only=True)
class Absence:
    """Whose copies do not count, as nothing was heard of them for long."""

    since_ms: int = 0
    """Before this nobody was heard, as nothing was ordered: no one is held to account for that."""
    peers: set[PeerId] = field(default_factory=set)
    """Each has a row of its own."""

    def set(self, peer: PeerId, *, is_absent: bool) -> bool:
        """Take in whether a peer is absent; return whether that is new."""
        if (peer in self.peers) == is_absent:
            return False
        if is_absent:
            self.peers.add(peer)
        else:
            self.peers.remove(peer)
        return True


class Heard:
    """When each peer was heard last that has joined and is not absent: the longest ago first."""

    def __init__(self) -> None:
        self._times: dict[PeerId, int] = {}

    @property
    def first_ms(self) -> int | None:
        """Return when the first was heard, if there is one."""
        return next(iter(self._times.values()), None)

    def until(self, latest_ms: int) -> list[tuple[int, PeerId]]:
        """Return times and peers of those that were heard by then: it costs what there are."""
        found: list[tuple[int, PeerId]] = []
        for peer, heard_ms in self._times.items():
            if heard_ms > latest_ms:
                break
            found.append((heard_ms, peer))
        return found

    def note(self, peer: PeerId, heard_ms: int) -> None:
        """Note when a peer was heard, 0 if it does not matter: no earlier than any other before."""
        if heard_ms != self._times.get(peer, 0):
            self._times.pop(peer, None)
            if heard_ms:
                self._times[peer] = heard_ms

    def forget(self, peer: PeerId) -> None:
        """Forget a peer."""
        self._times.pop(peer, None)


def absence_key(peer: PeerId) -> bytes:
    """Return the key of the row that says that a peer is absent."""
    return ABSENCE_PREFIX + peer


def absence_to_value(absence: Absence) -> bytes:
    """Return the row that says before when nobody was heard."""
    return codec.encode(absence.since_ms)


def read_absence(store: RowPort) -> Absence:
    """Return what the rows hold."""
    value = store.get(Space.META, ABSENCE_KEY)
    absence = Absence(since_ms=0 if value is None else codec.decode(value))
    for key, _ in scan(store, Space.META, ABSENCE_PREFIX):
        if not key.startswith(ABSENCE_PREFIX):
            break
        absence.peers.add(PeerId(key[len(ABSENCE_PREFIX) :]))
    return absence

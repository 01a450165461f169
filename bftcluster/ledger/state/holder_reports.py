"""What each peer last reported about the pins that everybody keeps, in rows of neighbours.

Such a pin is nobody's duty in particular. Pins are numbered as they come, and a peer reports those
that came together: so a report of a thousand pins rewrites some sixteen rows of its peer, none of
the pins' own, and a new pin none at all. Of pins that are allocated see `duties`.
"""

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Final

from bftcluster import codec
from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state.records import HolderReport
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry

PINS_PER_ROW: Final = 64
"""More make a report of many pins cheaper, fewer a report of one."""
_ENTRY_SIZE: Final = 9
"""Status byte, 0 if nothing was reported, and unix milliseconds in 8 bytes."""
_ENTRIES_SIZE: Final = PINS_PER_ROW * _ENTRY_SIZE
_NOTHING: Final = bytes(_ENTRY_SIZE)
_REPORTS: Final = 1 << 63
"""Added to the numbers of rows: behind those of the peer's duties."""


class _Row:
    """A row's value, to be changed: an entry for each of its pins, then the texts of errors."""

    def __init__(self, value: bytes | None) -> None:
        data = bytes(_ENTRIES_SIZE) if value is None else value
        texts = data[_ENTRIES_SIZE:]
        self._entries = bytearray(data[:_ENTRIES_SIZE])
        self._errors: dict[int, str] = dict(codec.decode(texts)) if texts else {}

    def set(self, number: int, entry: bytes, error: str) -> bool:
        """Say something else about a pin; return whether nothing was said before."""
        place = number % PINS_PER_ROW
        start = place * _ENTRY_SIZE
        is_first = not self._entries[start]
        self._entries[start : start + _ENTRY_SIZE] = entry
        if error:
            self._errors[place] = error
        elif self._errors:
            self._errors.pop(place, None)
        return is_first

    def report(self, number: int, peer: PeerId) -> HolderReport | None:
        """Return what is said about a pin, if anything is."""
        place = number % PINS_PER_ROW
        start = place * _ENTRY_SIZE
        if not self._entries[start]:
            return None
        return HolderReport(
            peer=peer,
            status=HolderStatus(self._entries[start]),
            reported_ms=int.from_bytes(self._entries[start + 1 : start + _ENTRY_SIZE], "big"),
            error=self._errors.get(place, ""),
        )

    def to_value(self) -> bytes | None:
        """Return the row, or ``None`` if it says nothing."""
        if not any(self._entries):
            return None
        texts = codec.encode(sorted(self._errors.items())) if self._errors else b""
        return bytes(self._entries) + texts


def is_full(state: State, peer: PeerId) -> bool:
    """Return whether a peer is in and not light: then it holds what everybody keeps."""
    record = state.peers.get(peer)
    return record is not None and not record.terms.is_light


def full_peers(state: State) -> list[PeerId]:
    """Return who may have reported a pin of everybody's: that reads a row of each."""
    return [peer for peer in state.peers if is_full(state, peer)]


def row_key(peer: PeerId, number: int) -> bytes:
    """Return the key in ``Space.DUTY`` of what a peer says about everybody's pin with a number."""
    return peer + (_REPORTS | number // PINS_PER_ROW).to_bytes(8, "big")


def note(state: State, peer: PeerId, lines: Iterable[tuple[int, ReportEntry]], now_ms: int) -> int:
    """Take down what a peer reported about pins, by their numbers.

    Returns:
        How many bytes of the report are about pins that this peer had said nothing of.
    """
    time = now_ms.to_bytes(8, "big")
    entries = {status: bytes((status,)) + time for status in HolderStatus}
    by_row: dict[int, list[tuple[int, ReportEntry]]] = {}
    for line in lines:
        by_row.setdefault(line[0] // PINS_PER_ROW, []).append(line)
    keys = {row_key(peer, part[0][0]): part for part in by_row.values()}
    state.prefetch((Space.DUTY, key) for key in keys)
    first_bytes = 0
    for key, part in keys.items():
        row = _Row(state.get(Space.DUTY, key))
        for number, entry in part:
            if row.set(number, entries[entry.status], entry.error):
                first_bytes += len(entry.cid) + len(entry.error)
        state.put(Space.DUTY, key, row.to_value())
    return first_bytes


def carry(state: State, number: int, report: HolderReport) -> None:
    """Take down what a peer reported about a pin before everybody was to keep it."""
    key = row_key(report.peer, number)
    row = _Row(state.get(Space.DUTY, key))
    entry = bytes((report.status,)) + report.reported_ms.to_bytes(8, "big")
    row.set(number, entry, report.error)
    state.put(Space.DUTY, key, row.to_value())


def forget(state: State, number: int, peers: Collection[PeerId]) -> None:
    """Forget what these peers reported about a pin."""
    keys = [row_key(peer, number) for peer in peers]
    state.prefetch((Space.DUTY, key) for key in keys)
    for key in keys:
        value = state.get(Space.DUTY, key)
        if value is not None:
            row = _Row(value)
            row.set(number, _NOTHING, "")
            state.put(Space.DUTY, key, row.to_value())


def forget_all(state: State, peer: PeerId, rows_max: int) -> bool:
    """Forget what a peer reported, up to a number of rows; return whether that was all."""
    start = peer + (_REPORTS - 1).to_bytes(8, "big")
    if not any(key.startswith(peer) for key, _ in state.after(Space.DUTY, start, 1)):
        return True
    rows = state.after(Space.DUTY, start, rows_max)
    own = [key for key, _ in rows if key.startswith(peer)]
    for key in own:
        state.put(Space.DUTY, key, None)
    return len(own) < rows_max


def of_everybody(state: State, number: int, peers: Collection[PeerId]) -> tuple[HolderReport, ...]:
    """Return what each of ``peers`` last reported about a pin of everybody's, sorted by peer."""
    keys = [row_key(peer, number) for peer in peers]
    state.prefetch((Space.DUTY, key) for key in keys)
    return reports_of(number, peers, partial(state.get, Space.DUTY))


def holders(state: State, number: int) -> tuple[PeerId, ...]:
    """Return which of the peers there are reported to have a pin of everybody's, sorted."""
    reports = of_everybody(state, number, full_peers(state))
    return tuple(report.peer for report in reports if report.status is HolderStatus.PINNED)


def reports_of(
    number: int, peers: Iterable[PeerId], get: Callable[[bytes], bytes | None]
) -> tuple[HolderReport, ...]:
    """Return what each of ``peers`` last reported about a pin, sorted by peer.

    Args:
        number: The pin's.
        peers: Whose reports are wanted.
        get: Reads a row of ``Space.DUTY``.
    """
    rows = ((peer, get(row_key(peer, number))) for peer in sorted(peers))
    reports = (_Row(value).report(number, peer) for peer, value in rows if value is not None)
    return tuple(report for report in reports if report is not None)

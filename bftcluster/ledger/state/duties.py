"""What each peer is to hold, in dense rows of its own: the index from a peer to its pins.

A pin that is allocated has a slot at each of its holders: its place among that peer's duties. Slots
number from 0 without gaps. Where one is given up, the last takes its place, and the pin of the last
is told. So the rows of a peer are as many as its pins need, and its head says how many that is:
whoever has the head and the rows under one state root knows that no pin is missing.

Pins that everybody keeps have no slots: see `holder_reports`.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from bftcluster import codec
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.state.records import HolderReport, with_slot
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.requests import HolderStatus, ReportEntry

DUTIES_PER_ROW: Final = 64
"""More make a report of many pins cheaper, fewer a new pin and a report of one."""
_HEAD: Final = struct.Struct(">QIQQQ")
_ROW: Final = struct.Struct(">BH")
"""How many duties, and how long their CIDs are together."""
_ENTRY: Final = struct.Struct(">BQQQB")
"""Status, 0 if nothing was reported; unix milliseconds of that; the pin's number; its size, 0 if it
is not known; the length of its CID. After all entries come the CIDs, and then texts of errors."""
_REPORT: Final = struct.Struct(">BQ")
"""The first of them: what a report changes."""
_NO_DUTIES: Final = bytes(_HEAD.size)
_EMPTY: Final = _ROW.pack(0, 0)


@dataclass(frozen=True, slots=True)
class DutyHead:
    """How much a peer is to hold. Its row has the fields in their order."""

    version: int = 0
    """Rises with each duty that comes or goes."""
    count: int = 0
    """How many duties: slots 0 to ``count - 1`` are taken."""
    size_bytes: int = 0
    """Of those whose size is known."""
    period: int = 0
    """When it was last given pins that others had lost."""
    repaired_bytes: int = 0
    """How much of them in that period, at least as much for each as `rules.repair` says."""

    def to_value(self) -> bytes:
        """Return the row's value."""
        return _HEAD.pack(
            self.version, self.count, self.size_bytes, self.period, self.repaired_bytes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """A pin that one peer is to hold."""

    number: int
    """The pin's."""
    cid: Cid
    size_bytes: int = 0
    """0 if it is not known."""
    status: HolderStatus | None = None
    """As last reported; None: nothing was."""
    reported_ms: int = 0
    error: str = ""

    def reported(self, report: HolderReport | None) -> "Duty":
        """Return this with what its peer reported of it elsewhere."""
        if report is None:
            return self
        return replace(
            self, status=report.status, reported_ms=report.reported_ms, error=report.error
        )

    def report_of(self, peer: PeerId) -> HolderReport | None:
        """Return what its peer reported, if anything was."""
        if self.status is None:
            return None
        return HolderReport(
            peer=peer, status=self.status, reported_ms=self.reported_ms, error=self.error
        )


def duty_key(peer: PeerId, slot: int) -> bytes:
    """Return the key in ``Space.DUTY`` of the row with this slot; that of the head is the peer."""
    return peer + (slot // DUTIES_PER_ROW).to_bytes(8, "big")


def read_head(value: bytes | None) -> DutyHead:
    """Return the head in a row; who has none has no duties."""
    return DutyHead(*_HEAD.unpack(value or _NO_DUTIES))


def head_of(state: State, peer: PeerId) -> DutyHead:
    """Return how much a peer is to hold."""
    return read_head(state.get(Space.DUTY, peer))


def assign(state: State, peer: PeerId, duty: Duty) -> int:
    """Give a peer one more duty; return its slot. Each new pin does so a few times."""
    head = state.get(Space.DUTY, peer)
    version, slot, size_bytes, period, repaired_bytes = _HEAD.unpack(head or _NO_DUTIES)
    key = duty_key(peer, slot)
    row = state.get(Space.DUTY, key)
    state.put(Space.DUTY, key, _appended(row, duty))
    after = (version + 1, slot + 1, size_bytes + duty.size_bytes, period, repaired_bytes)
    state.put(Space.DUTY, peer, _HEAD.pack(*after))
    return int(slot)


def resize(state: State, peer: PeerId, slot: int, size_bytes: int) -> None:
    """Note how large a duty is, as far as it became known since."""
    key, place = duty_key(peer, slot), slot % DUTIES_PER_ROW
    row = DutyRow(state.get(Space.DUTY, key))
    duty = row.duty(place)
    if duty.size_bytes == size_bytes:
        return
    row.replace(place, replace(duty, size_bytes=size_bytes))
    state.put(Space.DUTY, key, row.to_value())
    head = head_of(state, peer)
    after = head.size_bytes + size_bytes - duty.size_bytes
    _put_head(state, peer, head, count=head.count, size_bytes=after)


def release(state: State, peer: PeerId, slot: int) -> Duty:
    """Take a duty from a peer; return it. The last takes its slot."""
    head = head_of(state, peer)
    last = head.count - 1
    assert 0 <= slot <= last, "slots are dense"
    last_key = duty_key(peer, last)
    last_row = DutyRow(state.get(Space.DUTY, last_key))
    moved = last_row.pop()
    state.put(Space.DUTY, last_key, last_row.to_value())
    released = moved
    if slot != last:
        key, place = duty_key(peer, slot), slot % DUTIES_PER_ROW
        row = DutyRow(state.get(Space.DUTY, key))
        released = row.duty(place)
        row.replace(place, moved)
        state.put(Space.DUTY, key, row.to_value())
        pin = state.get(Space.PIN, moved.cid)
        assert pin is not None, "a duty goes with its pin"
        state.put(Space.PIN, moved.cid, with_slot(pin, peer, slot))
    _put_head(state, peer, head, count=last, size_bytes=head.size_bytes - released.size_bytes)
    return released


def note_repair(state: State, peer: PeerId, period: int, size_bytes: int) -> None:
    """Note that a peer was given so much of what others had lost."""
    head = head_of(state, peer)
    before = head.repaired_bytes if head.period == period else 0
    after = replace(head, period=period, repaired_bytes=before + size_bytes)
    state.put(Space.DUTY, peer, after.to_value())


def note(state: State, peer: PeerId, lines: Iterable[tuple[int, ReportEntry]], now_ms: int) -> int:
    """Take down what a peer reported about its duties, by their slots.

    Returns:
        How many bytes of the report are about duties that this peer had said nothing of.
    """
    by_row: dict[int, list[tuple[int, ReportEntry]]] = {}
    for line in lines:
        by_row.setdefault(line[0] // DUTIES_PER_ROW, []).append(line)
    keys = {duty_key(peer, part[0][0]): part for part in by_row.values()}
    state.prefetch((Space.DUTY, key) for key in keys)
    reports = {status: _REPORT.pack(status, now_ms) for status in HolderStatus}
    first_bytes = 0
    for key, part in keys.items():
        row = DutyRow(state.get(Space.DUTY, key))
        for slot, entry in part:
            if row.report(slot % DUTIES_PER_ROW, reports[entry.status], entry.error):
                first_bytes += len(entry.cid) + len(entry.error)
        state.put(Space.DUTY, key, row.to_value())
    return first_bytes


def report_at(peer: PeerId, slot: int, get: Callable[[bytes], bytes | None]) -> HolderReport | None:
    """Return what a peer last reported about the duty in a slot.

    Args:
        peer: Whose.
        slot: As the pin's row says.
        get: Reads a row of ``Space.DUTY``.
    """
    row = DutyRow(get(duty_key(peer, slot)))
    place = slot % DUTIES_PER_ROW
    return row.duty(place).report_of(peer) if place < len(row) else None


def duties_between(
    peer: PeerId, first: int, end: int, get: Callable[[bytes], bytes | None]
) -> list[Duty]:
    """Return the duties in the slots from ``first`` up to before ``end``, ascending."""
    rows = range(first // DUTIES_PER_ROW, -(-end // DUTIES_PER_ROW))
    found = [DutyRow(get(duty_key(peer, row * DUTIES_PER_ROW))) for row in rows]
    duties = [row.duty(place) for row in found for place in range(len(row))]
    skipped = rows.start * DUTIES_PER_ROW
    return duties[first - skipped : end - skipped]


class DutyRow:
    """A row's value, to be read or changed."""

    def __init__(self, value: bytes | None) -> None:
        data = _EMPTY if value is None else value
        count, cids_size = _ROW.unpack_from(data)
        self._count: int = count
        cids_at = _ROW.size + self._count * _ENTRY.size
        self._entries = bytearray(data[_ROW.size : cids_at])
        self._cids = data[cids_at : cids_at + cids_size]
        texts = data[cids_at + cids_size :]
        self._errors: dict[int, str] = dict(codec.decode(texts)) if texts else {}

    def __len__(self) -> int:
        """Return how many duties it has."""
        return self._count

    def duty(self, place: int) -> Duty:
        """Return one of its duties."""
        fields = _ENTRY.unpack_from(self._entries, place * _ENTRY.size)
        status, reported_ms, number, size_bytes, length = fields
        start = self._cid_at(place)
        return Duty(
            number=number,
            cid=Cid(self._cids[start : start + length]),
            size_bytes=size_bytes,
            status=HolderStatus(status) if status else None,
            reported_ms=reported_ms,
            error=self._errors.get(place, ""),
        )

    def pop(self) -> Duty:
        """Take its last duty."""
        place = self._count - 1
        duty = self.duty(place)
        del self._entries[place * _ENTRY.size :]
        self._cids = self._cids[: self._cid_at(place)]
        self._errors.pop(place, None)
        self._count = place
        return duty

    def replace(self, place: int, duty: Duty) -> None:
        """Put a duty in the place of another."""
        start, end = self._cid_at(place), self._cid_at(place + 1)
        self._cids = self._cids[:start] + duty.cid + self._cids[end:]
        self._entries[place * _ENTRY.size : (place + 1) * _ENTRY.size] = _entry(duty)
        self._set_error(place, duty.error)

    def report(self, place: int, report: bytes, error: str) -> bool:
        """Take down what was reported of a duty; return whether nothing was before."""
        start = place * _ENTRY.size
        is_first = not self._entries[start]
        self._entries[start : start + _REPORT.size] = report
        self._set_error(place, error)
        return is_first

    def to_value(self) -> bytes | None:
        """Return the row, or ``None`` if it has no duties."""
        if not self._count:
            return None
        texts = codec.encode(sorted(self._errors.items())) if self._errors else b""
        head = _ROW.pack(self._count, len(self._cids))
        return b"".join((head, self._entries, self._cids, texts))

    def _cid_at(self, place: int) -> int:
        """Return where the CID of a place begins: behind those before, whose lengths are known."""
        end = place * _ENTRY.size
        return sum(self._entries[_ENTRY.size - 1 : end : _ENTRY.size])

    def _set_error(self, place: int, error: str) -> None:
        if error:
            self._errors[place] = error
        elif self._errors:
            self._errors.pop(place, None)


def _appended(value: bytes | None, duty: Duty) -> bytes:
    """Return a row with one more duty."""
    data = _EMPTY if value is None else value
    count, cids_size = _ROW.unpack_from(data)
    assert count < DUTIES_PER_ROW, "a row has its bound"
    cids_at = _ROW.size + count * _ENTRY.size
    texts_at = cids_at + cids_size
    texts = data[texts_at:]
    if duty.error:
        errors = [*(codec.decode(texts) if texts else ()), (count, duty.error)]
        texts = codec.encode(errors)
    return b"".join(
        (
            _ROW.pack(count + 1, cids_size + len(duty.cid)),
            data[_ROW.size : cids_at],
            _entry(duty),
            data[cids_at:texts_at],
            duty.cid,
            texts,
        )
    )


def _entry(duty: Duty) -> bytes:
    return _ENTRY.pack(
        duty.status or 0, duty.reported_ms, duty.number, duty.size_bytes, len(duty.cid)
    )


def _put_head(state: State, peer: PeerId, head: DutyHead, *, count: int, size_bytes: int) -> None:
    """Set a head after a change; one without duties is kept as long as its peer is admitted."""
    after = replace(head, version=head.version + 1, count=count, size_bytes=size_bytes)
    is_kept = count > 0 or peer in state.peers
    state.put(Space.DUTY, peer, after.to_value() if is_kept else None)

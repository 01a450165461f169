"""The rows of ``Space.BEACON``: what has changed is written, and all is read when a ledger opens.

Keys are a word, a slash, and numbers of 8 bytes: of the ceremony, then of dealer and holder.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final, assert_never

from bftcluster import codec
from bftcluster.ids import ClusterId, Digest, Epoch, Seq
from bftcluster.ledger.state.beacon_state import (
    BeaconState,
    HeardPartial,
    HolderGroup,
    OpenCeremony,
)
from bftcluster.signing.threshold.dealings import Ceremony, Dealing
from bftcluster.signing.threshold.group_key import GroupKey
from bftcluster.signing.threshold.share_key import Registration
from bftcluster.signing.threshold.transcript import Transcript

Row = tuple[bytes, bytes]
Unencoded = int | bytes | Dealing | HeardPartial | HolderGroup | OpenCeremony

_CEREMONIES: Final = b"ceremonies"
_OPEN: Final = b"open"
_GROUP: Final = b"group/"
_DEALING: Final = b"dealing/"
_COMPLAINT: Final = b"complaint/"
_PARTIAL: Final = b"partial/"
_DRAWN: Final = b"drawn/"
_NUMBER_SIZE_BYTES: Final = 8
_HEARD: Final = b"\x01"


def changes(before: BeaconState, after: BeaconState) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the rows that differ, with what they are to be; ``None``: there is to be none."""
    was, becomes = dict(_unencoded(before)), dict(_unencoded(after))
    for key in sorted(was.keys() - becomes.keys()):
        yield key, None
    for key in sorted(becomes):
        if was.get(key) != becomes[key]:
            yield key, _encoded(becomes[key])


def _unencoded(beacon: BeaconState) -> Iterator[tuple[bytes, Unencoded]]:
    """Yield every row, with what is to be encoded only where it is another one than before."""
    if beacon.ceremonies:
        yield _CEREMONIES, beacon.ceremonies
    if beacon.open is not None:
        yield from _open(beacon.open)
    for group in beacon.groups:
        yield _GROUP + _key(group.number), replace(group, dealings=())
        yield from _dealings(group.number, group.dealings)
    for each in beacon.partials:
        yield _PARTIAL + _key(each.group, each.holder), each
    for period, value in beacon.drawn:
        yield _DRAWN + _key(period), value


def _open(opened: OpenCeremony) -> Iterator[tuple[bytes, Unencoded]]:
    transcript = opened.transcript
    bare = replace(transcript, dealings=(), complained=())
    yield _OPEN, replace(opened, transcript=bare)
    yield from _dealings(opened.number, transcript.dealings)
    for dealer, holder in transcript.complained:
        yield _COMPLAINT + _key(opened.number, dealer, holder), _HEARD


def _encoded(row: Unencoded) -> bytes:
    match row:
        case bytes():
            return row
        case int():
            return codec.encode(row)
        case Dealing():
            return row.to_bytes()
        case HeardPartial():
            return codec.encode([row.signature, row.seq, row.digest])
        case HolderGroup():
            return _group_to_value(row)
        case OpenCeremony():
            return _open_to_value(row)
        case _ as unreachable:
            assert_never(unreachable)


def read_beacon(rows: Iterable[Row], cluster_id: ClusterId) -> BeaconState:
    """Return what the rows of ``Space.BEACON`` say, which come in the order of their keys."""
    found: dict[bytes, dict[tuple[int, ...], bytes]] = {}
    for key, value in rows:
        word, slash, rest = key.partition(b"/")
        numbers = tuple(
            int.from_bytes(rest[start : start + _NUMBER_SIZE_BYTES], "big")
            for start in range(0, len(rest), _NUMBER_SIZE_BYTES)
        )
        found.setdefault(word + slash, {})[numbers] = value
    dealings: dict[int, list[Dealing]] = {}
    for (number, _), value in found.get(_DEALING, {}).items():
        dealings.setdefault(number, []).append(Dealing.from_bytes(value))
    ceremonies, opened = found.get(_CEREMONIES, {}).get(()), found.get(_OPEN, {}).get(())
    return BeaconState(
        ceremonies=0 if ceremonies is None else codec.decode(ceremonies),
        open=None
        if opened is None
        else _read_open(opened, cluster_id, dealings, found.get(_COMPLAINT, {})),
        groups=tuple(
            _read_group(value, cluster_id, dealings) for value in found.get(_GROUP, {}).values()
        ),
        partials=tuple(
            _read_partial(number, holder, value)
            for (number, holder), value in found.get(_PARTIAL, {}).items()
        ),
        drawn=tuple((period, value) for (period,), value in found.get(_DRAWN, {}).items()),
    )


def _open_to_value(opened: OpenCeremony) -> bytes:
    transcript = opened.transcript
    return codec.encode(
        [
            _ceremony_to_wire(transcript.ceremony),
            opened.epoch,
            opened.begun_seq,
            opened.begun_ms,
            opened.is_dealt,
            opened.source,
            transcript.dealings_until,
            transcript.complaints_until,
            transcript.left_out,
        ]
    )


def _group_to_value(group: HolderGroup) -> bytes:
    return codec.encode(
        [
            _ceremony_to_wire(group.ceremony),
            group.key.to_bytes(),
            group.since_period,
            group.dealt_ms,
            group.silent,
        ]
    )


def _dealings(number: int, dealings: Iterable[Dealing]) -> Iterator[tuple[bytes, Unencoded]]:
    for dealing in dealings:
        yield _DEALING + _key(number, dealing.dealer), dealing


def _key(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(_NUMBER_SIZE_BYTES, "big") for number in numbers)


def _ceremony_to_wire(ceremony: Ceremony) -> list[object]:
    return [
        ceremony.number,
        ceremony.threshold,
        [holder.to_bytes() for holder in ceremony.holders],
        None if ceremony.source is None else ceremony.source.to_bytes(),
    ]


def _ceremony_from_wire(items: list[Any], cluster_id: ClusterId) -> Ceremony:
    number, threshold, holders, source = items
    return Ceremony(
        cluster_id=cluster_id,
        number=number,
        threshold=threshold,
        holders=tuple(Registration.from_bytes(each) for each in holders),
        source=None if source is None else GroupKey.from_bytes(source),
    )


def _read_open(
    value: bytes,
    cluster_id: ClusterId,
    dealings: dict[int, list[Dealing]],
    complaints: Iterable[tuple[int, ...]],
) -> OpenCeremony:
    ceremony, epoch, begun_seq, begun_ms, is_dealt, source, *ends = codec.decode(value)
    dealings_until, complaints_until, left_out = ends
    read = _ceremony_from_wire(ceremony, cluster_id)
    transcript = Transcript(
        ceremony=read,
        dealings_until=Seq(dealings_until),
        complaints_until=Seq(complaints_until),
        dealings=tuple(dealings.get(read.number, ())),
        complained=tuple((dealer, holder) for _, dealer, holder in complaints),
        left_out=tuple(left_out),
    )
    return OpenCeremony(
        transcript=transcript,
        epoch=Epoch(epoch),
        begun_seq=Seq(begun_seq),
        begun_ms=begun_ms,
        is_dealt=is_dealt,
        source=source,
    )


def _read_partial(group: int, holder: int, value: bytes) -> HeardPartial:
    signature, seq, digest = codec.decode(value)
    return HeardPartial(
        group=group, holder=holder, signature=signature, seq=Seq(seq), digest=Digest(digest)
    )


def _read_group(
    value: bytes, cluster_id: ClusterId, dealings: dict[int, list[Dealing]]
) -> HolderGroup:
    ceremony, key, since_period, dealt_ms, silent = codec.decode(value)
    read = _ceremony_from_wire(ceremony, cluster_id)
    return HolderGroup(
        ceremony=read,
        key=GroupKey.from_bytes(key),
        dealings=tuple(dealings.get(read.number, ())),
        since_period=since_period,
        dealt_ms=dealt_ms,
        silent=silent,
    )

"""The table of every kind of frame between replicas, and parsing them.

A new kind has a class in ``messages``, where its number stands, and one entry here; the type
checker then names every place that has to say what it does with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import ReplicaId
from bftcluster.limits import (
    BATCH_REQUESTS_MAX,
    CERTIFICATE_SIZE_MAX_BYTES,
    FRAME_SIZE_MAX_BYTES,
    LOG_ENTRIES_MAX,
    REQUEST_SIZE_MAX_BYTES,
    VOTE_FRAME_MAX_BYTES,
    VOUCH_VOTES_MAX,
)
from bftcluster.pbft import messages, shapes
from bftcluster.pbft.certificates import CheckpointCertificate
from bftcluster.pbft.messages import Message
from bftcluster.pbft.view_messages import (
    NEW_VIEW,
    VIEW_CHANGE,
    NewView,
    ViewChange,
    parse_signed_view_change,
)
from bftcluster.pbft.votes import Vote, VoteKind

_VOTE_KINDS: Final = {kind.value: kind for kind in VoteKind}


@dataclass(frozen=True, slots=True)
class FrameEntry:
    """One kind of frame."""

    name: str
    """For people."""
    parse: Callable[[ReplicaId, list[Any]], Message]
    """Returns the message in what was decoded, its kind included, of that sender."""
    is_signed: bool = False
    """Whether its sender vouches for it to third parties."""


def kind_of(frame: bytes) -> int | None:
    """Return the kind of a frame by a look at its head; None if it has none, so it will not parse.

    For whoever routes, counts or loses frames. Whether the rest fits it, ``parse_frame`` says.
    """
    return codec.first_number(frame)


def parse_frame(sender: ReplicaId, frame: bytes) -> Message:
    """Return the message in ``frame``. Signatures are not checked.

    Raises:
        MalformedMessageError: Not a message of this protocol.
    """
    value = shapes.tagged(codec.decode(frame, size_max_bytes=FRAME_SIZE_MAX_BYTES))
    entry = PBFT_FRAMES.get(value[0])
    if entry is None:
        raise MalformedMessageError(f"unknown frame kind {value[0]}")
    return entry.parse(sender, value)


def _parse_vote(sender: ReplicaId, value: list[Any]) -> Vote:
    kind, epoch, view, seq, digest, signature = shapes.array(value, 6, "a vote")
    return Vote(
        _VOTE_KINDS[kind],
        shapes.epoch(epoch),
        shapes.view(view),
        shapes.seq(seq),
        shapes.digest(digest),
        sender,
        shapes.signature(signature),
    )


def _parse_view_change(_: ReplicaId, value: list[Any]) -> ViewChange:
    return ViewChange.from_wire(value[1:], with_proofs=True)


def _parse_new_view(_: ReplicaId, value: list[Any]) -> NewView:
    return NewView.from_wire(value[1:])


def _parse_body(_: ReplicaId, value: list[Any]) -> messages.Body:
    _kind, batch = shapes.array(value, 2, "a body")
    return messages.Body(shapes.blob(batch, FRAME_SIZE_MAX_BYTES))


def _parse_requests(_: ReplicaId, value: list[Any]) -> messages.Requests:
    _kind, relayed, requests = shapes.array(value, 3, "requests")
    if type(relayed) is not bool:
        raise MalformedMessageError("relayed or not")
    blobs = shapes.items(requests, BATCH_REQUESTS_MAX, "requests")
    checked = tuple(shapes.blob(request, REQUEST_SIZE_MAX_BYTES) for request in blobs)
    if not all(checked):
        raise MalformedMessageError("a request is not empty")
    return messages.Requests(checked, relayed)


def _parse_status(_: ReplicaId, value: list[Any]) -> messages.Status:
    _kind, epoch, view, target, stable, decided, executed = shapes.array(value, 7, "a status")
    return messages.Status(
        shapes.epoch(epoch),
        shapes.view(view),
        shapes.view(target),
        shapes.seq(stable),
        shapes.seq(decided),
        shapes.seq(executed),
    )


def _parse_fetch_body(_: ReplicaId, value: list[Any]) -> messages.FetchBody:
    _kind, digest = shapes.array(value, 2, "a body fetch")
    return messages.FetchBody(shapes.digest(digest))


def _parse_fetch_entries(_: ReplicaId, value: list[Any]) -> messages.FetchEntries:
    _kind, first, count = shapes.array(value, 3, "an entry fetch")
    return messages.FetchEntries(shapes.seq(first), shapes.counter(count))


def _parse_entries(_: ReplicaId, value: list[Any]) -> messages.Entries:
    _kind, first, entries = shapes.array(value, 3, "log entries")
    blobs = shapes.items(entries, LOG_ENTRIES_MAX, "log entries")
    return messages.Entries(
        shapes.seq(first), tuple(shapes.blob(e, FRAME_SIZE_MAX_BYTES) for e in blobs)
    )


def _parse_stable(_: ReplicaId, value: list[Any]) -> messages.StableCheckpoint:
    _kind, data = shapes.array(value, 2, "a stable checkpoint")
    blob = shapes.blob(data, CERTIFICATE_SIZE_MAX_BYTES)
    return messages.StableCheckpoint(CheckpointCertificate.from_bytes(blob))


def _parse_probe(_: ReplicaId, value: list[Any]) -> messages.Probe:
    _kind, nonce = shapes.array(value, 2, "a probe")
    return messages.Probe(shapes.counter(nonce))


def _parse_vouch(_: ReplicaId, value: list[Any]) -> messages.Vouch:
    _kind, nonce, epoch, horizon, is_sure, votes, change, heard, stable = shapes.array(
        value, 9, "a vouch"
    )
    if type(is_sure) is not bool:
        raise MalformedMessageError("sure or not")
    frames = shapes.items(votes, VOUCH_VOTES_MAX, "votes")
    wish = shapes.blob(change, FRAME_SIZE_MAX_BYTES)
    said_epoch, said_view, said_stable = shapes.array(heard, 3, "what was heard")
    data = shapes.blob(stable, CERTIFICATE_SIZE_MAX_BYTES)
    return messages.Vouch(
        nonce=shapes.counter(nonce),
        epoch=shapes.epoch(epoch),
        horizon=shapes.seq(horizon),
        is_sure=is_sure,
        votes=tuple(shapes.blob(frame, VOTE_FRAME_MAX_BYTES) for frame in frames),
        view_change=parse_signed_view_change(wish) if wish else None,
        heard=(shapes.epoch(said_epoch), shapes.view(said_view), shapes.seq(said_stable)),
        stable=CheckpointCertificate.from_bytes(data) if data else None,
    )


def _parse_follow(_: ReplicaId, value: list[Any]) -> messages.Follow:
    _kind, first, stable = shapes.array(value, 3, "a question of a follower")
    return messages.Follow(shapes.seq(first), shapes.seq(stable))


def _parse_doubt(_: ReplicaId, value: list[Any]) -> messages.Doubt:
    _kind, epoch, view = shapes.array(value, 3, "a doubt")
    return messages.Doubt(shapes.epoch(epoch), shapes.view(view))


PBFT_FRAMES: Final[Mapping[int, FrameEntry]] = {
    VoteKind.PRE_PREPARE.value: FrameEntry("PRE-PREPARE", _parse_vote, is_signed=True),
    VoteKind.PREPARE.value: FrameEntry("PREPARE", _parse_vote, is_signed=True),
    VoteKind.COMMIT.value: FrameEntry("COMMIT", _parse_vote, is_signed=True),
    VoteKind.CHECKPOINT.value: FrameEntry("CHECKPOINT", _parse_vote, is_signed=True),
    VIEW_CHANGE: FrameEntry("VIEW-CHANGE", _parse_view_change, is_signed=True),
    NEW_VIEW: FrameEntry("NEW-VIEW", _parse_new_view, is_signed=True),
    messages.BODY: FrameEntry("body", _parse_body),
    messages.REQUESTS: FrameEntry("requests", _parse_requests),
    messages.STATUS: FrameEntry("status", _parse_status),
    messages.FETCH_BODY: FrameEntry("fetch-body", _parse_fetch_body),
    messages.FETCH_ENTRIES: FrameEntry("fetch-entries", _parse_fetch_entries),
    messages.ENTRIES: FrameEntry("entries", _parse_entries),
    messages.STABLE: FrameEntry("stable", _parse_stable),
    messages.PROBE: FrameEntry("probe", _parse_probe),
    messages.VOUCH: FrameEntry("vouch", _parse_vouch),
    messages.FOLLOW: FrameEntry("follow", _parse_follow),
    messages.DOUBT: FrameEntry("doubt", _parse_doubt),
}
"""By the number that a frame begins with."""
SIGNED: Final = frozenset(kind for kind, entry in PBFT_FRAMES.items() if entry.is_signed)

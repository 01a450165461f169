"""The table of frames of the sync stream: who takes each, how large it may be, how it is read."""

from typing import get_args

import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest, Epoch, Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.pbft.frames import PBFT_FRAMES, kind_of
from bftcluster.sync.frames import (
    AUDIT_HINT,
    SYNC_FRAMES,
    AuditHint,
    DutyHint,
    EpochLinks,
    FetchEpochLinks,
    FetchHints,
    FetchState,
    HandedIn,
    HandIn,
    Question,
    Receiver,
    StateParts,
    SyncMessage,
    parse_sync_frame,
    read_question,
    receiver_of,
)
from tests.unit.ledger.world import cid_of
from tests.unit.pbft.test_frames import SAID as SAID_BY_REPLICAS

ROOT = Digest(bytes(32))
SAID: dict[SyncMessage, Receiver] = {
    FetchEpochLinks(Epoch(7)): Receiver.STATE_SERVER,
    EpochLinks((b"link", b"another")): Receiver.EPOCH_SYNC,
    FetchState(
        number=1, root=ROOT, nodes=("", "0f"), rows=((Space.PIN, b"cid"),)
    ): Receiver.STATE_SERVER,
    StateParts(number=1, root=ROOT, nodes=(b"node",), rows=(b"row",)): Receiver.STATE_TRANSFER,
    FetchHints(64): Receiver.RELAY,
    DutyHint(seq=Seq(7), approval=b"approved"): Receiver.LIGHT_PEER,
    AuditHint(number=3, seed=ROOT, cid=cid_of(1), is_pledged=True): Receiver.LIGHT_PEER,
    HandIn(number=3, request=b"a report"): Receiver.RELAY,
    HandedIn(number=3, code=4): Receiver.LIGHT_PEER,
}
QUESTIONS = [message for message in SAID if isinstance(message, Question)]


@pytest.mark.parametrize("message", SAID, ids=lambda message: type(message).__name__)
def test_a_frame_is_taken_and_read_as_the_entry_of_its_kind_says(message: SyncMessage) -> None:
    frame = message.frame()

    assert parse_sync_frame(frame) == message
    assert receiver_of(frame) is SAID[message]


def test_every_kind_of_frame_is_among_them() -> None:
    assert {type(message) for message in SAID} == set(get_args(SyncMessage))
    assert [kind_of(message.frame()) for message in SAID] == list(SYNC_FRAMES)
    assert set(SAID.values()) == set(Receiver) - {Receiver.REPLICA}
    assert len({entry.name for entry in SYNC_FRAMES.values()}) == len(SAID)


def test_no_kind_is_also_one_of_pbft() -> None:
    assert not SYNC_FRAMES.keys() & PBFT_FRAMES.keys()


@pytest.mark.parametrize(
    "frame",
    [*(message.frame() for message in SAID_BY_REPLICAS), b"", b"\x82", codec.encode([99]), b"\x15"],
)
def test_whatever_else_comes_is_for_the_replica(frame: bytes) -> None:
    assert receiver_of(frame) is Receiver.REPLICA
    with pytest.raises(MalformedMessageError):
        parse_sync_frame(frame)


def test_only_questions_are_read_as_questions() -> None:
    assert {type(question) for question in QUESTIONS} == set(get_args(Question))
    for message in SAID:
        if message in QUESTIONS:
            assert read_question(message.frame()) == message
        else:
            with pytest.raises(MalformedMessageError, match="not a question"):
                read_question(message.frame())


@pytest.mark.parametrize("message", SAID, ids=lambda message: type(message).__name__)
def test_a_frame_of_one_kind_is_not_read_as_another(message: SyncMessage) -> None:
    for other in SAID:
        if other != message:
            with pytest.raises(MalformedMessageError):
                type(message).from_frame(other.frame())
    items = codec.decode(message.frame())
    for kind in (0, 99, True, b""):
        with pytest.raises(MalformedMessageError):
            type(message).from_frame(codec.encode([kind, *items[1:]]))


@pytest.mark.parametrize("kind", SYNC_FRAMES)
def test_a_frame_over_its_bound_is_refused_before_it_is_decoded(kind: int) -> None:
    entry = SYNC_FRAMES[kind]
    frame = codec.encode([kind, b""]).ljust(entry.size_max_bytes + 1, b"\xff")

    with pytest.raises(MalformedMessageError, match=f"at most {entry.size_max_bytes}"):
        parse_sync_frame(frame)


@pytest.mark.parametrize(
    ("cid", "is_pledged"), [(b"\x01", False), (1, False), (cid_of(1), 0)], ids=repr
)
def test_a_hint_of_no_audit_is_refused(cid: object, is_pledged: object) -> None:
    frame = codec.encode([AUDIT_HINT, 3, ROOT, cid, is_pledged])

    with pytest.raises(MalformedMessageError):
        parse_sync_frame(frame)

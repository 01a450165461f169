"""The table of frames has every message of a replica, and a look at a head tells its kind."""

from typing import get_args

import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest, Epoch, ReplicaId, Seq, View
from bftcluster.pbft import messages
from bftcluster.pbft.frames import PBFT_FRAMES, SIGNED, kind_of, parse_frame
from bftcluster.pbft.messages import Message
from bftcluster.pbft.view_messages import NewView, ViewChange
from bftcluster.pbft.votes import Vote, VoteKind
from tests.unit.pbft.builders import checkpoint
from tests.unit.pbft.view_builders import new_view, view_change

ME = ReplicaId(bytes(32))
DIGEST = Digest(bytes(32))
EPOCH, VIEW, SEQ = Epoch(1), View(2), Seq(3)
SAID: list[Message] = [
    *(Vote(kind, EPOCH, VIEW, SEQ, DIGEST, ME, bytes(64)) for kind in VoteKind),
    view_change(1),
    new_view([view_change(voter) for voter in range(3)]),
    messages.Body(b"batch"),
    messages.Requests((b"request",), relayed=True),
    messages.Status(EPOCH, VIEW, VIEW, SEQ, SEQ, SEQ),
    messages.FetchBody(DIGEST),
    messages.FetchEntries(SEQ, 4),
    messages.Entries(SEQ, (b"entry",)),
    messages.StableCheckpoint(checkpoint(10)),
    messages.Probe(5),
    messages.Vouch(
        nonce=5,
        epoch=EPOCH,
        horizon=SEQ,
        is_sure=True,
        votes=(),
        view_change=None,
        heard=(EPOCH, VIEW, SEQ),
        stable=None,
    ),
    messages.Follow(SEQ, SEQ),
    messages.Doubt(EPOCH, VIEW),
]


@pytest.mark.parametrize("message", SAID, ids=lambda message: type(message).__name__)
def test_a_frame_is_parsed_by_the_entry_of_its_kind(message: Message) -> None:
    frame = message.frame()

    assert parse_frame(ME, frame) == message
    assert kind_of(frame) == codec.decode(frame)[0]


def test_every_kind_of_frame_is_among_them() -> None:
    assert {type(message) for message in SAID} == set(get_args(Message))
    assert [kind_of(message.frame()) for message in SAID] == list(PBFT_FRAMES)
    assert len({entry.name for entry in PBFT_FRAMES.values()}) == len(SAID)


def test_signed_are_votes_and_what_changes_views() -> None:
    signed = [message for message in SAID if isinstance(message, Vote | ViewChange | NewView)]

    assert {kind_of(message.frame()) for message in signed} == SIGNED


@pytest.mark.parametrize("kind", [0, 7, 9, 19, 22, 23, 24, 44, 47, 255, 256, -1])
def test_a_kind_that_is_not_in_the_table_is_refused(kind: int) -> None:
    with pytest.raises(MalformedMessageError, match=f"unknown frame kind {kind}"):
        parse_frame(ME, codec.encode([kind, b""]))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x82",
        b"\x82\x18",
        b"\x02\x01",
        b"\xa1\x01\x02",
        b"\x98\x18\x01",
        codec.encode([b"\x01"]),
        codec.encode([-1]),
        codec.encode([256]),
    ],
)
def test_what_begins_with_no_kind_has_none(frame: bytes) -> None:
    assert kind_of(frame) is None

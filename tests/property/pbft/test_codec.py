"""Anything from a peer or a disk is a value or a typed refusal; nothing else escapes."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftcluster import codec
from bftcluster.errors import CorruptRecordError, RemoteProtocolError
from bftcluster.ids import ReplicaId
from bftcluster.pbft import (
    Batch,
    CheckpointCertificate,
    CommitCertificate,
    Evidence,
    LogEntry,
    records,
)
from bftcluster.pbft.certificates import PreparedCertificate
from bftcluster.pbft.frames import parse_frame
from bftcluster.pbft.messages import (
    DOUBT,
    FOLLOW,
    Body,
    Doubt,
    Entries,
    FetchBody,
    FetchEntries,
    Follow,
    Message,
    Probe,
    Requests,
    StableCheckpoint,
    Status,
    Vouch,
)
from bftcluster.pbft.records import parse_record
from bftcluster.pbft.view_messages import parse_new_view_frame, parse_view_change_frame
from bftcluster.pbft.votes import Vote, VoteKind

ME = ReplicaId(bytes(32))
counters = st.integers(0, (1 << 63) - 1)
digests = st.binary(min_size=32, max_size=32)
signatures = st.binary(min_size=64, max_size=64)
signers = st.dictionaries(digests, signatures, max_size=5).map(
    lambda made: tuple(sorted(made.items()))
)
requests = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6, unique=True)
batches = st.builds(Batch, st.integers(1, 1 << 50), requests.map(tuple))
votes = st.builds(
    Vote, st.sampled_from(VoteKind), counters, counters, counters, digests, st.just(ME), signatures
)
commits = st.builds(CommitCertificate, counters, counters, counters, digests, signers)
checkpoints = st.builds(CheckpointCertificate, counters, counters, digests, signers)
prepared = st.builds(
    PreparedCertificate, counters, counters, counters, digests, signatures, signers
)
messages = st.one_of(
    votes,
    st.builds(Body, st.binary(max_size=100)),
    st.builds(Requests, requests.map(tuple), st.booleans()),
    st.builds(Status, counters, counters, counters, counters, counters, counters),
    st.builds(FetchBody, digests),
    st.builds(FetchEntries, counters, counters),
    st.builds(Follow, counters, counters),
    st.builds(Doubt, counters, counters),
    st.builds(Entries, counters, st.lists(st.binary(max_size=50), max_size=5).map(tuple)),
    st.builds(StableCheckpoint, checkpoints),
    st.builds(Probe, counters),
    st.builds(
        Vouch,
        nonce=counters,
        epoch=counters,
        horizon=counters,
        is_sure=st.booleans(),
        votes=st.lists(st.binary(max_size=50), max_size=2).map(tuple),
        view_change=st.none(),
        heard=st.tuples(counters, counters, counters),
        stable=st.none() | checkpoints,
    ),
)
log_records = st.one_of(
    st.builds(records.Voted, st.sampled_from(VoteKind), counters, counters, counters, digests),
    st.builds(records.BodyKept, counters, st.binary(max_size=100)),
    st.builds(records.ProposalAccepted, counters, counters, counters, digests, signatures),
    st.builds(records.Prepared, prepared),
    st.builds(records.Stable, checkpoints),
    st.builds(records.Started, digests, digests),
    st.builds(records.ViewChanged, st.binary(max_size=100)),
    st.builds(records.ViewEntered, st.binary(max_size=100)),
    st.builds(records.Silenced, counters, st.sampled_from(records.VoteLoss)),
    st.builds(records.Promised, counters, counters),
)
junk = st.recursive(
    st.one_of(st.none(), st.booleans(), counters, digests, signatures, st.binary(max_size=9)),
    lambda inner: st.lists(inner, max_size=8),
    max_leaves=20,
)


@given(messages)
def test_a_frame_parses_to_the_message_it_was_made_from(message: Message) -> None:
    assert parse_frame(ME, message.frame()) == message


@given(log_records)
def test_a_record_parses_to_what_was_written(record: records.Record) -> None:
    assert parse_record(record.to_bytes()) == record


@given(batches)
def test_a_batch_survives_the_wire(batch: Batch) -> None:
    assert Batch.from_bytes(batch.to_bytes()) == batch


@given(st.builds(LogEntry, counters, st.binary(max_size=50), st.binary(max_size=50)))
def test_a_log_entry_survives_the_disk(entry: LogEntry) -> None:
    assert LogEntry.from_bytes(entry.to_bytes()) == entry


@given(st.one_of(commits, checkpoints, prepared))
def test_a_certificate_survives_the_wire(
    certificate: CommitCertificate | CheckpointCertificate | PreparedCertificate,
) -> None:
    assert type(certificate).from_bytes(certificate.to_bytes()) == certificate


PARSERS: list[Callable[[bytes], object]] = [
    lambda data: parse_frame(ME, data),
    parse_record,
    Batch.from_bytes,
    LogEntry.from_bytes,
    Evidence.from_bytes,
    parse_view_change_frame,
    parse_new_view_frame,
    CommitCertificate.from_bytes,
    CheckpointCertificate.from_bytes,
    PreparedCertificate.from_bytes,
]


@pytest.mark.parametrize("parse", PARSERS)
@given(data=st.one_of(st.binary(max_size=200), junk.map(codec.encode)))
def test_any_bytes_are_a_value_or_refused(parse: Callable[[bytes], object], data: bytes) -> None:
    with suppress(RemoteProtocolError, CorruptRecordError):
        parse(data)


@given(
    st.sampled_from([*range(1, 19), FOLLOW, DOUBT]),
    st.lists(st.one_of(counters, digests, signatures, st.booleans(), junk), max_size=13),
)
def test_any_array_with_a_known_kind_is_a_message_or_refused(kind: int, rest: list[object]) -> None:
    with suppress(RemoteProtocolError):
        parse_frame(ME, codec.encode([kind, *rest]))


@given(messages, st.data())
def test_a_frame_with_one_bit_flipped_never_parses_to_the_same_message(
    message: Message, data: st.DataObject
) -> None:
    frame = bytearray(message.frame())
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    try:
        parsed = parse_frame(ME, bytes(frame))
    except RemoteProtocolError:
        return
    assert parsed != message

"""What peers say about audits is bounded, distinct, and worth nothing in another mouth."""

import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ledger.wire.audit_requests import (
    AnswerHash,
    AnswerLine,
    PledgeLine,
    SightLine,
    answer_digest,
    commitment_of,
    link_at,
    make_answer,
    make_attest,
    make_pledge,
)
from bftcluster.ledger.wire.requests import parse_request
from bftcluster.limits import AUDIT_LINES_MAX, AUDIT_PEERS_MAX, AUDITS_ASKED_MAX
from tests.unit.ledger.world import PEERS, World, peer_id

CLUSTER_ID = World().genesis.cluster_id
MARK, DIGEST, SALT = bytes(8), bytes(32), bytes(16)


def pledges(*lines: PledgeLine) -> bytes:
    return make_pledge(PEERS[0], CLUSTER_ID, lines).to_bytes()


def test_a_request_has_a_bounded_number_of_lines_each_about_another_audit_in_order() -> None:
    most = [PledgeLine(number, MARK, DIGEST) for number in range(AUDIT_LINES_MAX)]
    assert parse_request(pledges(*most))

    one = most[0]
    for lines in ([], [one, one], [most[1], one], [*most, PledgeLine(999, MARK, DIGEST)]):
        with pytest.raises(MalformedMessageError):
            pledges(*lines)


@pytest.mark.parametrize(
    "line",
    [
        PledgeLine(-1, MARK, DIGEST),
        PledgeLine(1 << 63, MARK, DIGEST),
        PledgeLine(0, b"", DIGEST),
        PledgeLine(0, MARK, b""),
        PledgeLine(0, MARK, bytes(31)),
    ],
)
def test_a_pledge_is_a_commitment_to_an_audit(line: PledgeLine) -> None:
    with pytest.raises(MalformedMessageError):
        pledges(line)


@pytest.mark.parametrize(("digest", "salt"), [(DIGEST, b""), (b"", SALT), (bytes(3), SALT)])
def test_an_answer_is_a_digest_with_a_salt_or_neither(digest: bytes, salt: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        make_answer(PEERS[0], CLUSTER_ID, [AnswerLine(0, MARK, digest, salt)])


@pytest.mark.parametrize(
    ("asked", "place"), [(0, 0), (AUDITS_ASKED_MAX + 1, 0), (1, -1), (1, AUDIT_PEERS_MAX)]
)
def test_a_sight_is_of_a_suspect_that_there_may_be(asked: int, place: int) -> None:
    with pytest.raises(MalformedMessageError):
        make_attest(PEERS[0], CLUSTER_ID, [SightLine(0, MARK, asked, place, DIGEST)])


def test_lines_of_another_shape_are_none() -> None:
    request = make_pledge(PEERS[0], CLUSTER_ID, [PledgeLine(0, MARK, DIGEST)])
    for lines in ([[0, MARK]], [[0, MARK, 1]], [b"x"], [[True, MARK, DIGEST]]):
        payload = codec.encode([CLUSTER_ID, PEERS[0].public_key, lines])
        data = codec.encode([11, payload, request.signature])
        with pytest.raises(MalformedMessageError):
            parse_request(data)


def test_a_commitment_is_worth_nothing_to_another_peer_or_in_another_audit() -> None:
    mine = commitment_of(b"seed", peer_id(PEERS[0]), DIGEST, SALT)

    assert mine != commitment_of(b"seed", peer_id(PEERS[1]), DIGEST, SALT)
    assert mine != commitment_of(b"other", peer_id(PEERS[0]), DIGEST, SALT)


def test_a_digest_is_over_blocks_and_not_over_their_bytes_alone() -> None:
    assert answer_digest(b"s", [b"ab", b"c"]) != answer_digest(b"s", [b"a", b"bc"])
    assert answer_digest(b"s", [b"ab"]) != answer_digest(b"t", [b"ab"])
    answer = AnswerHash(b"s")
    answer.update(b"ab")
    assert answer.digest() == answer_digest(b"s", [b"ab"])


def test_links_are_drawn_alike() -> None:
    counts = [0] * 7
    for number in range(700):
        counts[link_at(b"%d" % number, 3, 7)] += 1

    assert all(60 < count < 145 for count in counts)

from typing import get_args

import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest
from bftcluster.ledger.wire import requests
from bftcluster.ledger.wire.audit_requests import (
    AnswerLine,
    PledgeLine,
    SightLine,
    make_answer,
    make_attest,
    make_pledge,
)
from bftcluster.ledger.wire.beacon_requests import make_complain, make_contribute, make_deal
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.ledger.wire.request_kinds import RequestKind
from bftcluster.ledger.wire.requests import parse_request
from bftcluster.signing.approvals import approve
from bftcluster.signing.threshold.dealings import deal
from bftcluster.signing.threshold.partials import Partial
from tests.unit.ledger.invitees import departure, redemption
from tests.unit.ledger.world import PEERS, World, cid_of, peer_id
from tests.unit.signing.people import ALICE
from tests.unit.signing.threshold.ceremonies import (
    CURVE,
    ceremony_of,
    complaint_of,
    entropy_of,
    key_of,
)

WORLD = World()
INTENT = WORLD.intent(PinOperation(cid=cid_of(1)))
APPROVAL = approve(INTENT.to_bytes(), ALICE)
SUBMIT = requests.Submit(certificate=WORLD.certificate(INTENT))
REPORT = WORLD.report(PEERS[0], cid_of(1), cid_of(2), free_bytes=1)
CLUSTER_ID = WORLD.genesis.cluster_id
SHARE_KEY = key_of(1).registration(CURVE, peer_id(PEERS[0])).to_bytes()
JOIN = WORLD.join(PEERS[0], tags={"group": "barn"}, registration=SHARE_KEY)
DEALING = deal(CURVE, ceremony_of((1, 2, 3, 4), 2), 1, entropy_of(1))
PARTIAL = Partial(holder=1, signature=bytes(96))
REQUESTS: list[requests.Request] = [
    SUBMIT,
    requests.Propose(intent=INTENT.to_bytes(), approval=APPROVAL),
    requests.Approve(intent_digest=INTENT.digest, approval=APPROVAL),
    requests.Reject(intent_digest=INTENT.digest, approval=APPROVAL),
    REPORT,
    JOIN,
    requests.ReportEvidence(evidence=b"two votes"),
    make_deal(PEERS[0], CLUSTER_ID, DEALING),
    make_complain(PEERS[0], CLUSTER_ID, DEALING, complaint_of(DEALING, 1, 1)),
    make_contribute(PEERS[0], CLUSTER_ID, Digest(bytes(32)), 5, PARTIAL),
    make_pledge(PEERS[0], CLUSTER_ID, [PledgeLine(1, bytes(8), bytes(32))]),
    make_answer(
        PEERS[0],
        CLUSTER_ID,
        [AnswerLine(1, bytes(8), bytes(32), bytes(16)), AnswerLine(2, bytes(8), b"", b"")],
    ),
    make_attest(PEERS[0], CLUSTER_ID, [SightLine(1, bytes(8), 1, 0, b"")]),
    redemption(WORLD, PEERS[5]),
    departure(WORLD, PEERS[0]),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_request_survives_its_encoding(request_: requests.Request) -> None:
    assert parse_request(request_.to_bytes()) == request_


def test_every_kind_of_request_is_among_them() -> None:
    assert {type(request) for request in REQUESTS} == set(get_args(requests.Request))
    assert {codec.decode(request.to_bytes())[0] for request in REQUESTS} == set(RequestKind)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_request_with_an_item_more_or_less_is_none(request_: requests.Request) -> None:
    items = codec.decode(request_.to_bytes())

    for other in (items[:-1], [*items, b""]):
        with pytest.raises(MalformedMessageError):
            parse_request(codec.encode(other))


@pytest.mark.parametrize(
    "items",
    [
        [],
        {},
        [0],
        [7],
        [None],
        [[]],
        [True, b"", "", b"\x01", b""],
        [1, bytes(1 << 17), "", b"\x01", b""],
        [2, "ed25519-multisig", bytes(1 << 17), bytes(32), bytes(64)],
        [3, "ed25519-multisig", bytes(31), bytes(32), bytes(64)],
        [3, "", bytes(32), bytes(32), bytes(64)],
        [3, "x" * 65, bytes(32), bytes(32), bytes(64)],
        [4, "ed25519-multisig", bytes(33), bytes(32), bytes(64)],
        [4, "ed25519-multisig", bytes(32), bytes(31), bytes(64)],
        [5, b"", bytes(64)],
        [6, b"", bytes(64)],
    ],
)
def test_bytes_that_are_no_request_are_refused(items: object) -> None:
    with pytest.raises(MalformedMessageError):
        parse_request(codec.encode(items))


def test_a_request_over_the_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(MalformedMessageError, match="at most 262144"):
        parse_request(bytes(1 << 20))


def announced(request: requests.ReportPinned | requests.Join, index: int, value: object) -> bytes:
    """The request with one item of its payload replaced."""
    kind, payload, signature = codec.decode(request.to_bytes())
    items = codec.decode(payload)
    items[index] = value
    return codec.encode([kind, codec.encode(items), signature])


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (0, b"cluster"),
        (1, b"peer"),
        (2, -1),
        (3, 1 << 63),
        (4, ["text"]),
        (4, [b""]),
        (5, [bytes(129)]),
        (6, [[b"cid"]]),
        (6, [[b"cid", "x" * 129]]),
        (6, [[b"", ""]]),
        (6, [b"cid"]),
    ],
)
def test_a_report_outside_the_limits_is_refused(index: int, value: object) -> None:
    with pytest.raises(MalformedMessageError):
        parse_request(announced(REPORT, index, value))


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (2, 1 << 63),
        (3, "x" * 101),
        (4, ["/ip4/1.2.3.4/tcp/1"] * 17),
        (4, ["1.2.3.4:1"]),
        (4, ["/unix/etc/passwd"]),
        (4, ["/" + "x" * 256]),
        (4, [1]),
        (5, -1),
        (7, [["b", ""], ["a", ""]]),
        (7, [["a", ""], ["a", ""]]),
        (7, [["a", "x" * 65]]),
        (7, [["a", "\x1b[2J"]]),
        (7, [["a"]]),
        (7, [[str(number), ""] for number in range(10, 27)]),
    ],
)
def test_a_join_outside_the_limits_is_refused(index: int, value: object) -> None:
    with pytest.raises(MalformedMessageError):
        parse_request(announced(JOIN, index, value))


def test_a_signature_of_another_size_is_refused() -> None:
    kind, payload, signature = codec.decode(REPORT.to_bytes())

    with pytest.raises(MalformedMessageError, match="63 bytes, not 64"):
        parse_request(codec.encode([kind, payload, signature[1:]]))

from typing import get_args

import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError, UsageError
from bftcluster.ids import Digest, Seq
from bftcluster.ledger.wire.block_tree import PinContents
from bftcluster.ledger.wire.invitation_operations import RevokeInvite
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.operations import (
    EVERYWHERE,
    Operation,
    PinMode,
    PinOperation,
    UnpinOperation,
    label_of,
    parse_operation,
    sorted_metadata,
)
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.ledger.wire.pin_strategy import AgeRule, SetAgeRules
from bftcluster.limits import INVITE_USES_MAX, TIME_MAX_MS
from tests.unit.ledger.invitees import invitation
from tests.unit.ledger.recoveries import recovery_of
from tests.unit.ledger.world import PEERS, TERMS, cid_of, peer_id

CID = cid_of(1)
FULL = PinOperation(
    cid=CID,
    name="a book",
    replication_min=2,
    replication_max=3,
    mode=PinMode.DIRECT,
    metadata=sorted_metadata({"kind": "book", "author": "someone"}),
    user_allocations=(peer_id(PEERS[1]), peer_id(PEERS[0])),
    expire_at_ms=1_800_000_000_000,
    origins=("/ip4/1.2.3.4/tcp/4001/p2p/12D3KooW",),
    pin_update=cid_of(2),
)


ALL_PEERS = PinOperation(cid=CID, replication_min=EVERYWHERE, replication_max=EVERYWHERE)


PEER = peer_id(PEERS[0])
ADMITTED = AdmitPeer(peer=PEER, name="barn", addresses=(), votes=True, terms=TERMS)
CONTENTS = PinContents(size_bytes=100, blocks=2, root=Digest(b"r" * 32))
RECOVERED = recovery_of(executed=Seq(7), coming=(ADMITTED,))
INVITED = invitation()
OPERATIONS = [
    FULL,
    PinOperation(cid=CID),
    PinOperation(cid=CID, contents=CONTENTS),
    ALL_PEERS,
    UnpinOperation(cid=CID),
    ADMITTED,
    RemovePeer(peer=PEER),
    SetAgeRules(rules=(AgeRule(0, 3, 4), AgeRule(86_400_000, 1, 2))),
    RECOVERED,
    INVITED,
    RevokeInvite(key=INVITED.key),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=label_of)
def test_an_operation_survives_its_encoding(operation: Operation) -> None:
    assert parse_operation(operation.to_bytes()) == operation


def test_every_kind_of_operation_is_among_them() -> None:
    assert {type(operation) for operation in OPERATIONS} == set(get_args(Operation))
    assert len(set(map(label_of, OPERATIONS))) == len(get_args(Operation))


@pytest.mark.parametrize("kind", [0, 7, -1, True, b"", None, [1]])
def test_an_unknown_kind_is_malformed(kind: object) -> None:
    with pytest.raises(MalformedMessageError, match="unknown kind"):
        parse_operation(codec.encode([kind, CID]))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"replication_min": -1}, "both be -1"),
        ({"replication_min": -1, "replication_max": 3}, "both be -1"),
        ({"replication_min": -2, "replication_max": 2}, "-1 or from 0 to 1000"),
        ({"replication_min": 1, "replication_max": 1001}, "-1 or from 0 to 1000"),
        ({"replication_min": 3, "replication_max": 2}, "larger than"),
        ({"name": "x" * 256}, "name"),
        ({"expire_at_ms": -1}, "expire at -1"),
        ({"expire_at_ms": 1 << 60}, "expire at"),
        ({"metadata": (("b", ""), ("a", ""))}, "sorted"),
        ({"metadata": (("a", ""), ("a", "x"))}, "distinct"),
        ({"metadata": (("", "x"),)}, "metadata key"),
        ({"metadata": (("a", "x" * 1025),)}, "metadata value"),
        ({"metadata": sorted_metadata({str(n): "" for n in range(65)})}, "64 metadata"),
        ({"user_allocations": (b"short",)}, "no peer id"),
        ({"user_allocations": (bytes(32), bytes(32))}, "distinct"),
        ({"user_allocations": tuple(n.to_bytes(32, "big") for n in range(1001))}, "at most 1000"),
        ({"origins": ("/p2p/x",) * 21}, "at most 20"),
        ({"origins": ("/ip4/1.2.3.4",)}, "names its peer"),
        ({"origins": ("ip4/p2p/x",)}, "names its peer"),
        ({"origins": ("/p2p/" + "x" * 256,)}, "no multiaddr"),
    ],
)
def test_options_that_make_no_sense_are_the_users_fault(options: dict, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        PinOperation(cid=CID, **options)


def wire(index: int, value: object) -> bytes:
    """The full pin operation with one item replaced."""
    items = codec.decode(FULL.to_bytes())
    items[index] = value
    return codec.encode(items)


@pytest.mark.parametrize(
    ("index", "value"),
    [
        (0, 3),
        (0, "pin"),
        (1, b"no cid"),
        (1, b""),
        (2, b"bytes"),
        (3, 4),
        (5, 2),
        (6, [["a"]]),
        (6, [["a", 1]]),
        (6, ["ab"]),
        (7, ["text"]),
        (7, [None]),
        (9, [1]),
        (9, [b"/p2p/x"]),
        (10, b"no cid"),
        (10, None),
    ],
)
def test_on_the_wire_it_is_the_senders_fault(index: int, value: object) -> None:
    with pytest.raises(MalformedMessageError):
        parse_operation(wire(index, value))


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\xa0", codec.encode([2]), codec.encode([2, CID, 1])]
)
def test_bytes_that_are_no_operation_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        parse_operation(data)


def test_a_direct_pin_is_of_one_block() -> None:
    with pytest.raises(UsageError, match="one block"):
        PinOperation(cid=CID, mode=PinMode.DIRECT, contents=CONTENTS)


@pytest.mark.parametrize(
    ("index", "value"),
    [(1, bytes(31)), (2, 0), (2, INVITE_USES_MAX + 1), (3, 0), (3, TIME_MAX_MS + 1), (4, [])],
)
def test_an_invitation_that_makes_no_sense_is_malformed(index: int, value: object) -> None:
    items = codec.decode(INVITED.to_bytes())
    items[index] = value

    with pytest.raises(MalformedMessageError):
        parse_operation(codec.encode(items))


def test_an_invitation_that_grants_nothing_is_malformed() -> None:
    with pytest.raises(MalformedMessageError, match="some capacity"):
        invitation(terms=PeerTerms())

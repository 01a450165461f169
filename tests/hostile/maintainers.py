"""Attacks of one maintainer of three, where two must agree."""

from collections.abc import Iterator
from dataclasses import replace

import httpx

from bftcluster import cid as cids
from bftcluster.ids import Digest, PeerId
from bftcluster.ledger.wire.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.ledger.wire.requests import Approve
from bftcluster.limits import TIME_MAX_MS
from bftcluster.signing.approvals import Approval, Intent, approve, reject
from tests.e2e.cluster import MAINTAINERS
from tests.hostile.arena import Arena, BrokeError, random_bytes
from tests.hostile.attacks import Actor, attack
from tests.hostile.http import post
from tests.hostile.statements import (
    HOUR_MS,
    approve_it,
    intent,
    key,
    maintainer_id,
    pin_intent,
    propose,
    reject_it,
    submit,
)

MAINTAINER = Actor.MAINTAINER
CAROL = MAINTAINERS["carol"]


def _never_committed(codes: list[str]) -> None:
    if "committed" in codes:
        raise BrokeError(f"one maintainer was enough: {sorted(set(codes))}")


def _pass_off(arena: Arena, one: Intent, *signatures: Approval) -> None:
    """Propose ``one``, and hand in as approvals of it what are none."""
    votes = [Approve(intent_digest=one.digest, approval=each).to_bytes() for each in signatures]
    _never_committed(post(arena.standing[0], [propose(one, CAROL), *votes]))


@attack(MAINTAINER, "alone: proposes, and approves its own again and again")
def alone(arena: Arena) -> Iterator[None]:
    one = pin_intent(arena.cluster.genesis, arena.forbid())
    _never_committed(post(arena.standing[0], [propose(one, CAROL), *[approve_it(one, CAROL)] * 5]))
    yield


@attack(MAINTAINER, "alone: a certificate that counts it twice")
def twice(arena: Arena) -> Iterator[None]:
    genesis = arena.cluster.genesis
    one = pin_intent(genesis, arena.forbid())
    alone_bytes = submit(genesis, one, [CAROL])
    both = submit(genesis, one, [CAROL, MAINTAINERS["bob"]])
    one_signature = approve(one.encoded, CAROL).signature
    other = approve(one.encoded, MAINTAINERS["bob"]).signature
    forged = both.replace(other, one_signature)
    _never_committed(post(arena.standing[0], [alone_bytes, forged]))
    yield


@attack(MAINTAINER, "alone: somebody's approval of another intent")
def moved_signature(arena: Arena) -> Iterator[None]:
    genesis = arena.cluster.genesis
    mine, other = pin_intent(genesis, arena.forbid()), pin_intent(genesis, arena.fresh())
    stolen = approve(other.encoded, MAINTAINERS["bob"])
    _pass_off(arena, mine, stolen)
    yield


@attack(MAINTAINER, "alone: somebody's rejection passed off as an approval")
def rejection_as_approval(arena: Arena) -> Iterator[None]:
    one = pin_intent(arena.cluster.genesis, arena.forbid())
    stolen = reject(one.encoded, MAINTAINERS["bob"])
    _pass_off(arena, one, stolen)
    yield


@attack(MAINTAINER, "alone: approvals in another maintainer's name")
def in_the_name_of_others(arena: Arena) -> Iterator[None]:
    one = pin_intent(arena.cluster.genesis, arena.forbid())
    mine = approve(one.encoded, CAROL)
    names = ("alice", "bob")
    _pass_off(arena, one, *(replace(mine, maintainer=maintainer_id(MAINTAINERS[n])) for n in names))
    yield


@attack(MAINTAINER, "alone: an expired approval of two, played again")
def expired(arena: Arena) -> Iterator[None]:
    old = arena.cluster.certificate(_pin(arena), by=("bob", "carol"), expires_in_ms=-HOUR_MS)
    _never_committed(post(arena.standing[0], [old]))
    yield


def _pin(arena: Arena) -> PinOperation:
    return PinOperation(cid=arena.forbid())


@attack(MAINTAINER, "alone: takes back what two have pinned")
def unpins(arena: Arena) -> Iterator[None]:
    genesis, peer = arena.cluster.genesis, arena.standing[0]
    cid = arena.fresh("kept")
    outcome = arena.cluster.submit(arena.cluster.pin(cid), at=peer.index)
    if outcome["code"] != "committed":
        raise BrokeError(f"a pin with two approvals ended with {outcome['code']}")
    one = intent(genesis, UnpinOperation(cid=cid))
    _never_committed(post(peer, [propose(one, CAROL), submit(genesis, one, [CAROL])]))
    answer = httpx.get(f"{peer.url}/allocations/{cids.text(cid)}", timeout=20, trust_env=False)
    if answer.status_code != 200:
        raise BrokeError("what two had pinned is gone")
    yield


@attack(MAINTAINER, "alone: admits a peer of its own and removes another's")
def members(arena: Arena) -> Iterator[None]:
    genesis = arena.cluster.genesis
    newcomer = PeerId(key().public_key)
    admit = intent(genesis, AdmitPeer(peer=newcomer, name="mine", addresses=(), votes=True))
    remove = intent(genesis, RemovePeer(peer=arena.identity(arena.standing[1].index)))
    made = [propose(admit, CAROL), propose(remove, CAROL), submit(genesis, remove, [CAROL])]
    _never_committed(post(arena.standing[0], made))
    yield


@attack(MAINTAINER, "rows: proposes and rejects, a thousand times")
def churns(arena: Arena) -> Iterator[None]:
    genesis = arena.cluster.genesis
    made = []
    for _ in range(1000):
        one = pin_intent(genesis, arena.forbid())
        made += [propose(one, CAROL), reject_it(one, CAROL)]
    _never_committed(post(arena.standing[0], made, timeout_s=30))
    yield


@attack(MAINTAINER, "rows: 300 proposals with 60 kB of metadata")
def heavy(arena: Arena) -> Iterator[None]:
    genesis = arena.cluster.genesis
    metadata = tuple((f"k{n:02}", "v" * 1000) for n in range(55))
    made = [
        propose(pin_intent(genesis, arena.forbid(), metadata=metadata), CAROL) for _ in range(300)
    ]
    _never_committed(post(arena.standing[0], made, timeout_s=30))
    yield


@attack(MAINTAINER, "texts: names that turn a screen over")
def texts(arena: Arena) -> Iterator[None]:
    genesis = arena.cluster.genesis
    names = ("\u202egpj.exe", "\x1b[2J\x1b]0;owned\x07", "a\nb\r\nc", "\x9b2J", "\u200b" * 200)
    made = [propose(pin_intent(genesis, arena.forbid(), name=name), CAROL) for name in names]
    _never_committed(post(arena.standing[0], made))
    answer = httpx.get(f"{arena.standing[0].url}/proposals", timeout=20, trust_env=False)
    if answer.status_code not in (200, 204) or b"\x1b" in answer.content:
        raise BrokeError("the list of proposals holds a control character, or is not to be had")
    yield


@attack(MAINTAINER, "times: for ever, long ago, and under a policy that never was")
def odd_times(arena: Arena) -> Iterator[None]:
    genesis = arena.cluster.genesis
    base = pin_intent(genesis, arena.forbid())
    changes = (
        {"not_before_ms": 0, "expires_ms": 1},
        {"not_before_ms": TIME_MAX_MS - 2, "expires_ms": TIME_MAX_MS - 1},
        {"policy_version": (1 << 62), "policy_hash": Digest(random_bytes(32))},
    )
    made = [propose(intent(genesis, base.operation, **change), CAROL) for change in changes]
    _never_committed(post(arena.standing[0], made))
    yield


@attack(MAINTAINER, "operations: bytes that are none")
def odd_operations(arena: Arena) -> Iterator[None]:
    genesis = arena.cluster.genesis
    bodies = (
        b"",
        b"\x80",
        b"\x81\x18\x63",
        random_bytes(100),
        b"\x82\x01" + b"\x81" * 14 + b"\x00",
    )
    made = [propose(intent(genesis, body), CAROL) for body in bodies]
    _never_committed(post(arena.standing[0], made))
    yield

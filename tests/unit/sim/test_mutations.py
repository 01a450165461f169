"""A liar's small changes: valid signatures, every field, every depth."""

import hashlib
from collections.abc import Callable
from dataclasses import fields, replace
from random import Random

import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest, Epoch, ReplicaId, Seq, View
from bftcluster.pbft import Batch
from bftcluster.pbft.frames import parse_frame
from bftcluster.pbft.messages import Body, Entries, FetchEntries, LogEntry, Message, Status
from bftcluster.pbft.new_view import proposals_of
from bftcluster.pbft.view_messages import Accepted, NewView, ViewChange
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind
from bftcluster.signing.envelope import Domain, is_valid
from bftcluster_sim.cluster.adversary.mutations import mutate, sign_again
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.environment.signatures import SimSigner, SimVerifier, sim_key
from tests.unit.pbft.builders import B, checkpoint, prepared, vote
from tests.unit.pbft.view_builders import new_view, resign, view_change

LIAR = ReplicaId(sim_key(1))
BATCH = Batch(1_000, (b"one", b"two")).to_bytes()
VOTE = vote(VoteKind.PREPARE, 1, seq=3)
STABLE = checkpoint(4)
PROOFS = [prepared(5), prepared(6, B)]
ACCEPTED = (Accepted(Seq(7), View(0), B),)
VIEW_CHANGE = resign(replace(view_change(1, proofs=PROOFS, stable=STABLE), accepted=ACCEPTED))
NEW_VIEW = new_view([view_change(voter, proofs=PROOFS, stable=STABLE) for voter in (0, 1, 2)])
MESSAGES: list[Message] = [
    VOTE,
    VIEW_CHANGE,
    NEW_VIEW,
    Body(BATCH),
    Status(Epoch(0), View(1), View(2), Seq(3), Seq(4), Seq(5)),
    FetchEntries(Seq(1), 4),
    Entries(Seq(1), (LogEntry(Seq(1), BATCH, b"").to_bytes(),)),
]
ids = [type(message).__name__ for message in MESSAGES]


def lies(message: Message, count: int, **options: bool) -> list[Message]:
    """Return what ``count`` mutations of ``message`` say, if anything."""
    found = []
    for seed in range(count):
        random = Random(seed)
        frame = mutate(message.frame(), random, digests=(B,))
        is_mended = options.get("is_mended", False)
        frame = sign_again(frame, SimSigner(LIAR), CLUSTER_ID, is_mended=is_mended)
        try:
            found.append(parse_frame(LIAR, frame))
        except MalformedMessageError:
            assert frame != message.frame()
    return found


def signed_by_the_liar(message: Message) -> bool:
    match message:
        case Vote():
            domain = DOMAINS[message.kind]
        case ViewChange():
            domain = Domain.VIEW_CHANGE
        case NewView():
            domain = Domain.NEW_VIEW
        case _:
            return True
    payload = message.payload(CLUSTER_ID)
    return is_valid(SimVerifier(), domain, LIAR, payload, message.signature)


@pytest.mark.parametrize("message", MESSAGES, ids=ids)
def test_every_field_is_changed_by_some_seed_and_the_signature_is_valid(message: Message) -> None:
    changed = set()
    for lie in lies(message, 600):
        assert signed_by_the_liar(lie)
        if type(lie) is type(message):
            changed |= {f.name for f in fields(lie) if differs(lie, message, f.name)}

    untouchable = {"replica"} if isinstance(message, Vote) else {"signature"}
    assert changed >= {f.name for f in fields(message)} - untouchable


def differs(lie: Message, message: Message, name: str) -> bool:
    return bool(getattr(lie, name) != getattr(message, name))


def test_a_change_is_small() -> None:
    for lie in lies(MESSAGES[4], 200):
        differing = [f.name for f in fields(lie) if differs(lie, MESSAGES[4], f.name)]
        assert len(differing) <= 1


def test_changes_reach_into_certificates_and_batches() -> None:
    proofs = {lie.proofs for lie in lies(VIEW_CHANGE, 600) if isinstance(lie, ViewChange)}
    views = {proof.view for both in proofs for proof in both}
    batches = [codec.decode(lie.batch) for lie in decodable(lies(Body(BATCH), 300))]

    assert views >= {0, 1}
    assert [1_000, 0, [b"one"]] in batches
    assert [1_000, 0, [b"two", b"one"]] in batches
    assert [1_001, 0, [b"one", b"two"]] in batches


def decodable(messages: list[Message]) -> list[Body]:
    bodies = [message for message in messages if isinstance(message, Body)]
    return [body for body in bodies if is_cbor(body.batch)]


def is_cbor(data: bytes) -> bool:
    try:
        codec.decode(data)
    except MalformedMessageError:
        return False
    return True


def test_a_mended_new_view_is_consistent_in_itself() -> None:
    mended = [lie for lie in lies(NEW_VIEW, 300, is_mended=True) if isinstance(lie, NewView)]

    assert {lie.choices for lie in mended} != {NEW_VIEW.choices}
    for lie in mended:
        assert list(lie.voters) == [sha256(c.payload(CLUSTER_ID)) for c in lie.view_changes]
        for proposal in proposals_of(lie):
            payload = proposal.payload(CLUSTER_ID)
            signature = proposal.signature
            assert is_valid(SimVerifier(), Domain.PRE_PREPARE, LIAR, payload, signature)


def sha256(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).digest())


def test_what_nobody_signs_is_left_alone() -> None:
    frames: list[Callable[[], bytes]] = [Body(BATCH).frame, lambda: b"\x82\x01\x02", lambda: b"no"]

    for frame in frames:
        assert sign_again(frame(), SimSigner(LIAR), CLUSTER_ID, is_mended=True) == frame()


def test_a_seed_decides_the_change() -> None:
    assert lies(VIEW_CHANGE, 50) == lies(VIEW_CHANGE, 50)

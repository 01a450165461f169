"""A light peer learns its duties from relays, and believes nothing that they do not prove."""

from bftcluster.cid import Cid
from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Digest, PeerId, Seq
from bftcluster.ledger.state.audit_rows import AuditPhase
from bftcluster.ledger.wire.operations import PinOperation, UnpinOperation
from bftcluster.light.light_memory import LightMemory
from bftcluster.light.light_peer import LOOK_INTERVAL_MS
from bftcluster.limits import AUDITS_PER_PEER_MAX
from bftcluster.pbft.messages import StableCheckpoint
from bftcluster.pbft.verdicts import Verdict
from bftcluster.sync.epoch_sync import ASK_AGAIN_MS
from bftcluster.sync.frames import (
    AuditHint,
    DutyHint,
    FetchState,
    HandedIn,
    HandIn,
    StateParts,
    parse_sync_frame,
)
from bftcluster.sync.sources import ANSWER_TIMEOUT_MS
from tests.unit.ledger.world import PEERS, World, cid_of, genesis_of
from tests.unit.light.relays import RELAYS, LightWorld, certified
from tests.unit.signing.people import ALICE, BOB, CAROL


def pinned(count: int = 150) -> LightWorld:
    """Return a world with so many duties, at a checkpoint."""
    world = LightWorld()
    for number in range(count):
        world.pin(cid_of(number))
    world.checkpoint()
    return world


def test_all_duties_are_proven_from_the_genesis_on() -> None:
    world = pinned()

    world.settle()

    assert len(world.owed()) == 150
    assert sorted(world.peer.book.proven) == world.owed() == sorted(world.desired())
    assert world.peer.proven == world.world.ledger.head.seq
    assert world.peer.record is not None
    assert world.peer.record.joined_ms


def test_a_later_checkpoint_costs_what_changed_only() -> None:
    world = pinned()
    world.settle()
    before = len(world.asked)

    world.world.do(world.world.submit(UnpinOperation(cid=cid_of(7))))
    world.pin(cid_of("new"))
    world.checkpoint()
    world.settle(LOOK_INTERVAL_MS)

    assert sorted(world.peer.book.proven) == world.owed() == sorted(world.desired())
    questions = [parse_sync_frame(frame) for _, frame in world.asked[before:]]
    rows = [key for each in questions if isinstance(each, FetchState) for key in each.rows]
    assert len(rows) <= 4


def test_an_old_answer_to_what_is_new_is_noticed() -> None:
    world = pinned()
    other = pinned(10)

    def of_another_state(frame: bytes, said: list[bytes]) -> list[bytes]:
        question = parse_sync_frame(frame)
        assert isinstance(question, FetchState)
        parts = parse_sync_frame(said[-1])
        if not isinstance(parts, StateParts) or question.root == bytes(32) or not parts.nodes:
            return said
        node = other.world.store.rows()[next(k for k in other.world.store.rows() if k[0] == 64)]
        return [StateParts(number=parts.number, root=parts.root, nodes=(node,), rows=()).frame()]

    world.lies[RELAYS[0]] = of_another_state
    world.settle()

    assert Verdict.WRONG_STATE in world.verdicts
    assert sorted(world.peer.book.proven) == world.owed()


def test_a_row_that_is_not_the_certified_one_is_noticed() -> None:
    world = pinned()

    def forged(_: bytes, said: list[bytes]) -> list[bytes]:
        parts = parse_sync_frame(said[-1])
        assert isinstance(parts, StateParts)
        rows = tuple(b"forged" for _ in parts.rows)
        lie = StateParts(number=parts.number, root=parts.root, nodes=parts.nodes, rows=rows)
        return [*said[:-1], lie.frame()]

    world.lies[RELAYS[0]] = forged
    world.lies[RELAYS[1]] = lambda _, said: said if world.peer.certified else []
    world.settle()
    world.settle(ANSWER_TIMEOUT_MS)

    assert Verdict.WRONG_STATE in world.verdicts
    world.settle(LOOK_INTERVAL_MS)
    assert sorted(world.peer.book.proven) == world.owed()


def test_an_old_checkpoint_does_not_take_the_place_of_a_newer_one() -> None:
    world = pinned()
    old = world.stable
    world.checkpoint()
    world.settle()
    newest = world.peer.certified

    world.stable = old
    world.settle(LOOK_INTERVAL_MS)

    assert world.peer.certified == newest == world.peer.proven


def test_too_few_voters_certify_nothing() -> None:
    world = pinned()
    world.stable = certified(world.world, by=PEERS[:2])

    world.settle()

    assert Verdict.BAD_CERTIFICATE in world.verdicts
    assert world.peer.proven == 0
    assert not world.desired()


def test_a_checkpoint_of_another_cluster_certifies_nothing() -> None:
    world = pinned()
    stranger = World()
    world.stable = certified(
        stranger, root=world.world.ledger.checkpoint_root(), seq=world.world.ledger.head.seq
    )

    world.settle()

    assert world.peer.proven == 0


def test_links_lead_to_the_voters_of_now_also_after_a_restart() -> None:
    world = pinned(3)
    world.settle()
    world.next_epoch()

    world.settle(LOOK_INTERVAL_MS)
    world.settle(ASK_AGAIN_MS)

    assert world.peer.proven == world.world.ledger.head.seq
    world.restart(LightMemory.from_bytes(world.peer.memory.to_bytes()))
    world.pin(cid_of("new"))
    world.checkpoint()
    world.stable = certified(world.world, by=PEERS[:4], epoch=1)
    world.settle(LOOK_INTERVAL_MS)
    assert world.peer.proven == world.world.ledger.head.seq


def test_those_who_voted_before_certify_nothing_of_the_next_epoch() -> None:
    """Their keys may have come into other hands since."""
    world = pinned(3)
    world.next_epoch()
    world.settle()
    world.settle(ASK_AGAIN_MS)
    proven = world.peer.proven

    world.checkpoint()
    world.settle(LOOK_INTERVAL_MS)

    assert Verdict.BAD_CERTIFICATE in world.verdicts
    assert world.peer.proven == proven


def test_approvals_for_another_cluster_are_none() -> None:
    world = pinned(1)
    world.settle()
    world.world.run()
    other = World(genesis_of(nonce=b"n" * 32))
    request = other.submit(PinOperation(cid=cid_of("theirs"))).to_bytes()

    hint = DutyHint(seq=world.world.ledger.head.seq, approval=request)

    assert world.say(hint.frame()) is Verdict.INADMISSIBLE


def test_what_one_relay_withholds_the_other_shows() -> None:
    world = pinned()
    world.settle()
    old = world.stable
    world.pin(cid_of("new"))
    world.checkpoint()
    assert old is not None

    def stale(_: bytes, said: list[bytes]) -> list[bytes]:
        is_shown = len(said) > 1
        return [StableCheckpoint(old).frame(), said[-1]] if is_shown else said

    world.lies[RELAYS[0]] = stale
    world.settle(LOOK_INTERVAL_MS)

    assert cid_of("new") in world.peer.book.proven


def test_a_relay_that_does_not_answer_costs_a_timeout_and_no_more() -> None:
    world = pinned()
    world.deaf.add(RELAYS[0])
    world.settle()
    world.settle(ANSWER_TIMEOUT_MS)
    world.settle(ANSWER_TIMEOUT_MS)

    assert sorted(world.peer.book.proven) == world.owed()


def test_a_hint_with_the_approvals_of_enough_is_a_duty_at_once() -> None:
    world = pinned(1)
    world.settle()

    verdict = world.say(world.hint(cid_of("new")).frame())
    world.settle()

    assert verdict is Verdict.DUPLICATE  # not behind the checkpoint that is proven
    world.world.run()
    assert world.say(world.hint(cid_of("new")).frame()) is Verdict.ACCEPTED
    world.settle()
    assert cid_of("new") in world.desired()


def test_a_hint_without_enough_approvals_is_nothing() -> None:
    world = pinned(1)
    world.settle()
    world.world.run()
    approved = world.hint(cid_of("approved"))
    own = world.world.join(ALICE).to_bytes()

    assert world.say(_forged(world)) is Verdict.INADMISSIBLE
    request = type(approved)(seq=approved.seq, approval=own)
    assert world.say(request.frame()) is Verdict.INADMISSIBLE
    unpin = world.world.submit(UnpinOperation(cid=cid_of(0)), ALICE, BOB).to_bytes()
    assert world.say(type(approved)(seq=approved.seq, approval=unpin).frame()) is (
        Verdict.INADMISSIBLE
    )
    world.settle()
    assert world.desired() == {cid_of(0)}


def _forged(world: LightWorld) -> bytes:
    """Return a hint whose approvals are for something else."""
    from bftcluster.ledger.wire.requests import Submit
    from bftcluster.signing.approvals import ApprovalCertificate

    right = world.world.certificate(world.world.intent(PinOperation(cid=cid_of("a"))))
    other = world.world.intent(PinOperation(cid=cid_of("b"))).to_bytes()
    forged = ApprovalCertificate(
        intent=other, scheme=right.scheme, signers=right.signers, signatures=right.signatures
    )
    hint = world.hint(cid_of("a"))
    return type(hint)(seq=hint.seq, approval=Submit(certificate=forged).to_bytes()).frame()


def test_what_two_checkpoints_do_not_confirm_is_dropped() -> None:
    world = pinned(1)
    world.settle()
    world.world.run()
    world.say(world.hint(cid_of("a lie"), by=(BOB, CAROL)).frame())
    world.say(world.hint(cid_of("far ahead"), seq=1 << 40).frame())
    world.settle()

    world.checkpoint()
    world.settle(LOOK_INTERVAL_MS)
    assert cid_of("a lie") in world.desired()
    world.checkpoint()
    world.settle(LOOK_INTERVAL_MS)

    assert cid_of("a lie") not in world.desired()
    assert cid_of("far ahead") in world.desired()
    while world.world.ledger.head.seq < 600:
        world.checkpoint()
    world.settle(LOOK_INTERVAL_MS)
    world.checkpoint()
    world.settle(LOOK_INTERVAL_MS)
    assert cid_of("far ahead") not in world.desired()


def test_after_a_restart_nothing_is_asked_for_again() -> None:
    world = pinned()
    world.settle()
    world.world.run()
    world.say(world.hint(cid_of("hinted")).frame())
    memory = LightMemory.from_bytes(world.peer.memory.to_bytes())
    before, known = len(world.asked), world.peer.book.cids

    world.restart(memory)
    actions = world.peer.step(world.now_ms)

    assert world.peer.book.cids == known
    assert set(actions.changes.desired) == set(known)
    world.settle()
    questions = [parse_sync_frame(frame) for _, frame in world.asked[before:]]
    assert not any(each.rows for each in questions if isinstance(each, FetchState))


def test_the_memory_of_another_peer_is_none_of_ours() -> None:
    world = pinned(3)
    world.settle()
    kept = world.peer.memory
    stranger = LightMemory(cluster_id=kept.cluster_id, peer=RELAYS[0], duty_rows=kept.duty_rows)

    world.restart(stranger)

    assert world.peer.proven == Seq(0)


def test_requests_are_handed_to_relays_in_turn_and_their_word_comes_back() -> None:
    world = pinned(1)
    first, second = world.peer.hand_in(b"one"), world.peer.hand_in(b"two")
    assert first is not None
    assert second is not None
    sends = world.peer.step(world.now_ms).sends
    took = {parse_sync_frame(f).number: r for r, f in sends if world.read(f) is not None
            and hasattr(parse_sync_frame(f), "request")}  # fmt: skip

    assert set(took.values()) == set(RELAYS)
    other = next(relay for relay in RELAYS if relay != took[first])
    assert world.say(HandedIn(number=first, code=4).frame(), other) is Verdict.UNSOLICITED
    assert world.say(HandedIn(number=first, code=4).frame(), took[first]) is Verdict.ACCEPTED
    assert world.peer.step(world.now_ms).outcomes == (HandedIn(number=first, code=4),)


def test_a_memory_of_another_version_is_refused() -> None:
    try:
        LightMemory.from_bytes(b"\x81\x02")
    except MalformedMessageError:
        return
    raise AssertionError("it was read")


def audit_hint(cid: Cid, number: int = 1, *, is_pledged: bool = False) -> bytes:
    seed = Digest(bytes(32))
    return AuditHint(number=number, seed=seed, cid=cid, is_pledged=is_pledged).frame()


def test_what_it_is_asked_by_one_relay_it_answers_once_at_a_time_and_through_that_relay() -> None:
    world = pinned(1)
    world.settle()
    [cid] = world.owed()
    assert world.say(audit_hint(cid), RELAYS[1]) is Verdict.ACCEPTED
    assert world.say(audit_hint(cid), RELAYS[1]) is Verdict.DUPLICATE
    assert world.say(audit_hint(cid, is_pledged=True), RELAYS[1]) is Verdict.ACCEPTED

    pledging, answering = world.peer.step(world.now_ms).audits

    assert (pledging.challenge.phase, pledging.challenge.cid) == (AuditPhase.PLEDGING, cid)
    assert answering.challenge.phase is AuditPhase.ANSWERING
    assert world.peer.step(world.now_ms).audits == ()
    assert world.peer.hand_in(b"pledge", to=RELAYS[1]) is not None
    assert world.peer.hand_in(b"pledge", to=RELAYS[1]) is not None
    assert world.peer.hand_in(b"pledge", to=PeerId(b"x" * 32)) is None
    frames = world.peer.step(world.now_ms).sends
    assert [r for r, f in frames if isinstance(world.read(f), HandIn)] == [RELAYS[1]] * 2
    world.peer.end_audit(pledging)
    assert world.say(audit_hint(cid), RELAYS[1]) is Verdict.ACCEPTED


def test_an_audit_of_what_is_not_its_duty_is_not_looked_at() -> None:
    world = pinned(1)
    world.settle()

    assert world.say(audit_hint(cid_of("another"))) is Verdict.LATE
    assert world.peer.step(world.now_ms).audits == ()


def test_a_relay_that_makes_audits_up_takes_no_place_of_the_other() -> None:
    world = pinned(1)
    world.settle()
    [cid] = world.owed()
    said = [world.say(audit_hint(cid, n), RELAYS[0]) for n in range(2 * AUDITS_PER_PEER_MAX)]

    assert said.count(Verdict.POOL_FULL) == AUDITS_PER_PEER_MAX
    assert world.say(audit_hint(cid), RELAYS[1]) is Verdict.ACCEPTED

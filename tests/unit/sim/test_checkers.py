"""Each checker on a history that must trip it, and on one that must not."""

import pytest

from bftcluster.cid import Cid, of_block, text
from bftcluster.ids import Digest, Epoch, PeerId, ReplicaId, Seq
from bftcluster.membership import Membership
from bftcluster.pbft import EpochStart
from bftcluster.pbft.certificates import CommitCertificate
from bftcluster.pbft.signatures import Signatures
from bftcluster.pbft.votes import VoteKind
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.environment import checkers
from bftcluster_sim.cluster.environment.signatures import SimVerifier
from tests.unit.pbft.builders import ROOT, checkpoint, members, vote

A, B = Digest(b"a" * 32), Digest(b"b" * 32)
ALICE, BOB = ReplicaId(b"\x01" * 32), ReplicaId(b"\x02" * 32)


def test_two_digests_at_one_sequence_number_are_no_agreement() -> None:
    agreement = checkers.Agreement()

    agreement.on_decided(0, Seq(1), A)
    agreement.on_decided(1, Seq(1), B)

    assert agreement.breaches == ["S1 agreement: 0 and 1 decided 1 as 61616161 and 62626262"]


def test_a_peer_that_decides_otherwise_in_its_next_life_breaks_agreement() -> None:
    agreement = checkers.Agreement()

    agreement.on_decided(0, Seq(1), A)
    agreement.on_decided(0, Seq(1), B)

    assert len(agreement.breaches) == 1


def test_equal_decisions_and_one_batch_at_two_sequence_numbers_agree() -> None:
    agreement = checkers.Agreement()

    for peer in range(3):
        agreement.on_decided(peer, Seq(1), A)
        agreement.on_decided(peer, Seq(2), A)

    assert agreement.breaches == []


@pytest.mark.parametrize("handed_out", [(1, 3), (1, 1), (2,), (1, 2, 1)])
def test_a_gap_or_a_step_back_is_out_of_order(handed_out: tuple[int, ...]) -> None:
    order = checkers.Order()
    order.on_start(0, Seq(0))

    for seq in handed_out:
        order.on_decided(0, Seq(seq))

    assert [breach[:8] for breach in order.breaches] == ["S2 order"]


def test_a_life_goes_on_where_its_ledger_ends() -> None:
    order = checkers.Order()

    order.on_start(0, Seq(0))
    order.on_decided(0, Seq(1))
    order.on_decided(0, Seq(2))
    order.on_start(0, Seq(1))
    order.on_decided(0, Seq(2))
    order.on_start(1, Seq(7))
    order.on_decided(1, Seq(8))

    assert order.breaches == []


def test_what_nobody_asked_for_must_not_take_effect() -> None:
    integrity = checkers.Integrity(asked={b"x"})

    integrity.on_effect(0, Seq(1), b"y")

    assert integrity.breaches == ["S3 integrity: 0 executed what nobody asked for, at 1"]


def test_a_request_must_not_take_effect_twice() -> None:
    integrity = checkers.Integrity(asked={b"x"})

    integrity.on_effect(0, Seq(1), b"x")
    integrity.on_effect(0, Seq(2), b"x")

    assert integrity.breaches == ["S3 integrity: 0 executed at 2 a request of 1"]


def test_a_request_must_not_take_effect_again_behind_a_fetched_state() -> None:
    """Peer 1 never executed batch 1: it has its state from others."""
    integrity = checkers.Integrity(asked={b"x"})

    integrity.on_effect(0, Seq(1), b"x")
    integrity.on_effect(1, Seq(9), b"x")

    assert integrity.breaches == ["S3 integrity: 1 executed at 9 a request of 1"]


def test_a_request_takes_effect_once_on_each_peer_and_again_when_it_was_lost_with_the_state() -> (
    None
):
    integrity = checkers.Integrity(asked={b"x"})

    for peer in (0, 1, 0):
        integrity.on_effect(peer, Seq(1), b"x")

    assert integrity.breaches == []
    assert integrity.has_effect(Seq(1), b"x")
    assert not integrity.has_effect(Seq(0), b"x")
    assert not integrity.has_effect(Seq(1), b"y")


def test_a_correct_key_that_contradicts_itself_is_a_breach_and_a_faulty_one_is_not() -> None:
    honesty = checkers.Honesty()

    honesty.on_audit(culprits=[ALICE], correct=[BOB])
    assert honesty.breaches == []

    honesty.on_audit(culprits=[ALICE, BOB], correct=[BOB])
    assert honesty.breaches == ["S5 honesty: correct 02020202 contradicted itself"]


def test_another_state_after_the_same_batch_is_a_breach() -> None:
    determinism = checkers.Determinism()

    determinism.on_state(0, Seq(1), A)
    determinism.on_state(1, Seq(1), A)
    determinism.on_state(0, Seq(2), B)
    assert determinism.breaches == []

    determinism.on_state(1, Seq(2), A)
    assert determinism.breaches == ["S6 determinism: 1 has another state after 2"]


def durability(answers: list[tuple[int, Digest]]) -> checkers.Durability:
    told = checkers.Durability(lambda _seq: 2)
    for peer, digest in answers:
        told.on_answer(peer, Seq(1), digest)
    return told


@pytest.mark.parametrize("log", [{}, {Seq(1): B}, {Seq(2): A}])
def test_what_a_weak_quorum_answered_must_be_in_every_healed_log(log: dict[Seq, Digest]) -> None:
    told = durability([(0, A), (1, A)])

    told.on_end(2, log, Seq(0))

    assert told.breaches == ["S7 durability: 2 lacks the acknowledged 1"]


@pytest.mark.parametrize(
    "answers", [[(0, A)], [(0, A), (0, A)], [(0, A), (1, B)]], ids=["one", "one twice", "two ways"]
)
def test_fewer_equal_answers_than_a_weak_quorum_promise_nothing(
    answers: list[tuple[int, Digest]],
) -> None:
    told = durability(answers)

    told.on_end(2, {}, Seq(0))

    assert told.breaches == []


def test_an_acknowledged_batch_in_the_log_is_kept_as_promised() -> None:
    told = durability([(0, A), (1, A)])

    told.on_end(2, {Seq(1): A, Seq(2): B}, Seq(0))

    assert told.breaches == []


@pytest.mark.parametrize(("log", "breaches"), [({}, 0), ({Seq(1): A}, 0), ({Seq(1): B}, 1)])
def test_what_a_fetched_state_stands_for_need_not_be_in_the_log_and_must_not_differ(
    log: dict[Seq, Digest], breaches: int
) -> None:
    told = durability([(0, A), (1, A)])

    told.on_end(2, log, Seq(1))

    assert len(told.breaches) == breaches


def test_a_frame_after_a_disk_has_failed_breaks_the_silence() -> None:
    silence = checkers.Silence()

    silence.on_failure(2)
    silence.on_sent(1)
    silence.on_sent(2)

    assert silence.breaches == ["F5 silence: 2 went on after its disk had failed"]


def test_one_who_starts_again_may_speak() -> None:
    silence = checkers.Silence()

    silence.on_failure(2)
    silence.on_start(2)
    silence.on_sent(2)

    assert silence.breaches == []


FIRST, SECOND = members(4), Membership(Epoch(1), tuple(members(6).replicas[2:]))


def discipline() -> checkers.Discipline:
    told = checkers.Discipline(FIRST, Signatures(cluster_id=CLUSTER_ID, verifier=SimVerifier()))
    told.on_named(0, EpochStart(Seq(9), SECOND))
    return told


def certificate(seq: int, epoch: int, *voters: int) -> bytes:
    votes = [vote(VoteKind.COMMIT, voter, seq=seq, epoch=epoch) for voter in voters]
    return CommitCertificate.of(votes).to_bytes()


@pytest.mark.parametrize(
    ("seq", "epoch", "voters"),
    [(8, 0, (0, 1, 2)), (9, 1, (3, 4, 5)), (12, 1, (2, 3, 4, 5))],
)
def test_whoever_owns_a_sequence_number_may_certify_it(
    seq: int, epoch: int, voters: tuple[int, ...]
) -> None:
    told = discipline()

    told.on_decided(0, Seq(seq), certificate(seq, epoch, *voters))

    assert told.breaches == []


@pytest.mark.parametrize(
    ("seq", "epoch", "voters"),
    [
        (8, 0, (0, 1)),
        (8, 1, (2, 3, 4)),
        (9, 0, (0, 1, 2)),
        (9, 0, (2, 3, 1)),
        (9, 1, (1, 2, 3)),
    ],
    ids=["too few", "too early", "too late", "of either epoch", "with one who left"],
)
def test_a_certificate_of_anybody_else_breaks_the_discipline(
    seq: int, epoch: int, voters: tuple[int, ...]
) -> None:
    told = discipline()

    told.on_decided(0, Seq(seq), certificate(seq, epoch, *voters))

    (breach,) = told.breaches
    assert breach.startswith(f"S8 epochs: 0 decided {seq} without its owners: ")


@pytest.mark.parametrize(
    "start",
    [
        EpochStart(Seq(13), SECOND),
        EpochStart(Seq(9), Membership(Epoch(1), members(5).replicas)),
        EpochStart(Seq(13), Membership(Epoch(3), members(5).replicas)),
    ],
    ids=["later", "of others", "after a gap"],
)
def test_ledgers_that_name_different_epochs_break_the_discipline(start: EpochStart) -> None:
    told = discipline()

    told.on_named(1, start)

    epoch = start.membership.epoch
    assert told.breaches == [f"S8 epochs: 1 has another membership in epoch {epoch}"]
    assert told.of(Seq(8)) == FIRST
    assert told.of(Seq(9)) == told.latest == SECOND


def test_a_promise_counts_by_who_owns_the_sequence_number() -> None:
    told = checkers.Durability(lambda seq: 2 if seq < 9 else 3)
    for peer in (0, 1):
        told.on_answer(peer, Seq(8), A)
        told.on_answer(peer, Seq(9), A)

    assert told.acknowledged == {Seq(8): A}


def transfer() -> checkers.Transfer:
    return checkers.Transfer(
        lambda _seq: FIRST, Signatures(cluster_id=CLUSTER_ID, verifier=SimVerifier())
    )


def test_a_state_that_its_owners_certified_may_be_installed() -> None:
    told = transfer()

    told.on_installed(3, Seq(16), ROOT, checkpoint(16).to_bytes())
    told.on_blamed(3, 1, "wrong-state", is_correct=False)

    assert told.breaches == []
    assert told.installed == 1


@pytest.mark.parametrize(
    ("seq", "root", "voters", "breach"),
    [
        (16, B, (0, 1, 2), "S9 transfer: 3 installed another state than that of 16"),
        (20, ROOT, (0, 1, 2), "S9 transfer: 3 installed another state than that of 20"),
        (16, ROOT, (0, 1), "S9 transfer: 3 installed 16 without its owners: "),
    ],
    ids=["another root", "another position", "too few owners"],
)
def test_any_other_state_that_is_installed_is_a_breach(
    seq: int, root: Digest, voters: tuple[int, ...], breach: str
) -> None:
    told = transfer()

    told.on_installed(3, Seq(seq), root, checkpoint(16, voters=voters).to_bytes())

    assert [each[: len(breach)] for each in told.breaches] == [breach]


def test_to_blame_a_correct_source_is_a_breach() -> None:
    told = transfer()

    told.on_blamed(3, 1, "wrong-state", is_correct=True)

    assert told.breaches == ["S9 transfer: 3 blames the correct 1: wrong-state"]


ONE, TWO = of_block(b"one"), of_block(b"two")


def test_to_report_what_is_not_on_the_disk_is_a_breach() -> None:
    replication = checkers.ReplicationChecker()

    replication.on_said(1, ONE, is_kept=True)
    replication.on_said(2, ONE, is_kept=False)

    assert replication.breaches == [f"S10 replication: 2 says that it holds {text(ONE)}"]


def test_to_hold_what_is_owed_and_to_have_said_so_is_none() -> None:
    replication = checkers.ReplicationChecker()

    replication.on_end(1, owed={ONE}, kept={ONE}, reported={ONE, TWO})

    assert replication.breaches == []


@pytest.mark.parametrize(
    ("owed", "kept", "reported", "what"),
    [
        ({ONE, TWO}, {TWO}, {ONE, TWO}, "does not hold"),
        ({TWO}, {ONE, TWO}, {TWO}, "still holds"),
        ({ONE, TWO}, {ONE, TWO}, {TWO}, "has not reported"),
    ],
)
def test_in_the_end_nobody_lacks_or_hides_a_content_or_keeps_one_that_was_dropped(
    owed: set[Cid], kept: set[Cid], reported: set[Cid], what: str
) -> None:
    replication = checkers.ReplicationChecker()

    replication.on_end(1, owed=owed, kept=kept, reported=reported)

    assert replication.breaches == [f"S10 replication: 1 {what} {text(ONE)}"]


def test_proof_without_an_eviction_and_an_eviction_of_the_honest_are_breaches() -> None:
    liar, honest = PeerId(b"l" * 32), PeerId(b"h" * 32)
    standings = checkers.StandingChecker()

    standings.on_end(0, accused={liar}, evicted={liar}, honest={honest})
    assert standings.breaches == []
    standings.on_end(1, accused={liar}, evicted={honest}, honest={honest})

    assert standings.breaches == [
        "S11 standing: 1 has proof against 6c6c6c6c, which stays",
        "S11 standing: 1 has evicted the honest 68686868",
    ]


def test_audits_fail_nobody_honest() -> None:
    audits = checkers.AuditChecker()
    audits.on_end(0, failed={PeerId(bytes(32))}, honest={PeerId(b"\x01" * 32)})
    assert audits.breaches == []

    audits.on_end(0, failed={PeerId(bytes(32))}, honest={PeerId(bytes(32))})
    assert len(audits.breaches) == 1

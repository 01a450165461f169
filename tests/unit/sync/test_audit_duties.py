"""What a peer owes to audits follows from the state and its seed alone."""

from dataclasses import replace

from bftcluster.ids import Epoch, ReplicaId, Seq
from bftcluster.ledger.state.audit_rows import Asked, AuditPhase, Challenge
from bftcluster.ledger.wire.audit_requests import Answer, Attest, Pledge, commitment_of
from bftcluster.ledger.wire.requests import parse_request
from bftcluster.limits import (
    AUDIT_LINES_MAX,
    AUDIT_WINDOW_MIN_MS,
    HANDED_IN_EVERY_MS,
    PERIOD_MIN_MS,
)
from bftcluster.membership import Membership
from bftcluster.signing.keys import SigningKey
from bftcluster.sync.audit_duties import AuditDuties, Sight, gathered_ms
from tests.unit.ledger.world import PEERS, cid_of, genesis_of, peer_id

CLUSTER_ID = genesis_of().cluster_id
VOTERS = Membership(Epoch(0), tuple(ReplicaId(peer_id(peer)) for peer in PEERS[:4]))
ME = peer_id(PEERS[0])
DIGEST = bytes(range(32))


def duties_of(peer: SigningKey) -> AuditDuties:
    return AuditDuties(signer=peer, seed=peer.seed, cluster_id=CLUSTER_ID)


def audit(phase: AuditPhase, *asked: Asked, number: int = 1) -> Challenge:
    return Challenge(
        number=number,
        period=0,
        seed=bytes(32),
        cid=cid_of(1),
        pin_number=0,
        phase=phase,
        until_ms=1,
        asked=asked or (Asked(peer=ME), Asked(peer=peer_id(PEERS[1]))),
        asked_times=1,
    )


def test_what_relays_gather_is_not_late_for_an_audit() -> None:
    assert gathered_ms(genesis_of()) == HANDED_IN_EVERY_MS
    assert gathered_ms(genesis_of(period_ms=PERIOD_MIN_MS)) == AUDIT_WINDOW_MIN_MS // 8


def test_who_restarts_answers_what_it_had_pledged() -> None:
    pledging = audit(AuditPhase.PLEDGING)
    [data] = duties_of(PEERS[0]).answers([(pledging, DIGEST)])
    pledge = parse_request(data)
    assert isinstance(pledge, Pledge)
    answering = replace(pledging, phase=AuditPhase.ANSWERING)

    [data] = duties_of(PEERS[0]).answers([(answering, DIGEST)])

    answer = parse_request(data)
    assert isinstance(answer, Answer)
    [line] = answer.lines
    commitment = commitment_of(pledging.seed, ME, line.digest, line.salt)
    assert pledge.lines[0].commitment == commitment


def test_a_peer_is_asked_until_its_word_is_on_the_log() -> None:
    duties = duties_of(PEERS[0])
    assert duties.is_asked(audit(AuditPhase.PLEDGING))
    pledged = Asked(peer=ME, commitment=DIGEST, word_seq=Seq(1))
    assert not duties.is_asked(audit(AuditPhase.PLEDGING, pledged))
    assert duties.is_asked(audit(AuditPhase.ANSWERING, pledged))
    assert not duties.is_asked(audit(AuditPhase.ANSWERING, Asked(peer=ME)))
    assert not duties.is_asked(audit(AuditPhase.ANSWERING, replace(pledged, digest=DIGEST)))
    assert not duties.is_asked(audit(AuditPhase.PLEDGING, Asked(peer=ME, is_settled=True)))
    assert not duties_of(PEERS[2]).is_asked(audit(AuditPhase.PLEDGING))


def test_a_voter_looks_at_others_that_are_suspects_until_it_has_seen_the_blocks() -> None:
    me = Asked(peer=ME, is_suspect=True)
    other = Asked(peer=peer_id(PEERS[1]), is_suspect=True)
    sighting = audit(AuditPhase.SIGHTING, me, other)
    duties = duties_of(PEERS[0])

    assert duties.sights(sighting, VOTERS) == [Sight(sighting, 1)]
    assert duties_of(PEERS[5]).sights(sighting, VOTERS) == []
    assert duties.sights(replace(sighting, phase=AuditPhase.RESTING), VOTERS) == []
    in_vain = audit(AuditPhase.SIGHTING, me, other.with_sight(ME, b""))
    assert len(duties.sights(in_vain, VOTERS)) == 1
    seen = audit(AuditPhase.SIGHTING, me, other.with_sight(ME, DIGEST))
    assert duties.sights(seen, VOTERS) == []


def test_much_is_said_in_as_few_requests_as_it_fits_in() -> None:
    audits = [audit(AuditPhase.PLEDGING, number=n) for n in range(AUDIT_LINES_MAX + 1)]
    duties = duties_of(PEERS[0])

    pledges = duties.answers([(each, DIGEST) for each in reversed(audits)])

    assert [len(parse_request(data).lines) for data in pledges] == [AUDIT_LINES_MAX, 1]
    lacking = parse_request(*duties.answers([(audits[0], b"")]))
    assert isinstance(lacking, Answer)
    assert lacking.lines[0].is_missing
    seen = parse_request(*duties.attestations([(Sight(audits[0], 1), DIGEST)]))
    assert isinstance(seen, Attest)
    assert (seen.lines[0].asked, seen.lines[0].place) == (1, 1)

"""The threshold approves an invitation once; who has its secret is let in with its terms."""

from dataclasses import replace

import pytest

from bftcluster.ids import Digest, Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.wire.invitation_operations import RevokeInvite
from bftcluster.ledger.wire.member_operations import RemovePeer
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.limits import INVITES_MAX
from bftcluster.reputation import OrderedEvidence, newcomer, terms_of
from tests.unit.ledger.invitees import (
    INVITE_KEY,
    INVITED,
    invitation,
    invited,
    is_in,
    record_of,
    redemption,
)
from tests.unit.ledger.world import GIB, PEERS, World, peer_id, resigned
from tests.unit.signing.people import ALICE, DAY_MS, START_MS, key

NEWCOMER, SECOND = PEERS[5], PEERS[6]


@pytest.fixture
def world() -> World:
    """Four founders, and an invitation for one peer, of a day."""
    world = World()
    assert world.do(world.submit(invitation())).is_accepted
    return world


def test_who_has_the_secret_is_let_in_with_what_was_approved(world: World) -> None:
    outcome = world.do(redemption(world, NEWCOMER))

    assert outcome.code is OutcomeCode.COMMITTED
    record = record_of(world, NEWCOMER)
    assert record.terms == replace(INVITED, capacity_bytes=20 * GIB)
    assert not record.is_replica
    assert invited(world).came == (peer_id(NEWCOMER),)
    assert world.do(world.join(NEWCOMER)).is_accepted


def test_more_room_than_was_approved_does_not_count(world: World) -> None:
    world.do(redemption(world, NEWCOMER, capacity_bytes=900 * GIB))

    assert record_of(world, NEWCOMER).terms.capacity_bytes == 50 * GIB


def test_an_invitation_for_one_lets_in_one(world: World) -> None:
    world.do(redemption(world, NEWCOMER))

    for _ in range(2):
        second = redemption(world, SECOND)
        assert world.do(second).code is OutcomeCode.INVITE_CLOSED
        assert world.verifier.refusal(second.to_bytes()).code is OutcomeCode.INVITE_CLOSED
        world.reopen()
    assert not is_in(world, SECOND)


def test_to_ask_again_uses_nothing_up() -> None:
    world = World()
    world.do(world.submit(invitation(uses=2)))
    first = redemption(world, NEWCOMER)
    world.do(first)

    assert world.do(first).code is OutcomeCode.ALREADY

    assert invited(world).uses_left == 1
    assert world.do(redemption(world, SECOND)).is_accepted


def test_who_left_is_not_let_in_by_what_it_sent_before() -> None:
    world = World()
    world.do(world.submit(invitation(uses=2)))
    first = redemption(world, NEWCOMER)
    world.do(first)
    world.do(world.submit(RemovePeer(peer=peer_id(NEWCOMER))))

    assert world.do(first).code is OutcomeCode.INVITE_CLOSED
    assert not is_in(world, NEWCOMER)


def test_without_the_secret_nobody_is_let_in(world: World) -> None:
    right = redemption(world, NEWCOMER)
    other = redemption(world, NEWCOMER, invite=key("another"))
    forged = replace(right, invite_signature=other.invite_signature)

    assert world.do(forged).code is OutcomeCode.BAD_SIGNATURE
    assert not world.verifier.admissible(forged.to_bytes())
    assert world.do(other).code is OutcomeCode.UNKNOWN_INVITE
    assert not is_in(world, NEWCOMER)


def test_nobody_is_brought_in_whose_key_did_not_sign(world: World) -> None:
    forged = resigned(redemption(world, NEWCOMER), bytes(64))

    assert world.do(forged).code is OutcomeCode.BAD_SIGNATURE


def test_one_maintainer_alone_invites_nobody() -> None:
    world = World()

    proposal = world.propose(world.intent(invitation()), ALICE)

    assert world.do(proposal).code is OutcomeCode.PENDING
    assert world.do(redemption(world, NEWCOMER)).code is OutcomeCode.UNKNOWN_INVITE


def test_nobody_is_let_in_at_the_moment_it_expires(world: World) -> None:
    world.run(after_ms=START_MS + DAY_MS - 1 - world.now_ms)
    assert invited(world).uses_left == 1

    outcome = world.do(redemption(world, NEWCOMER), after_ms=1)

    assert outcome.code is OutcomeCode.UNKNOWN_INVITE
    assert invited(world).uses_left == 1
    world.run(after_ms=DAY_MS)
    assert world.store.get(Space.INVITE, INVITE_KEY) is None
    assert not world.store.iterate(Space.DEADLINE, b"", 10)


def test_who_comes_by_a_revoked_one_is_told(world: World) -> None:
    assert world.do(world.submit(RevokeInvite(key=INVITE_KEY))).is_accepted

    outcome = world.do(redemption(world, NEWCOMER))

    assert outcome.code is OutcomeCode.INVITE_CLOSED
    assert "revoked" in outcome.detail
    again = world.do(world.submit(RevokeInvite(key=INVITE_KEY)))
    assert again.code is OutcomeCode.INVALID_OPERATION


@pytest.mark.parametrize(("is_open", "domain"), [(True, "attic"), (False, "")])
def test_newcomers_say_where_they_are_if_that_was_approved(is_open: bool, domain: str) -> None:
    world = World()
    terms = replace(INVITED, domain="")
    world.do(world.submit(invitation(terms=terms, is_place_open=is_open)))

    world.do(redemption(world, NEWCOMER, domain="attic"))

    assert record_of(world, NEWCOMER).terms.domain == domain


def test_what_the_maintainers_named_is_not_the_newcomers_to_say() -> None:
    world = World()
    world.do(world.submit(invitation(is_place_open=True)))

    world.do(redemption(world, NEWCOMER, domain="attic"))

    assert record_of(world, NEWCOMER).terms.domain == INVITED.domain


def test_there_is_room_for_so_many_invitations() -> None:
    world = World()
    keys = [key(f"invitation {number}").public_key for number in range(INVITES_MAX + 1)]
    invites = [world.submit(replace(invitation(), key=each)) for each in keys]

    outcomes = [outcome.code for request in invites for outcome in world.run(request).outcomes]

    assert set(outcomes[:-1]) == {OutcomeCode.COMMITTED}
    assert outcomes[-1] is OutcomeCode.INVALID_OPERATION


def test_one_that_has_expired_is_not_opened() -> None:
    world = World()

    outcome = world.do(world.submit(invitation(expires_ms=START_MS)))

    assert outcome.code is OutcomeCode.INVALID_OPERATION


def test_who_was_evicted_waits_though_it_is_invited(world: World) -> None:
    proof = OrderedEvidence(digest=Digest(bytes(32)), seq=Seq(1))
    period = world.ledger.head.period
    evicted = newcomer(period, terms_of(world.genesis.period_ms), proof).defrauded(period, proof)
    world.store.flush({(Space.REPUTATION, peer_id(NEWCOMER)): evicted.to_value()})
    world.reopen()
    request = redemption(world, NEWCOMER)

    assert world.verifier.refusal(request.to_bytes()).code is OutcomeCode.EVICTED
    assert world.do(request).code is OutcomeCode.EVICTED
    assert invited(world).uses_left == 1

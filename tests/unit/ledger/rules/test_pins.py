from dataclasses import replace

import pytest

from bftcluster.ids import Digest
from bftcluster.ledger.rules.effects import DropPin, KeepPin
from bftcluster.ledger.state.replication import status_of
from bftcluster.ledger.wire.block_tree import PinContents
from bftcluster.ledger.wire.operations import PinMode, PinOperation, UnpinOperation, sorted_metadata
from bftcluster.ledger.wire.outcomes import OutcomeCode
from tests.unit.ledger.world import GIB, PEERS, World, cid_of, genesis_of, peer_id
from tests.unit.signing.people import ALICE, BOB, CAROL

CID = cid_of(1)
CONTENTS = PinContents(size_bytes=100, blocks=2, root=Digest(b"r" * 32))


def test_an_approved_pin_is_recorded_with_who_approved_it_and_when() -> None:
    world = World()
    metadata = sorted_metadata({"kind": "book", "author": "someone"})

    outcome = world.pin(CID, name="a book", metadata=metadata, origins=("/ip4/1.2.3.4/p2p/Qm",))

    record = world.record(CID)
    assert outcome.code is OutcomeCode.COMMITTED
    assert (record.cid, record.name, record.options.metadata) == (CID, "a book", metadata)
    assert record.approvers == tuple(sorted((ALICE.public_key, BOB.public_key)))
    assert (record.seq, record.timestamp_ms) == (1, world.now_ms)
    assert record.intent_digest == outcome.intent_digest
    assert record.is_everywhere
    assert record.options.origins == ("/ip4/1.2.3.4/p2p/Qm",)


def test_a_pin_makes_one_effect_that_says_all() -> None:
    world = World()

    applied = world.run(world.submit(PinOperation(cid=CID)))

    assert applied.effects == (KeepPin(CID, world.record(CID)),)


def test_an_unpin_removes_the_pin() -> None:
    world = World()
    world.pin(CID)

    applied = world.run(world.submit(UnpinOperation(cid=CID)))

    assert applied.outcomes[0].code is OutcomeCode.COMMITTED
    assert applied.effects == (DropPin(CID),)
    assert world.record(CID) is None
    assert world.ledger.head.pins == 0


def test_unpinning_what_is_not_pinned_is_refused_in_ipfs_clusters_words() -> None:
    outcome = World().do(World().submit(UnpinOperation(cid=CID)))

    assert outcome.code is OutcomeCode.UNKNOWN_PIN
    assert outcome.detail == "pin is not part of the pinset"


def test_a_refused_operation_does_not_use_up_its_intent() -> None:
    world = World()
    unpin = world.submit(UnpinOperation(cid=CID))
    assert not world.do(unpin).is_accepted

    world.pin(CID)

    assert world.do(unpin).code is OutcomeCode.COMMITTED


def test_pinning_again_overwrites_the_options() -> None:
    world = World()
    world.pin(CID, name="old", metadata=(("a", "b"),))

    world.pin(CID, name="new")

    assert world.record(CID).name == "new"
    assert world.record(CID).options.metadata == ()
    assert world.ledger.head.pins == 1


def test_later_requests_of_a_batch_see_what_earlier_ones_did() -> None:
    world = World()
    pin, unpin = PinOperation(cid=CID), UnpinOperation(cid=CID)

    applied = world.run(
        world.submit(unpin), world.submit(pin), world.submit(unpin), world.submit(unpin)
    )

    assert [outcome.is_accepted for outcome in applied.outcomes] == [False, True, True, False]
    assert world.record(CID) is None


def test_a_recursive_pin_does_not_become_direct() -> None:
    world = World()
    world.pin(CID)

    outcome = world.pin(CID, mode=PinMode.DIRECT)

    assert outcome.code is OutcomeCode.INVALID_OPERATION
    assert outcome.detail == "a recursive pin cannot become direct: unpin it first"


def test_a_direct_pin_may_become_recursive() -> None:
    world = World()
    world.pin(CID, mode=PinMode.DIRECT)

    assert world.pin(CID).is_accepted
    assert world.record(CID).options.mode is PinMode.RECURSIVE


def test_a_pin_that_would_have_expired_is_refused() -> None:
    world = World()

    outcome = world.pin(CID, expire_at_ms=world.now_ms + 1)

    assert outcome.code is OutcomeCode.INVALID_OPERATION
    assert "would have expired" in outcome.detail


def test_defaults_come_from_the_genesis() -> None:
    world = World(genesis_of(replication_min=2, replication_max=3))
    world.join_all()

    world.pin(CID)
    world.pin(cid_of(2), replication_max=2)
    world.pin(cid_of(3), replication_min=1)

    ranges = [
        (record.replication_min, record.replication_max, len(record.allocations))
        for record in map(world.record, (CID, cid_of(2), cid_of(3)))
    ]
    assert ranges == [(2, 3, 3), (2, 2, 2), (1, 3, 3)]


@pytest.mark.parametrize(("peers", "copies"), [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_defaults_ask_for_no_more_than_the_peers_there_are(peers: int, copies: int) -> None:
    world = World(genesis_of(peers=PEERS[:peers], replication_min=2, replication_max=3))
    world.join_all()

    assert world.pin(CID).is_accepted

    record = world.record(CID)
    assert len(record.allocations) == copies
    assert (record.replication_min, record.replication_max) == (2, 3)
    for peer in PEERS[: min(2, peers)]:
        world.do(world.report(peer, CID))
    held = status_of(world.record(CID), world.ledger._state.peers.values())
    assert held.needed == min(2, peers)
    assert world.pin(CID, replication_min=peers + 1, replication_max=peers + 1).code is (
        OutcomeCode.NOT_ENOUGH_PEERS
    )


def test_a_pin_by_default_of_one_that_is_there_waits_for_no_second() -> None:
    world = World(genesis_of(peers=PEERS[:1], replication_min=2, replication_max=3))
    world.join_all()
    world.pin(CID)

    world.do(world.report(PEERS[0], CID))

    assert status_of(world.record(CID), world.ledger._state.peers.values()).is_replicated


def test_of_peers_that_have_not_joined_a_default_asks_all_the_same() -> None:
    world = World(genesis_of(replication_min=2, replication_max=3))
    world.do(world.join(PEERS[0]))

    assert world.pin(CID).code is OutcomeCode.NOT_ENOUGH_PEERS


def test_what_is_behind_a_pin_stays_known_until_it_is_said_anew() -> None:
    world = World()
    world.pin(CID, contents=CONTENTS)

    world.pin(CID, name="by its bare CID")
    kept = world.record(CID).options
    other = replace(CONTENTS, size_bytes=8)
    world.pin(CID, contents=other)

    assert (kept.name, kept.contents) == ("by its bare CID", CONTENTS)
    assert world.record(CID).options.contents == other


def test_what_is_behind_one_block_says_nothing_of_what_it_links_to() -> None:
    world = World()
    world.pin(CID, mode=PinMode.DIRECT, contents=replace(CONTENTS, blocks=1))

    world.pin(CID)

    assert world.record(CID).options.contents is None


def test_an_update_has_other_contents_than_what_it_updates() -> None:
    world = World()
    world.pin(CID, contents=CONTENTS)
    other = replace(CONTENTS, size_bytes=8)

    world.pin(cid_of(2), pin_update=CID)
    world.pin(cid_of(3), pin_update=CID, contents=other)

    assert world.record(cid_of(2)).options.contents is None
    assert world.record(cid_of(3)).options.contents == other


@pytest.mark.parametrize(("least", "most"), [(0, 2), (2, 0)])
def test_half_a_default_of_everywhere_is_refused(least: int, most: int) -> None:
    world = World()
    world.join_all()

    outcome = world.pin(CID, replication_min=least, replication_max=most)

    assert outcome.code is OutcomeCode.INVALID_OPERATION
    assert "with the cluster's defaults" in outcome.detail


def test_too_few_peers_are_told_in_ipfs_clusters_words() -> None:
    world = World()
    world.do(world.join(PEERS[0]))

    outcome = world.pin(CID, replication_min=2, replication_max=3)

    assert outcome.code is OutcomeCode.NOT_ENOUGH_PEERS
    assert outcome.detail == (
        "not enough peers to allocate CID. Needed at least: 2. Wanted at most: 3. "
        "Available candidates: 1. Free at the candidates: 1024 MiB."
    )


def test_the_users_choice_of_peers_comes_first() -> None:
    world = World()
    world.join_all()
    chosen = tuple(map(peer_id, PEERS[1:3]))

    for number in range(10):
        world.pin(cid_of(number), replication_min=1, replication_max=2, user_allocations=chosen)

    records = [world.record(cid_of(number)) for number in range(10)]
    assert {record.allocations for record in records} == {tuple(sorted(chosen))}


def test_allocations_stay_when_a_pin_is_updated() -> None:
    world = World()
    world.join_all()
    world.pin(CID, replication_min=2, replication_max=2)
    before = set(world.record(CID).allocations)

    world.pin(CID, replication_min=3, replication_max=3)
    grown = set(world.record(CID).allocations)
    world.pin(CID, replication_min=1, replication_max=4)

    assert before < grown
    assert len(grown) == 3
    assert set(world.record(CID).allocations) == grown


def test_a_pin_from_everywhere_to_some_prefers_those_that_have_it() -> None:
    world = World()
    world.join_all()
    world.pin(CID)
    world.do(world.report(PEERS[3], CID))

    world.pin(CID, replication_min=1, replication_max=1)

    assert world.record(CID).allocations == (peer_id(PEERS[3]),)
    assert world.record(CID).holders == (peer_id(PEERS[3]),)


def test_reports_of_those_who_need_not_hold_it_any_more_are_forgotten() -> None:
    world = World()
    world.join_all()
    world.pin(CID)
    for peer in PEERS[:4]:
        world.do(world.report(peer, CID))

    world.pin(CID, replication_min=1, replication_max=2)

    record = world.record(CID)
    assert record.holders == record.allocations
    assert len(record.holders) == 2


def test_reports_outlive_a_change_of_the_name() -> None:
    world = World()
    world.join_all()
    world.pin(CID)
    world.do(world.report(PEERS[0], CID))

    world.pin(CID, name="named")

    assert world.record(CID).holders == (peer_id(PEERS[0]),)


def test_a_pin_update_copies_options_and_allocations() -> None:
    world = World()
    world.join_all(free_bytes=GIB)
    expiry = world.now_ms + 10**9
    world.pin(CID, name="v1", metadata=(("a", "b"),), replication_min=2, replication_max=2)

    world.pin(cid_of(2), pin_update=CID)
    world.pin(cid_of(3), pin_update=CID, name="v3", expire_at_ms=expiry)

    old, second, third = map(world.record, (CID, cid_of(2), cid_of(3)))
    assert (second.name, second.options.metadata) == ("v1", (("a", "b"),))
    assert second.allocations == third.allocations == old.allocations
    assert (third.name, third.options.expire_at_ms, third.options.pin_update) == ("v3", expiry, CID)


def test_a_pin_update_from_what_is_not_pinned_is_refused() -> None:
    outcome = World().pin(CID, pin_update=cid_of(2))

    assert outcome.code is OutcomeCode.UNKNOWN_PIN
    assert "to update from" in outcome.detail


def test_a_pin_update_from_itself_is_refused() -> None:
    world = World()
    world.pin(CID)

    assert world.pin(CID, pin_update=CID).code is OutcomeCode.INVALID_OPERATION


def test_three_approvals_where_two_suffice_are_all_recorded() -> None:
    world = World()

    world.do(world.submit(PinOperation(cid=CID), ALICE, BOB, CAROL))

    assert len(world.record(CID).approvers) == 3

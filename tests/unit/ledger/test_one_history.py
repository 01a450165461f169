"""One log makes one state: at any peer, after any restarts, whatever had arrived before."""

from collections import Counter
from functools import cache
from pathlib import Path
from random import Random

import pytest

from bftcluster.errors import MalformedMessageError
from bftcluster.ids import Seq
from bftcluster.ledger.ledger import Ledger, genesis_delta
from bftcluster.ledger.rows.spaces import STATE_SPACES
from bftcluster.ledger.rules.effects import KeepPin
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.audit_rows import Grounds
from bftcluster.ledger.wire.requests import parse_request
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.reputation.standing import Cause
from bftcluster.storage.engine import sqlite_url
from bftcluster.storage.ledger_store import LedgerStore
from tests.unit.ledger.hash_seeds import printed_with
from tests.unit.ledger.histories import GUEST, LIAR, LIGHT, VOTERS, History, replayed
from tests.unit.ledger.standing_world import of
from tests.unit.ledger.world import peer_id
from tests.unit.signing.people import VERIFIER

BATCHES_A_STORE = 20
"""How many batches a database is open for."""


@cache
def history() -> History:
    return History().live()


def fingerprint() -> str:
    return replayed(history())


def test_in_that_history_every_rule_had_its_turn() -> None:
    world = history()
    came, silent, aged = world.copies
    effects = [effect for applied in world.applied for effect in applied.effects]
    keeping = [effect for effect in effects if isinstance(effect, KeepPin)]

    assert {of(world, voter).last_change.cause for voter in VOTERS} == {Cause.FOUNDED, Cause.FRAUD}
    assert of(world, LIAR).last_change.cause is Cause.WRONG_DATA
    assert of(world, GUEST).integrity.audits > 0
    assert {each.grounds for each in world.verdicts(LIAR)} == {Grounds.CONTRADICTION}
    assert queries.beacon_of(world.store).last is not None
    assert any(peer_id(LIGHT) in kept.record.allocations for kept in keeping)
    assert queries.peer_of(world.store, peer_id(GUEST)) is None
    assert set(came) == {2, 3}
    assert max(silent) > 3, "repairs"
    assert len(silent) < len(came), "pins expire"
    assert 0 < aged.count(3) < came.count(3), "pins are old"


def test_every_kind_of_request_that_moves_volunteers_was_ordered() -> None:
    kinds: Counter[str] = Counter()
    for batch in history().batches:
        for request in batch.requests:
            try:
                kinds[type(parse_request(request)).__name__] += 1
            except MalformedMessageError:
                kinds["Malformed"] += 1

    assert set(kinds) == {
        "Answer", "Attest", "Contribute", "Deal", "Join", "Leave", "Malformed", "Pledge",
        "Redeem", "ReportEvidence", "ReportPinned", "Submit",
    }  # fmt: skip


def test_a_restart_after_each_batch_changes_nothing() -> None:
    assert replayed(history(), restarts=True) == fingerprint()


@pytest.mark.parametrize("seed", range(3))
def test_neither_do_turns_nor_what_arrived_before_in_which_order(seed: int) -> None:
    assert replayed(history(), random=Random(seed), restarts=seed == 2) == fingerprint()


@pytest.mark.parametrize("seed", ["0", "1"])
def test_nor_does_the_seed_of_hash_tables(seed: str) -> None:
    assert printed_with(seed, fingerprint) == fingerprint()


def test_the_tables_on_a_disk_are_the_same_though_it_is_closed_again_and_again(
    tmp_path: Path,
) -> None:
    genesis, batches = history().genesis, history().batches
    url = sqlite_url(tmp_path / "ledger.db")
    store = LedgerStore.open(url, genesis=genesis.to_bytes())
    store.flush(genesis_delta(genesis), (), Seq(0))
    for number, batch in enumerate(batches, 1):
        verifier = ApprovalVerifier(genesis.cluster_id, VERIFIER)
        executed = Ledger(genesis, store, verifier).execute([batch])
        store.flush(executed.delta, [(batch.seq, b"entry")], batch.seq)
        if number % BATCHES_A_STORE == 0:
            store.close()
            store = LedgerStore.open(url, genesis=genesis.to_bytes())
    rows = {
        (space, key): value
        for space in STATE_SPACES
        for key, value in store.iterate(space, b"", 10_000)
    }
    store.close()

    assert rows == {
        key: value for key, value in history().store.rows().items() if key[0] in STATE_SPACES
    }


def test_it_is_the_same_interpreted_and_compiled_and_on_any_machine() -> None:
    """Pinned: a change here is a change of protocol."""
    assert fingerprint() == "c364297c683c0408"

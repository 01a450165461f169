"""A fetched state grows beside the one in use, and takes its place whole or not at all."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bftcluster.ids import Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.store import Delta
from bftcluster.storage.ledger_store import LedgerStore

GENESIS = b"genesis"
PIN, META = Space.PIN, Space.META
OURS: Delta = {(PIN, b"old"): b"ours", (PIN, b"both"): b"ours", (META, b"head"): b"2"}
THEIRS: Delta = {(PIN, b"both"): b"theirs", (PIN, b"new"): b"theirs", (Space.PEER, b"p"): b"q"}


@pytest.fixture
def store(url: str) -> Iterator[LedgerStore]:
    store = LedgerStore.open(url, genesis=GENESIS)
    store.flush(OURS, [(Seq(1), b"one"), (Seq(2), b"two")], Seq(2))
    yield store
    store.close()


def reopened(store: LedgerStore, url: str) -> LedgerStore:
    store.close()
    return LedgerStore.open(url, genesis=GENESIS)


def rows(store: LedgerStore, space: Space = PIN) -> dict[bytes, bytes]:
    return dict(store.reader.iterate(space, b"", 100))


def test_what_is_staged_is_apart_from_the_state_in_use(store: LedgerStore) -> None:
    store.stage.flush(THEIRS)

    assert rows(store) == {b"old": b"ours", b"both": b"ours"}
    assert store.stage.get(PIN, b"both") == b"theirs"
    assert store.stage.get(PIN, b"old") is None
    assert store.stage.get_many(PIN, [b"old", b"new"]) == {b"new": b"theirs"}
    assert store.stage.iterate(PIN, b"both", 9) == [(b"new", b"theirs")]
    store.stage.flush({(PIN, b"new"): None})
    assert store.stage.get(PIN, b"new") is None


def test_a_state_that_is_not_whole_is_kept_and_not_installed(store: LedgerStore, url: str) -> None:
    store.stage.flush(THEIRS)

    again = reopened(store, url)

    assert again.stage.install() is None
    assert rows(again) == {b"old": b"ours", b"both": b"ours"}
    assert again.stage.get(PIN, b"new") == b"theirs"
    again.close()


def test_a_whole_state_takes_the_place_of_ours(store: LedgerStore, url: str) -> None:
    store.stage.flush({(PIN, b"new"): b"theirs"})
    store.stage.flush(THEIRS, (Seq(8), b"certificate"))

    again = reopened(store, url)
    installed = again.stage.install()

    assert installed == again.position() == 8
    assert rows(again) == {b"both": b"theirs", b"new": b"theirs"}
    assert rows(again, Space.PEER) == {b"p": b"q"}
    assert rows(again, META) == {}
    assert [again.reader.count(space) for space in (META, PIN, Space.PEER)] == [0, 2, 1]
    assert again.reader.checkpoint() == (8, b"certificate")
    assert again.stage.iterate(PIN, b"", 9) == []
    assert again.stage.install() is None
    again.close()


def test_the_log_keeps_its_past_and_goes_on_behind_the_state(store: LedgerStore, url: str) -> None:
    store.stage.flush(THEIRS, (Seq(8), b"certificate"))
    again = reopened(store, url)
    again.stage.install()

    again.flush({}, [(Seq(9), b"nine")], Seq(9))

    assert again.reader.log(Seq(1), 9) == [b"one", b"two"]
    assert again.reader.log(Seq(3), 9) == []
    assert again.reader.log(Seq(9), 9) == [b"nine"]
    again.close()


def test_a_state_that_our_log_has_overtaken_is_given_up(store: LedgerStore, url: str) -> None:
    store.stage.flush(THEIRS, (Seq(2), b"certificate"))
    again = reopened(store, url)

    assert again.stage.install() is None
    assert rows(again) == {b"old": b"ours", b"both": b"ours"}
    assert again.stage.iterate(PIN, b"", 9) == []
    again.close()


def test_what_is_given_up_is_not_installed_later(store: LedgerStore) -> None:
    store.stage.flush(THEIRS, (Seq(8), b"certificate"))

    store.stage.clear()

    assert store.stage.install() is None
    assert store.stage.iterate(PIN, b"", 9) == []
    assert rows(store) == {b"old": b"ours", b"both": b"ours"}


def test_an_installation_that_fails_changes_nothing(
    store: LedgerStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends in the middle, as at a power cut: the next opening does it from the start."""
    store.stage.flush(THEIRS, (Seq(8), b"certificate"))
    again = reopened(store, url)
    monkeypatch.setattr(again.stage, "_upsert_checkpoint", None)

    with pytest.raises(AttributeError):
        again.stage.install()

    assert rows(again) == {b"old": b"ours", b"both": b"ours"}
    assert again.position() == 2
    third = reopened(again, url)
    assert third.stage.install() == 8
    assert rows(third) == {b"both": b"theirs", b"new": b"theirs"}
    third.close()


def test_rows_that_were_cached_before_are_read_anew(store: LedgerStore, url: str) -> None:
    assert store.get(PIN, b"both") == b"ours"
    store.stage.flush(THEIRS, (Seq(8), b"certificate"))
    again = reopened(store, url)

    again.stage.install()

    assert again.get(PIN, b"both") == b"theirs"
    assert again.get(PIN, b"old") is None
    again.close()


def test_a_snapshot_stands_still(store: LedgerStore) -> None:
    with store.reader.snapshot() as snapshot:
        before = snapshot.get(PIN, b"old")
        store.flush({(PIN, b"old"): b"changed", (PIN, b"x"): b"y"}, [(Seq(3), b"three")], Seq(3))

        assert before == snapshot.get(PIN, b"old") == b"ours"
        assert snapshot.get_many(PIN, [b"old", b"x"]) == {b"old": b"ours"}
        assert snapshot.iterate(PIN, b"", 9) == [(b"both", b"ours"), (b"old", b"ours")]
    with store.reader.snapshot() as snapshot:
        assert snapshot.get(PIN, b"old") == b"changed"


def test_a_pruned_log_has_what_is_left(store: LedgerStore, url: str) -> None:
    store.flush({}, [(Seq(seq), b"%d" % seq) for seq in range(3, 11)], Seq(10))

    store.prune_log(Seq(6))

    assert store.reader.log(Seq(5), 9) == []
    assert store.reader.log(Seq(6), 9) == [b"6", b"7", b"8", b"9", b"10"]
    store.prune_log(Seq(-3))
    store.prune_log(Seq(6))
    again = reopened(store, url)
    assert again.position() == 10
    again.flush({}, [(Seq(11), b"11")], Seq(11))
    assert len(again.reader.log(Seq(6), 9)) == 6
    again.close()


def test_a_long_log_is_pruned_in_steps(store: LedgerStore, tmp_path: Path) -> None:
    store.flush({}, [(Seq(seq), b"x") for seq in range(3, 9_001)], Seq(9_000))
    left = []
    for _ in range(3):
        store.prune_log(Seq(8_001))
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
            left += connection.execute("SELECT count(*) FROM log").fetchone()

    assert left == [4_904, 1_000, 1_000]

"""Roots that stay for a while although no pin keeps them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from bftcluster.errors import StorageError, StoreFullError
from bftcluster.node.process.temporary_roots import TemporaryRoots
from tests.unit.ledger.world import cid_of


def test_a_root_stays_until_its_time_is_over(tmp_path: Path):
    roots = TemporaryRoots(tmp_path)
    roots.keep(cid_of(1), until_ms=100, wall_ms=0)

    assert roots.is_kept(cid_of(1), wall_ms=99)
    assert not roots.is_kept(cid_of(1), wall_ms=100)
    assert not roots.is_kept(cid_of(2), wall_ms=0)


def test_a_restart_remembers_and_a_later_end_wins(tmp_path: Path):
    roots = TemporaryRoots(tmp_path)
    roots.keep(cid_of(1), until_ms=200, wall_ms=0)
    roots.keep(cid_of(1), until_ms=100, wall_ms=0)

    assert TemporaryRoots(tmp_path).is_kept(cid_of(1), wall_ms=199)


def test_everything_stays_for_a_while_and_a_restart_remembers_that(tmp_path: Path):
    roots = TemporaryRoots(tmp_path)
    roots.keep(cid_of(1), until_ms=300, wall_ms=0)
    roots.keep_everything(until_ms=200)
    roots.keep_everything(until_ms=100)

    for each in (roots, TemporaryRoots(tmp_path)):
        assert each.is_kept(cid_of(2), wall_ms=199)
        assert not each.is_kept(cid_of(2), wall_ms=200)
        assert each.is_kept(cid_of(1), wall_ms=299)


def test_everything_stays_although_no_more_roots_do_and_the_file_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bftcluster.node.process.temporary_roots.ROOTS_KEPT_MAX", 1)
    roots = TemporaryRoots(tmp_path)
    roots.keep(cid_of(1), until_ms=300, wall_ms=0)
    roots.keep_everything(until_ms=200)

    again = TemporaryRoots(tmp_path)
    again.keep(cid_of(1), until_ms=400, wall_ms=0)

    for each in (again, TemporaryRoots(tmp_path)):
        assert each.is_kept(cid_of(2), wall_ms=199)
        assert not each.is_kept(cid_of(2), wall_ms=200)


def test_everything_does_not_stay_if_the_disk_refuses_to_note_it(tmp_path: Path):
    (tmp_path / "uploads.new").mkdir()
    roots = TemporaryRoots(tmp_path)

    with pytest.raises(StorageError, match="uploads"):
        roots.keep_everything(until_ms=100)

    assert not roots.is_kept(cid_of(1), wall_ms=0)


def lines_in(directory: Path) -> int:
    return len((directory / "uploads").read_text().splitlines())


def test_what_is_over_leaves_the_file_after_a_while(tmp_path: Path):
    roots = TemporaryRoots(tmp_path)
    for number in range(5000):
        roots.keep(cid_of(number), until_ms=number + 10, wall_ms=number)
        assert lines_in(tmp_path) < 1100

    again = TemporaryRoots(tmp_path)
    assert all(again.is_kept(cid_of(number), wall_ms=4999) for number in range(4990, 5000))


def test_the_file_is_seldom_written_again_and_never_grows_far_beyond_what_it_holds(tmp_path: Path):
    roots = TemporaryRoots(tmp_path)
    rewritten, before = 0, 0
    for number in range(6000):
        roots.keep(cid_of(number % 3000), until_ms=100 + number, wall_ms=0)
        lines = lines_in(tmp_path)
        assert lines < 2 * 3000 + 1000
        rewritten += lines <= before
        before = lines

    assert rewritten < 5


def fail_while_kept(roots: TemporaryRoots, number: int, meanwhile: Callable[[], None]) -> None:
    with suppress(StoreFullError), roots.keeping(cid_of(number), until_ms=100, wall_ms=0):
        meanwhile()
        raise StoreFullError("it does not fit")


def test_what_failed_is_not_kept_for_it(tmp_path: Path):
    roots = TemporaryRoots(tmp_path)
    roots.keep(cid_of(1), until_ms=50, wall_ms=0)

    for number in (1, 2):
        fail_while_kept(roots, number, lambda: None)

    assert roots.is_kept(cid_of(1), wall_ms=49)
    assert not roots.is_kept(cid_of(1), wall_ms=50)
    assert not roots.is_kept(cid_of(2), wall_ms=0)


def test_what_failed_is_kept_for_another_who_added_it_meanwhile(tmp_path: Path):
    roots = TemporaryRoots(tmp_path)

    fail_while_kept(roots, 1, lambda: roots.keep(cid_of(1), until_ms=101, wall_ms=1))

    assert roots.is_kept(cid_of(1), wall_ms=100)


def test_so_many_roots_are_kept_and_no_more_until_some_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bftcluster.node.process.temporary_roots.ROOTS_KEPT_MAX", 3)
    roots = TemporaryRoots(tmp_path)
    for number in range(3):
        roots.keep(cid_of(number), until_ms=100, wall_ms=0)

    with pytest.raises(StoreFullError):
        roots.keep(cid_of(3), until_ms=200, wall_ms=0)

    roots.keep(cid_of(3), until_ms=200, wall_ms=100)
    assert roots.is_kept(cid_of(3), wall_ms=100)


def test_what_was_given_up_may_go(tmp_path: Path):
    roots = TemporaryRoots(tmp_path)
    roots.keep(cid_of(1), until_ms=100, wall_ms=0)
    roots.give_up(cid_of(1))
    roots.give_up(cid_of(2))

    assert not roots.is_kept(cid_of(1), wall_ms=0)


def test_a_torn_or_foreign_line_is_left_out_and_the_others_count(tmp_path: Path):
    roots = TemporaryRoots(tmp_path)
    roots.keep(cid_of(1), until_ms=100, wall_ms=0)
    path = tmp_path / "uploads"
    good = path.read_text()
    for torn in (good[:9], "x y\n", "100\n", "100 !!!!\n", "100 AAAA\n", "\n"):
        path.write_text(good + torn)

        assert TemporaryRoots(tmp_path).is_kept(cid_of(1), wall_ms=99)


def test_many_uploads_that_end_at_once_are_all_kept(tmp_path: Path):
    roots = TemporaryRoots(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: roots.keep(cid_of(n), until_ms=100, wall_ms=0), range(60)))

    again = TemporaryRoots(tmp_path)
    assert all(again.is_kept(cid_of(number), wall_ms=0) for number in range(60))


def test_a_disk_that_refuses_is_an_error_with_a_hint_and_not_a_bug(tmp_path: Path):
    (tmp_path / "uploads.new").mkdir()

    roots = TemporaryRoots(tmp_path)

    with pytest.raises(StorageError, match="uploads") as caught:
        roots.keep(cid_of(1), until_ms=100, wall_ms=0)

    assert caught.value.hint
    assert not roots.is_kept(cid_of(1), wall_ms=0)

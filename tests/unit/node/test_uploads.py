"""Roots that stay for a while although no pin keeps them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bftcluster.errors import StorageError
from bftcluster.node.uploads import Uploads
from tests.unit.ledger.world import cid_of


def test_a_root_stays_until_its_time_is_over(tmp_path: Path):
    uploads = Uploads(tmp_path)
    uploads.keep(cid_of(1), until_ms=100, wall_ms=0)

    assert uploads.is_kept(cid_of(1), wall_ms=99)
    assert not uploads.is_kept(cid_of(1), wall_ms=100)
    assert not uploads.is_kept(cid_of(2), wall_ms=0)


def test_a_restart_remembers_and_a_later_end_wins(tmp_path: Path):
    uploads = Uploads(tmp_path)
    uploads.keep(cid_of(1), until_ms=200, wall_ms=0)
    uploads.keep(cid_of(1), until_ms=100, wall_ms=0)

    assert Uploads(tmp_path).is_kept(cid_of(1), wall_ms=199)


def test_what_is_over_leaves_the_file(tmp_path: Path):
    uploads = Uploads(tmp_path)
    uploads.keep(cid_of(1), until_ms=100, wall_ms=0)
    uploads.keep(cid_of(2), until_ms=300, wall_ms=200)

    assert len((tmp_path / "uploads").read_text().splitlines()) == 1


def test_what_was_given_up_may_go(tmp_path: Path):
    uploads = Uploads(tmp_path)
    uploads.keep(cid_of(1), until_ms=100, wall_ms=0)
    uploads.give_up(cid_of(1))
    uploads.give_up(cid_of(2))

    assert not uploads.is_kept(cid_of(1), wall_ms=0)


def test_a_torn_or_foreign_line_is_left_out_and_the_others_count(tmp_path: Path):
    uploads = Uploads(tmp_path)
    uploads.keep(cid_of(1), until_ms=100, wall_ms=0)
    path = tmp_path / "uploads"
    good = path.read_text()
    for torn in (good[:9], "x y\n", "100\n", "100 !!!!\n", "100 AAAA\n", "\n"):
        path.write_text(good + torn)

        assert Uploads(tmp_path).is_kept(cid_of(1), wall_ms=99)


def test_many_uploads_that_end_at_once_are_all_kept(tmp_path: Path):
    uploads = Uploads(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: uploads.keep(cid_of(n), until_ms=100, wall_ms=0), range(60)))

    again = Uploads(tmp_path)
    assert all(again.is_kept(cid_of(number), wall_ms=0) for number in range(60))


def test_a_disk_that_refuses_is_an_error_with_a_hint_and_not_a_bug(tmp_path: Path):
    (tmp_path / "uploads.new").mkdir()

    with pytest.raises(StorageError, match="uploads") as caught:
        Uploads(tmp_path).keep(cid_of(1), until_ms=100, wall_ms=0)

    assert caught.value.hint

"""A simulated database: a power cut leaves a prefix, and not less than was synced."""

from random import Random

import pytest

from bftcluster.errors import FatalStorageError
from bftcluster.ids import Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster_sim.cluster.peers.databases import SimDatabase

KEY, LINK = (Space.PIN, b"key"), (Space.EPOCH_LINK, b"1")


def database() -> SimDatabase:
    return SimDatabase({KEY: b"founding"}, lambda _action: None)


def execute(one: SimDatabase, *seqs: int) -> None:
    for seq in seqs:
        one.flush({KEY: b"%d" % seq}, [(Seq(seq), b"entry %d" % seq)], Seq(seq))


def test_a_power_cut_leaves_a_prefix_that_has_everything_synced() -> None:
    left = set()
    for seed in range(40):
        one = database()
        execute(one, 1, 2)
        one.sync()
        execute(one, 3, 4)
        one.cut_power(Random(seed))
        left.add(one.position())
        assert one.get(*KEY) == b"%d" % one.position()

    assert left == {2, 3, 4}


def test_a_whole_stage_takes_the_place_of_the_state_and_keeps_our_own_links() -> None:
    one = database()
    execute(one, 1)
    one.flush({LINK: b"link"}, (), Seq(1))
    one.stage.flush({KEY: b"fetched"})
    assert not one.stage.install()
    one.stage.flush({}, (Seq(8), b"certificate"))

    assert one.stage.install()
    assert (one.position(), one.get(*KEY), one.get(*LINK)) == (8, b"fetched", b"link")
    assert (one.tables.installed, one.tables.forgotten) == ((8, b"certificate"), 8)
    assert one.stage.get(*KEY) is None
    assert one.entries(Seq(1), 9) == (b"entry 1",)
    assert one.entries(Seq(8), 9) == ()


def test_a_stage_that_the_log_overtook_is_given_up() -> None:
    one = database()
    one.stage.flush({KEY: b"fetched"}, (Seq(1), b"certificate"))
    execute(one, 1)

    assert not one.stage.install()
    assert (one.get(*KEY), one.tables.whole) == (b"1", None)


def test_a_cut_log_says_so_and_a_backup_brings_it_back() -> None:
    one = database()
    execute(one, 1, 2, 3, 4)
    one.prune_log(Seq(3))
    assert (one.entries(Seq(1), 9), one.tables.forgotten) == ((), 2)
    assert one.entries(Seq(3), 9) == (b"entry 3", b"entry 4")

    one.lose_after(Seq(2))
    assert one.entries(Seq(1), 9) == (b"entry 1", b"entry 2")


def test_of_a_transaction_that_fails_nothing_is_stored() -> None:
    def fail(_action: str) -> None:
        raise OSError(28, "no space")

    one = SimDatabase({KEY: b"founding"}, fail)

    with pytest.raises(FatalStorageError, match="cannot commit"):
        execute(one, 1)
    assert (one.position(), one.get(*KEY)) == (0, b"founding")

"""An epoch that maintainers begin ends all that would have begun there or later."""

from bftcluster.ids import Epoch, Seq
from bftcluster.limits import COUNTER_MAX, RECOVERY_EPOCHS
from bftcluster.pbft import EpochStart
from bftcluster.pbft.epochs import Epochs, recovery_after, with_start
from tests.unit.pbft.builders import members


def start(epoch: int, first: int) -> EpochStart:
    return EpochStart(Seq(first), members(4, epoch))


FIRST, SECOND, THIRD = start(0, 1), start(1, 33), start(2, 65)
RECOVERY = start(RECOVERY_EPOCHS, 49)


def test_epochs_to_come_are_void_after_a_recovery() -> None:
    assert with_start([FIRST, SECOND, THIRD], RECOVERY) == [FIRST, SECOND, RECOVERY]


def test_an_epoch_that_began_before_the_recovery_may_be_learnt_after_it() -> None:
    epochs = Epochs([FIRST, RECOVERY])

    epochs.add(SECOND)
    epochs.add(THIRD)

    assert epochs.last_of(Epoch(0)) == 32
    assert epochs.last_of(Epoch(1)) == 48
    assert epochs.of(Seq(48)) == SECOND.membership
    assert epochs.of(Seq(49)) == epochs.of(Seq(65)) == RECOVERY.membership
    assert epochs.latest() == RECOVERY.membership


def test_epochs_go_on_from_the_recovery() -> None:
    following = start(RECOVERY_EPOCHS + 1, 97)
    epochs = Epochs([FIRST, RECOVERY, following])

    assert epochs.last_of(Epoch(RECOVERY_EPOCHS)) == 96
    assert epochs.last_of(following.membership.epoch) == COUNTER_MAX
    assert epochs.after(Epoch(5)) == RECOVERY


def test_a_recovery_from_the_genesis_leaves_no_other_epoch() -> None:
    alone = start(RECOVERY_EPOCHS, 1)

    assert Epochs([FIRST, alone]).of(Seq(1)) == alone.membership
    assert with_start([FIRST, SECOND], alone) == [alone]


def test_a_later_recovery_replaces_an_earlier_one_from_there() -> None:
    later = start(2 * RECOVERY_EPOCHS, 49)

    assert with_start([FIRST, RECOVERY], later) == [FIRST, later]
    assert with_start([FIRST, later], RECOVERY) == [FIRST, later]


def test_a_recovery_s_number_is_beyond_all_that_voters_come_to() -> None:
    assert recovery_after(Epoch(0)) == RECOVERY_EPOCHS
    assert recovery_after(Epoch(RECOVERY_EPOCHS)) == 2 * RECOVERY_EPOCHS
    assert recovery_after(Epoch(RECOVERY_EPOCHS + 3)) == 2 * RECOVERY_EPOCHS
    assert [FIRST.is_recovery, SECOND.is_recovery, RECOVERY.is_recovery] == [False, False, True]

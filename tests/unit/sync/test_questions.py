"""What peers that lag ask for waits its turn, the newest question of each."""

from bftcluster.ids import Digest, Epoch, PeerId
from bftcluster.sync.frames import FetchEpochLinks, FetchState
from bftcluster.sync.server import KEEP_EARLIER_MS, Questions

ALICE, BOB = (PeerId(bytes((number,)) * 32) for number in range(2))
ROOT = Digest(bytes(32))
STATE = FetchState(number=1, root=ROOT, nodes=("",), rows=())
EPOCHS = FetchEpochLinks(Epoch(0))


def test_who_has_waited_longest_is_answered_first_and_gets_what_it_asked_for_last() -> None:
    questions = Questions(lambda _keeps: None)

    assert questions.put(ALICE, EPOCHS.frame())
    assert not questions.put(BOB, EPOCHS.frame())
    assert not questions.put(ALICE, STATE.frame())

    assert questions.take(0) == (ALICE, STATE)
    assert questions.take(0) == (BOB, EPOCHS)
    assert questions.take(0) is None


def test_states_of_earlier_checkpoints_stay_until_nobody_has_asked_for_long() -> None:
    told: list[bool] = []
    questions = Questions(told.append)
    questions.put(ALICE, STATE.frame())
    questions.take(0)
    questions.put(BOB, STATE.frame())

    questions.let_go(KEEP_EARLIER_MS)
    assert told == [True, True]  # somebody still waits

    questions.take(KEEP_EARLIER_MS)
    questions.let_go(2 * KEEP_EARLIER_MS - 1)
    assert told == [True, True]
    questions.let_go(2 * KEEP_EARLIER_MS)
    assert told == [True, True, False]
    assert questions.let_go_ms is None

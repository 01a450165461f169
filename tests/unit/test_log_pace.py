"""A log to which strangers can bring lines about."""

from bftcluster.log_pace import INTERVAL_S, KINDS_MAX, LogPace, also


def test_one_line_of_a_kind_is_told_in_a_while_and_then_how_many_were_left_out() -> None:
    pace = LogPace()

    assert pace.left_out("a", 0.0) == 0
    assert [pace.left_out("a", second) for second in range(1, 10)] == [None] * 9
    assert pace.left_out("a", INTERVAL_S) == 9
    assert pace.left_out("a", 2 * INTERVAL_S) == 0


def test_kinds_do_not_silence_each_other() -> None:
    pace = LogPace()

    assert [pace.left_out(kind, 0.0) for kind in ("a", "b", "a")] == [0, 0, None]


def test_so_many_kinds_are_remembered_and_no_more() -> None:
    pace = LogPace()
    for kind in range(2 * KINDS_MAX):
        pace.left_out(kind, 0.0)

    assert len(pace._kinds) == KINDS_MAX
    assert pace.left_out(2 * KINDS_MAX - 1, 1.0) is None


def test_a_line_says_what_was_left_out_before_it() -> None:
    assert also(0) == ""
    assert also(3) == " (3 like this were left out before)"

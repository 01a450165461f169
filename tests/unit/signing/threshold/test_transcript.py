from dataclasses import replace

import pytest

from bftcluster.ids import Seq
from bftcluster.signing.threshold.curve import ORDER
from bftcluster.signing.threshold.dealings import Ceremony, Dealing, deal
from bftcluster.signing.threshold.partials import combine, is_partial, make_partial
from bftcluster.signing.threshold.python_curve import PythonCurve
from bftcluster.signing.threshold.scalars import decode_scalar, encode_scalar
from bftcluster.signing.threshold.transcript import (
    Transcript,
    held_share,
    order_complaint,
    order_dealing,
    qualified,
    settled,
)
from bftcluster.signing.threshold.verdicts import ComplaintVerdict, DealingVerdict
from tests.unit.signing.threshold.ceremonies import (
    CEREMONY,
    CURVE,
    DEALINGS,
    DEALT,
    END,
    MESSAGE,
    ceremony_of,
    complaint_of,
    dealt,
    entropy_of,
    finished,
    key_of,
    opened,
    ordered,
    partials_of,
)

TRANSCRIPT, GROUP, SHARES = dealt(range(4), 2)
NEW = (2, 3, 4, 5, 6)
"""Who holds the key afterwards: peers 2 and 3 did before."""


def spoilt(dealing: Dealing, holder: int) -> Dealing:
    """Return the dealing with something else sealed for ``holder``."""
    sealed = list(dealing.sealed)
    sealed[holder - 1] = encode_scalar((decode_scalar(sealed[holder - 1]) + 1) % ORDER)
    return replace(dealing, sealed=tuple(sealed))


def passed_on(ceremony: Ceremony, *dealers: int) -> Transcript:
    dealings = (deal(CURVE, ceremony, n, entropy_of(n + 50), SHARES[n]) for n in dealers)
    return ordered(opened(ceremony), *dealings)


def complained(
    transcript: Transcript, dealing: Dealing, holder: int, name: int, seq: Seq = END
) -> tuple[Transcript, ComplaintVerdict]:
    return order_complaint(CURVE, transcript, seq, complaint_of(dealing, holder, name))


def test_the_order_of_dealings_does_not_matter() -> None:
    assert ordered(opened(CEREMONY), *DEALINGS) == ordered(opened(CEREMONY), *DEALINGS[::-1])


def test_every_share_fits_its_public_share() -> None:
    for holder, share in SHARES.items():
        assert is_partial(CURVE, GROUP, MESSAGE, make_partial(CURVE, share, holder, MESSAGE))


def test_a_dealing_is_taken_up_to_the_deadline_and_once_from_each() -> None:
    transcript, verdict = order_dealing(CURVE, opened(CEREMONY), DEALT, DEALINGS[0])
    assert verdict is DealingVerdict.ACCEPTED

    again = order_dealing(CURVE, transcript, DEALT, deal(CURVE, CEREMONY, 1, b"x" * 32))
    late = order_dealing(CURVE, transcript, Seq(DEALT + 1), DEALINGS[1])

    assert again == (transcript, DealingVerdict.ALREADY)
    assert late == (transcript, DealingVerdict.OUT_OF_TIME)


def test_a_dealing_that_is_refused_leaves_no_trace() -> None:
    before = opened(CEREMONY)

    after, verdict = order_dealing(CURVE, before, DEALT, replace(DEALINGS[0], dealer=2))

    assert (after, verdict) == (before, DealingVerdict.NOT_POSSESSED)


def test_who_dealt_badly_is_left_out_and_the_others_make_a_key() -> None:
    bad = spoilt(DEALINGS[1], 4)
    transcript = ordered(opened(CEREMONY), DEALINGS[0], bad, *DEALINGS[2:])

    transcript, verdict = complained(transcript, bad, 4, 3)

    assert verdict is ComplaintVerdict.UPHELD
    assert [dealing.dealer for dealing in qualified(transcript)] == [1, 3, 4]
    _, group, shares = finished(transcript, range(4))
    assert group.key != GROUP.key
    assert combine(CURVE, group, MESSAGE, partials_of(shares, (1, 4))).signature
    without = ordered(opened(CEREMONY), DEALINGS[0], *DEALINGS[2:])
    assert settled(CURVE, without, END) == group


def test_who_lies_in_a_complaint_changes_nothing_but_that_it_was_heard() -> None:
    before = ordered(opened(CEREMONY), *DEALINGS)

    after, verdict = complained(before, DEALINGS[0], 2, 1)

    assert verdict is ComplaintVerdict.SHARE_IS_RIGHT
    assert after == replace(before, complained=((1, 2),))
    assert qualified(after) == qualified(before)
    assert settled(CURVE, after, END) == GROUP


def test_a_holder_is_heard_once_about_each_dealing() -> None:
    bad = spoilt(DEALINGS[0], 2)
    before = ordered(opened(CEREMONY), bad)
    lie = replace(complaint_of(bad, 2, 1), point=bad.ephemeral)

    after, verdict = order_complaint(CURVE, before, END, lie)

    assert verdict is ComplaintVerdict.WRONG_POINT
    assert complained(after, bad, 2, 1) == (after, ComplaintVerdict.ALREADY)


def test_who_is_left_out_already_is_complained_about_no_more() -> None:
    bad = spoilt(spoilt(DEALINGS[0], 2), 3)
    transcript, _ = complained(ordered(opened(CEREMONY), bad), bad, 2, 1)

    assert complained(transcript, bad, 3, 2) == (transcript, ComplaintVerdict.ALREADY)


def test_a_complaint_comes_in_time_and_about_what_was_dealt() -> None:
    bad = spoilt(DEALINGS[0], 2)
    transcript = ordered(opened(CEREMONY), bad)

    late = complained(transcript, bad, 2, 1, Seq(END + 1))
    nothing = complained(opened(CEREMONY), bad, 2, 1)

    assert late == (transcript, ComplaintVerdict.OUT_OF_TIME)
    assert nothing == (opened(CEREMONY), ComplaintVerdict.NO_DEALING)


def test_a_complaint_of_nobody_or_of_another_ceremony_leaves_no_trace() -> None:
    bad = spoilt(DEALINGS[0], 2)
    transcript = ordered(opened(CEREMONY), bad)
    complaint = complaint_of(bad, 2, 1)

    for wrong, verdict in (
        (replace(complaint, holder=5), ComplaintVerdict.NOT_A_HOLDER),
        (replace(complaint, ceremony=b"x" * 32), ComplaintVerdict.WRONG_CEREMONY),
    ):
        assert order_complaint(CURVE, transcript, END, wrong) == (transcript, verdict)


def test_fewer_dealings_than_the_threshold_make_no_key() -> None:
    alone = ordered(opened(CEREMONY), DEALINGS[0])

    assert settled(CURVE, alone, END) is None
    assert held_share(CURVE, alone, 1, key_of(0)) is None


def test_who_kept_silent_about_a_bad_share_has_none() -> None:
    transcript = ordered(opened(CEREMONY), spoilt(DEALINGS[0], 2), *DEALINGS[1:])

    assert held_share(CURVE, transcript, 2, key_of(1)) is None
    assert held_share(CURVE, transcript, 1, key_of(0)) is not None


def test_nothing_is_settled_while_complaints_may_come() -> None:
    with pytest.raises(AssertionError, match="complaints"):
        settled(CURVE, TRANSCRIPT, Seq(END - 1))


def test_complaints_have_time_after_the_last_dealing() -> None:
    with pytest.raises(AssertionError, match="answered"):
        Transcript(ceremony=CEREMONY, dealings_until=END, complaints_until=END)


@pytest.mark.parametrize(("threshold", "dealers"), [(2, (1, 2)), (2, (3, 4, 1)), (3, (2, 4))])
def test_a_key_that_is_passed_on_is_the_same_key(threshold: int, dealers: tuple[int, ...]) -> None:
    ceremony = ceremony_of(NEW, threshold, number=2, source=GROUP)

    _, group, shares = finished(passed_on(ceremony, *dealers), NEW)

    assert (group.key, group.threshold) == (GROUP.key, threshold)
    before = combine(CURVE, GROUP, MESSAGE, partials_of(SHARES, (1, 2))).signature
    after = combine(CURVE, group, MESSAGE, partials_of(shares, range(1, threshold + 1)))
    assert after.signature == before is not None
    fewer = combine(CURVE, group, MESSAGE, partials_of(shares, range(1, threshold)))
    assert fewer.signature is None


def test_old_shares_do_not_go_with_new_ones() -> None:
    ceremony = ceremony_of(range(4), 2, number=2, source=GROUP)
    _, group, shares = finished(passed_on(ceremony, 1, 2, 3), range(4))
    mixed = partials_of(SHARES, (1,)) | partials_of(shares, (2,))

    assert group.key == GROUP.key
    assert not set(shares.values()) & set(SHARES.values())
    assert combine(CURVE, group, MESSAGE, mixed).wrong == (1,)
    assert combine(CURVE, GROUP, MESSAGE, mixed).wrong == (2,)


def test_who_passes_on_badly_is_left_out_and_the_next_takes_its_place() -> None:
    ceremony = ceremony_of(NEW, 2, number=2, source=GROUP)
    bad = spoilt(deal(CURVE, ceremony, 1, entropy_of(1), SHARES[1]), 5)
    transcript = ordered(
        opened(ceremony),
        bad,
        *(deal(CURVE, ceremony, n, entropy_of(n), SHARES[n]) for n in (2, 3, 4)),
    )

    transcript, verdict = complained(transcript, bad, 5, 6)

    assert verdict is ComplaintVerdict.UPHELD
    assert [dealing.dealer for dealing in qualified(transcript)] == [2, 3]
    _, group, _ = finished(transcript, NEW)
    assert group.key == GROUP.key


def test_fewer_old_holders_than_the_old_threshold_pass_nothing_on() -> None:
    ceremony = ceremony_of(NEW, 3, number=2, source=GROUP)

    assert settled(CURVE, passed_on(ceremony, 2), END) is None


@pytest.mark.slow
def test_the_slow_library_deals_judges_and_signs_with_the_same_bytes() -> None:
    slow = PythonCurve()
    ceremony = ceremony_of(range(2), 2)
    dealings = [deal(CURVE, ceremony, n + 1, entropy_of(n)) for n in range(2)]
    bad = spoilt(dealings[0], 2)

    assert deal(slow, ceremony, 1, entropy_of(0)) == dealings[0]
    slowly, fast = opened(ceremony), opened(ceremony)
    for dealing in dealings:
        slowly, verdict = order_dealing(slow, slowly, DEALT, dealing)
        assert verdict is DealingVerdict.ACCEPTED
        fast = ordered(fast, dealing)
    group, share = settled(slow, slowly, END), held_share(slow, slowly, 2, key_of(1))
    assert group == settled(CURVE, fast, END)
    assert group is not None
    assert share == held_share(CURVE, fast, 2, key_of(1))
    verdicts = {
        order_complaint(slow, ordered(opened(ceremony), bad), END, complaint_of(bad, holder, name))
        for holder, name in ((1, 0), (2, 1))
    }
    assert verdicts == {
        complained(ordered(opened(ceremony), bad), bad, holder, name)
        for holder, name in ((1, 0), (2, 1))
    }
    assert {verdict for _, verdict in verdicts} == {
        ComplaintVerdict.SHARE_IS_RIGHT,
        ComplaintVerdict.UPHELD,
    }
    _, _, shares = finished(fast, range(2))
    partials = partials_of(shares, shares)
    assert combine(slow, group, MESSAGE, partials) == combine(CURVE, group, MESSAGE, partials)

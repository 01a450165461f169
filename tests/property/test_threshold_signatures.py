"""Whoever deals, lies, complains and signs: what is made is one key, and its signatures."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from bftcluster.ids import Seq
from bftcluster.signing.threshold.complaints import Complaint, open_share
from bftcluster.signing.threshold.curve import ORDER
from bftcluster.signing.threshold.dealings import deal
from bftcluster.signing.threshold.partials import Partial, combine
from bftcluster.signing.threshold.scalars import decode_scalar, encode_scalar
from bftcluster.signing.threshold.transcript import order_complaint, qualified, settled
from bftcluster.signing.threshold.verdicts import ComplaintVerdict
from tests.unit.signing.threshold.ceremonies import (
    CURVE,
    END,
    MESSAGE,
    ceremony_of,
    dealt,
    entropy_of,
    finished,
    key_of,
    opened,
    ordered,
    partials_of,
)

FIVE = dealt(range(5), 3)


@settings(max_examples=25)
@given(data=st.data(), n=st.integers(2, 5), entropy=st.binary(min_size=32, max_size=32))
def test_honest_holders_of_a_ceremony_with_liars_sign_alike(
    data: st.DataObject, n: int, entropy: bytes
) -> None:
    threshold = (n - 1) // 3 + 1
    ceremony = ceremony_of(range(n), threshold)
    liars = data.draw(st.sets(st.integers(1, n), max_size=n - threshold))
    victims = {liar: data.draw(st.integers(1, n)) for liar in sorted(liars)}
    transcript = opened(ceremony)
    for dealer in data.draw(st.permutations(range(1, n + 1))):
        dealing = deal(CURVE, ceremony, dealer, entropy)
        if dealer in liars:
            sealed = list(dealing.sealed)
            error = data.draw(st.integers(1, ORDER - 1))
            place = victims[dealer] - 1
            sealed[place] = encode_scalar((decode_scalar(sealed[place]) + error) % ORDER)
            dealing = replace(dealing, sealed=tuple(sealed))
        transcript = ordered(transcript, dealing)

    for holder in data.draw(st.permutations(range(1, n + 1))):
        for dealing in transcript.dealings:
            found = open_share(CURVE, dealing, holder, key_of(holder - 1))
            if isinstance(found, Complaint):
                transcript, verdict = order_complaint(CURVE, transcript, END, found)
                assert verdict is ComplaintVerdict.UPHELD

    assert set(transcript.left_out) == liars
    assert [each.dealer for each in qualified(transcript)] == sorted(set(range(1, n + 1)) - liars)
    _, group, shares = finished(transcript, range(n))
    sets = st.sets(st.integers(1, n), min_size=threshold)
    made = {
        combine(CURVE, group, MESSAGE, partials_of(shares, data.draw(sets))).signature
        for _ in range(2)
    }
    assert len(made) == 1
    assert None not in made


@settings(max_examples=25)
@given(wrong=st.sets(st.integers(1, 5)), signature=st.binary(min_size=96, max_size=96))
def test_wrong_partials_are_named_and_enough_right_ones_sign(
    wrong: set[int], signature: bytes
) -> None:
    _, group, shares = FIVE
    partials = partials_of(shares, shares)
    for holder in wrong:
        partials[holder] = Partial(holder=holder, signature=signature)

    made = combine(CURVE, group, MESSAGE, partials)

    assert (made.signature is not None) == (len(wrong) <= 2)
    assert set(made.wrong) <= wrong
    if made.signature is None:
        assert set(made.wrong) == wrong


@settings(max_examples=15)
@given(
    dealers=st.sets(st.integers(1, 5), min_size=3),
    new=st.lists(st.integers(0, 8), min_size=1, max_size=5, unique=True),
    data=st.data(),
)
def test_whoever_passes_a_key_on_to_whomever_it_stays_that_key(
    dealers: set[int], new: list[int], data: st.DataObject
) -> None:
    _, group, shares = FIVE
    threshold = data.draw(st.integers(1, len(new)))
    ceremony = ceremony_of(new, threshold, number=2, source=group)
    dealings = (deal(CURVE, ceremony, n, entropy_of(n), shares[n]) for n in dealers)

    _, after, held = finished(ordered(opened(ceremony), *dealings), new)

    assert after.key == group.key
    signers = range(1, threshold + 1)
    assert (
        combine(CURVE, after, MESSAGE, partials_of(held, signers)).signature
        == combine(CURVE, group, MESSAGE, partials_of(shares, (1, 2, 3))).signature
    )


def test_what_is_settled_later_is_the_same() -> None:
    transcript, group, _ = FIVE

    assert settled(CURVE, transcript, Seq(END + 1000)) == group

from bftcluster.signing.threshold.ciphersuite import (
    blinding,
    culprits,
    has_possession,
    invalid_signatures,
    prove_possession,
    public_key,
    sign_message,
)
from bftcluster.signing.threshold.curve import G1_GENERATOR, G1_INFINITY
from tests.unit.signing.threshold.ceremonies import CURVE

SECRET = 12345
KEY = public_key(CURVE, SECRET)


def signed(count: int) -> list[tuple[bytes, bytes]]:
    return [(b"%d" % n, sign_message(CURVE, SECRET, b"%d" % n)) for n in range(count)]


def test_who_has_a_secret_can_prove_it_in_one_context() -> None:
    proof = prove_possession(CURVE, SECRET, b"alice")

    assert has_possession(CURVE, KEY, proof, b"alice")
    assert not has_possession(CURVE, KEY, proof, b"bob")
    assert not has_possession(CURVE, KEY, proof)
    assert not has_possession(CURVE, public_key(CURVE, SECRET + 1), proof, b"alice")


def test_a_signature_of_the_key_proves_no_possession_of_it() -> None:
    assert not has_possession(CURVE, KEY, sign_message(CURVE, SECRET, KEY))


def test_nobody_proves_possession_of_a_key_that_was_made_from_anothers() -> None:
    # x * G - victim: with the victim's it adds up to a key whose secret the attacker has.
    generator = CURVE.decode_g1(G1_GENERATOR)
    rogue = CURVE.encode_g1(
        CURVE.add(CURVE.multiply(generator, 99), CURVE.negate(CURVE.decode_g1(KEY)))
    )

    assert not has_possession(CURVE, rogue, prove_possession(CURVE, 99))
    assert not has_possession(CURVE, rogue, sign_message(CURVE, 99, rogue))


def test_signatures_that_are_right_have_no_culprit() -> None:
    assert invalid_signatures(CURVE, KEY, signed(20)) == ()
    assert invalid_signatures(CURVE, KEY, []) == ()


def test_wrong_signatures_of_a_batch_are_found() -> None:
    batch = signed(13)
    batch[3] = batch[3][0], batch[4][1]
    batch[9] = batch[9][0], b"\x00" * 96
    batch[12] = b"another", batch[12][1]

    assert invalid_signatures(CURVE, KEY, batch) == (3, 9, 12)


def test_signatures_that_are_swapped_do_not_make_up_for_each_other() -> None:
    batch = signed(4)
    batch[1], batch[2] = (batch[1][0], batch[2][1]), (batch[2][0], batch[1][1])

    assert invalid_signatures(CURVE, KEY, batch) == (1, 2)


def test_errors_that_cancel_out_are_found_though_their_sum_is_right() -> None:
    batch = signed(2)
    error = CURVE.hash_to_g2(b"error", b"test")
    moved = [
        CURVE.encode_g2(CURVE.add(CURVE.decode_g2(signature), by))
        for (_, signature), by in zip(batch, (error, CURVE.negate(error)), strict=True)
    ]

    forged = [(message, moved[place]) for place, (message, _) in enumerate(batch)]

    assert invalid_signatures(CURVE, KEY, forged) == (0, 1)


def test_no_signature_is_of_a_key_that_is_none() -> None:
    assert invalid_signatures(CURVE, G1_INFINITY, signed(3)) == (0, 1, 2)


def test_blinding_factors_depend_on_everything_that_is_judged() -> None:
    factors = blinding(b"a", b"b")

    assert factors == blinding(b"a", b"b")
    assert len(set(factors)) == 2
    assert not set(factors) & {*blinding(b"a", b"c"), *blinding(b"ab", b""), *blinding(b"a")}
    assert all(0 < factor <= 1 << 128 for factor in factors)


def test_one_culprit_among_many_is_found_in_few_questions() -> None:
    asked = []

    def hold(suspects: list[int]) -> bool:
        asked.append(len(suspects))
        return 41 not in suspects

    assert culprits(list(range(64)), hold) == [41]  # type: ignore[arg-type]
    assert len(asked) == 1 + 2 * 6

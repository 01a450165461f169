"""Both libraries give the same bytes and refuse the same bytes."""

import subprocess
import sys

import pytest

from bftcluster.errors import MalformedMessageError
from bftcluster.signing.threshold.ciphersuite import (
    POSSESSION_TAG,
    SIGNATURE_TAG,
    is_signature,
    prove_possession,
    public_key,
    sign_message,
)
from bftcluster.signing.threshold.curve import (
    G1_GENERATOR,
    G1_INFINITY,
    G2_GENERATOR,
    G2_INFINITY,
    ORDER,
    Curve,
    scaled,
    sum_of_products,
)
from bftcluster.signing.threshold.library import best_curve
from bftcluster.signing.threshold.python_curve import PythonCurve

FAST = best_curve()
ORACLE = PythonCurve()
BOTH: tuple[Curve, ...] = (FAST, ORACLE)
SLOWLY = (FAST, pytest.param(ORACLE, marks=pytest.mark.slow))
FIELD = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf"
    "6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab",
    16,
)
"""What coordinates are reduced by."""
COMPRESSED, INFINITE, LARGER_Y = 1 << 383, 1 << 382, 1 << 381


def coordinate(number: int) -> bytes:
    return number.to_bytes(48, "big")


def hostile_coordinates(generator: bytes) -> list[bytes]:
    """Return what could stand for the first coordinate of a point, with all of its flags."""
    good = int.from_bytes(generator[:48], "big")
    x = good % LARGER_Y
    wrong_flags = [x | flags << 381 for flags in range(8)]
    too_large = [COMPRESSED | x for x in (FIELD, FIELD + 1, LARGER_Y - 1)]
    infinite = [flags << 381 for flags in range(8)] + [COMPRESSED | INFINITE | 1]
    small = [COMPRESSED | number for number in range(8)]
    beyond = [x + FIELD | COMPRESSED] if x + FIELD < LARGER_Y else []
    return [coordinate(number) for number in [*wrong_flags, *too_large, *infinite, *small, *beyond]]


HOSTILE_G1 = [
    *hostile_coordinates(G1_GENERATOR),
    G1_INFINITY,
    b"",
    G1_GENERATOR[:-1],
    G1_GENERATOR + b"\x00",
    b"\xff" * 48,
    G1_GENERATOR + G1_GENERATOR,
]
HOSTILE_G2 = [
    *(first + G2_GENERATOR[48:] for first in hostile_coordinates(G2_GENERATOR)),
    *(first + coordinate(2) for first in hostile_coordinates(G2_GENERATOR)),
    *(G2_GENERATOR[:48] + coordinate(second) for second in (0, FIELD, COMPRESSED, LARGER_Y)),
    G2_INFINITY,
    G2_INFINITY[:48] + coordinate(COMPRESSED | INFINITE),
    b"",
    G2_GENERATOR[:48],
    G2_GENERATOR[:-1],
    G2_GENERATOR + b"\x00",
]


def g1_again(curve: Curve, data: bytes) -> bytes | None:
    try:
        return curve.encode_g1(curve.decode_g1(data))
    except MalformedMessageError:
        return None


def g2_again(curve: Curve, data: bytes) -> bytes | None:
    try:
        return curve.encode_g2(curve.decode_g2(data))
    except MalformedMessageError:
        return None


def test_both_take_the_same_encodings_of_g1_and_no_second_one() -> None:
    taken = [g1_again(FAST, data) for data in HOSTILE_G1]

    assert taken == [g1_again(ORACLE, data) for data in HOSTILE_G1]
    assert all(again in (None, data) for again, data in zip(taken, HOSTILE_G1, strict=True))
    assert {again for again in taken if again} == {
        G1_GENERATOR,
        coordinate(int.from_bytes(G1_GENERATOR, "big") ^ LARGER_Y),
    }


def test_both_take_the_same_encodings_of_g2_and_no_second_one() -> None:
    taken = [g2_again(FAST, data) for data in HOSTILE_G2]

    assert taken == [g2_again(ORACLE, data) for data in HOSTILE_G2]
    assert all(again in (None, data) for again, data in zip(taken, HOSTILE_G2, strict=True))
    assert len({again for again in taken if again}) == 2


@pytest.mark.slow
def test_both_judge_flipped_bits_alike() -> None:
    for bit in range(0, 384, 3):
        data = coordinate(int.from_bytes(G1_GENERATOR, "big") ^ 1 << bit)
        assert g1_again(FAST, data) == g1_again(ORACLE, data)
    for bit in range(0, 768, 5):
        data = (int.from_bytes(G2_GENERATOR, "big") ^ 1 << bit).to_bytes(96, "big")
        assert g2_again(FAST, data) == g2_again(ORACLE, data)


@pytest.mark.parametrize("curve", BOTH, ids=lambda curve: curve.name)
def test_a_point_outside_the_subgroup_is_refused(curve: Curve) -> None:
    # On the curve: x = 0 gives y = 2, of order 3.
    with pytest.raises(MalformedMessageError):
        curve.decode_g1(coordinate(COMPRESSED))


@pytest.mark.parametrize("curve", BOTH, ids=lambda curve: curve.name)
def test_infinity_is_no_point_that_anybody_may_send(curve: Curve) -> None:
    with pytest.raises(MalformedMessageError):
        curve.decode_g1(G1_INFINITY)
    with pytest.raises(MalformedMessageError):
        curve.decode_g2(G2_INFINITY)


@pytest.mark.parametrize("scalar", [0, 1, 2, ORDER - 1, ORDER, ORDER + 1, -1, 1 << 300])
def test_both_multiply_alike(scalar: int) -> None:
    products = {
        (
            curve.encode_g1(curve.multiply(curve.decode_g1(G1_GENERATOR), scalar)),
            curve.encode_g2(curve.multiply(curve.decode_g2(G2_GENERATOR), scalar)),
        )
        for curve in BOTH
    }

    assert len(products) == 1
    if scalar % ORDER == 0:
        assert products == {(G1_INFINITY, G2_INFINITY)}


@pytest.mark.parametrize(
    "message",
    [
        b"period 7",
        pytest.param(b"", marks=pytest.mark.slow),
        pytest.param(bytes(300), marks=pytest.mark.slow),
    ],
    ids=len,
)
def test_both_make_the_same_keys_signatures_and_proofs_as_the_ciphersuite(message: bytes) -> None:
    from py_ecc.bls import G2ProofOfPossession as Reference

    secret = 0x1234567890ABCDEF << 100

    for curve in BOTH:
        assert public_key(curve, secret) == Reference.SkToPk(secret)
        assert sign_message(curve, secret, message) == Reference.Sign(secret, message)
    assert prove_possession(FAST, secret) == Reference.PopProve(secret)


def test_a_signature_is_that_of_the_standards_vector() -> None:
    # Ethereum's consensus vectors for BLS, "sign": a key, a message of 32 bytes, the signature.
    secret = int("263dbd792f5b1be47ed85f8938c0f29586af0d3ac7b977f21c278fe1462040e3", 16)

    signature = sign_message(FAST, secret, b"\x56" * 32)

    assert signature.hex() == (
        "882730e5d03f6b42c3abc26d3372625034e1d871b65a8a6b900a56dae22da98a"
        "bbe1b68f85e49fe7652a55ec3d0591c20767677e33e5cbb1207315c41a9ac03b"
        "e39c2e7668edc043d6cb1d9fd93033caa8a1c5b0e84bedaeb6c64972503a43eb"
    )


@pytest.mark.parametrize("curve", SLOWLY, ids=lambda curve: curve.name)
def test_a_signature_is_valid_for_one_message_and_one_tag(curve: Curve) -> None:
    key, signature = public_key(FAST, 7), sign_message(FAST, 7, b"yes")

    assert is_signature(curve, key, b"yes", signature)
    assert not is_signature(curve, key, b"no", signature)
    assert not is_signature(curve, key, b"yes", signature, POSSESSION_TAG)
    assert not is_signature(curve, public_key(FAST, 8), b"yes", signature)


@pytest.mark.parametrize("curve", BOTH, ids=lambda curve: curve.name)
def test_infinity_signs_nothing_for_anybody(curve: Curve) -> None:
    assert not is_signature(curve, G1_INFINITY, b"yes", G2_INFINITY)
    assert not is_signature(curve, public_key(FAST, 7), b"yes", G2_INFINITY)


@pytest.mark.parametrize("number", [1, 2, 3, 7, 127, 128])
def test_doubling_and_adding_multiplies(number: int) -> None:
    point = FAST.decode_g1(G1_GENERATOR)

    product = FAST.encode_g1(scaled(FAST, point, number))

    assert product == FAST.encode_g1(FAST.multiply(point, number))


@pytest.mark.parametrize("count", [1, 7, 8, 31, 32, 50])
def test_a_sum_of_products_is_that_of_its_parts(count: int) -> None:
    scalars = [(ORDER - 1) * 3**place // 7**place for place in range(count)]
    points = [FAST.hash_to_g2(b"%d" % (place % 9), SIGNATURE_TAG) for place in range(count)]

    total = points[0]
    for point, scalar in zip(points, scalars, strict=True):
        total = FAST.add(total, FAST.multiply(point, scalar))
    expected = FAST.add(total, FAST.negate(points[0]))

    assert FAST.encode_g2(sum_of_products(FAST, points, scalars)) == FAST.encode_g2(expected)


def test_both_add_up_many_points_alike_and_nothing_to_infinity() -> None:
    sums = set()
    for curve in BOTH:
        point = curve.decode_g1(G1_GENERATOR)
        points = [scaled(curve, point, number) for number in range(1, 13)]
        sums.add(curve.encode_g1(sum_of_products(curve, points, list(range(12)))))
        assert curve.encode_g1(sum_of_products(curve, points, [0] * 12)) == G1_INFINITY

    assert len(sums) == 1


def test_the_slow_library_is_not_imported_where_the_fast_one_is() -> None:
    script = (
        "import sys\n"
        "from bftcluster.signing.threshold import library, transcript\n"
        "name = library.best_curve().name\n"
        "assert (name == 'py-ecc') == ('py_ecc' in sys.modules), name\n"
    )

    subprocess.run([sys.executable, "-c", script], check=True)


def test_without_the_wheel_the_slow_library_does_the_same() -> None:
    script = (
        "import sys\n"
        "sys.modules['pyblst'] = None\n"
        "from bftcluster.signing.threshold.library import best_curve\n"
        "from bftcluster.signing.threshold.ciphersuite import sign_message\n"
        "print(best_curve().name, sign_message(best_curve(), 7, b'yes').hex())\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )

    assert done.stdout.split() == ["py-ecc", sign_message(FAST, 7, b"yes").hex()]

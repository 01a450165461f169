from dataclasses import replace

import pytest

from bftcluster.errors import MalformedMessageError
from bftcluster.limits import REGISTRATION_SIZE_MAX_BYTES
from bftcluster.signing.threshold.curve import G1_INFINITY, G2_GENERATOR, G2_INFINITY
from bftcluster.signing.threshold.share_key import Registration, is_registration
from tests.unit.signing.threshold.ceremonies import CURVE, key_of, owner_of, registered


def test_a_registration_is_made_of_a_seed_the_same_each_time() -> None:
    registration = registered(1)

    assert registration == registered(1)
    assert registration.key != registered(2).key
    assert is_registration(CURVE, registration)
    assert Registration.from_bytes(registration.to_bytes()) == registration
    assert len(registration.to_bytes()) <= REGISTRATION_SIZE_MAX_BYTES


def test_nobody_registers_anothers_key() -> None:
    assert not is_registration(CURVE, replace(registered(1), owner=owner_of(2)))


def test_the_key_in_g2_has_the_same_secret() -> None:
    assert not is_registration(CURVE, replace(registered(1), key_g2=registered(2).key_g2))
    assert not is_registration(CURVE, replace(registered(1), key_g2=G2_GENERATOR))


def test_a_key_without_its_own_proof_is_not_registered() -> None:
    stolen = replace(registered(1), possession=registered(2).possession)

    assert not is_registration(CURVE, stolen)


def test_infinity_is_not_registered() -> None:
    nothing = Registration(
        owner=owner_of(1), key=G1_INFINITY, key_g2=G2_INFINITY, possession=G2_INFINITY
    )

    assert not is_registration(CURVE, nothing)


def test_a_registration_with_a_byte_more_or_less_does_not_decode() -> None:
    for changed in (
        {"key": registered(1).key[:-1]},
        {"key_g2": registered(1).key},
        {"possession": b""},
        {"owner": b"short"},
    ):
        with pytest.raises(MalformedMessageError):
            replace(registered(1), **changed)


def test_a_secret_is_not_shown() -> None:
    assert repr(key_of(1)) == "ShareKey()"

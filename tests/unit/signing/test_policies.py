import pytest

from bftcluster import codec
from bftcluster.errors import MalformedMessageError
from bftcluster.signing.policies import Maintainer, Policy
from tests.unit.signing.people import ALICE, BOB, CAROL, MAINTAINERS, POLICY, policy_of


def test_a_policy_survives_its_encoding() -> None:
    again = Policy.from_bytes(POLICY.to_bytes())

    assert again == POLICY
    assert again.hash == POLICY.hash


def test_the_order_in_which_maintainers_are_named_does_not_matter() -> None:
    assert policy_of(CAROL, ALICE, BOB).hash == policy_of(ALICE, BOB, CAROL).hash


def test_every_part_of_a_policy_changes_its_hash() -> None:
    others = [
        policy_of(ALICE, BOB),
        policy_of(*MAINTAINERS, threshold=3),
        policy_of(*MAINTAINERS, version=2),
        policy_of(*MAINTAINERS, scheme="another"),
    ]

    assert len({POLICY.hash, *(other.hash for other in others)}) == 5


def test_more_rejections_than_can_be_spared_put_the_threshold_out_of_reach() -> None:
    assert policy_of(*MAINTAINERS, threshold=2).rejections_max == 1
    assert policy_of(*MAINTAINERS, threshold=3).rejections_max == 0


def test_a_maintainer_is_found_by_key() -> None:
    assert POLICY.name_of(BOB.public_key) == "bob"


@pytest.mark.parametrize("threshold", [0, -1, 4])
def test_a_threshold_is_between_one_and_all(threshold: int) -> None:
    with pytest.raises(MalformedMessageError, match="threshold"):
        policy_of(*MAINTAINERS, threshold=threshold)


def test_a_policy_without_maintainers_is_refused() -> None:
    with pytest.raises(MalformedMessageError, match="1 to 256 maintainers"):
        policy_of(threshold=1)


def test_one_key_is_one_maintainer() -> None:
    with pytest.raises(MalformedMessageError, match="distinct"):
        policy_of(ALICE, ALICE, threshold=1)


def test_unsorted_maintainers_on_the_wire_are_refused() -> None:
    version, threshold, scheme, maintainers = POLICY.to_wire()

    with pytest.raises(MalformedMessageError, match="sorted"):
        Policy.from_bytes(codec.encode([version, threshold, scheme, maintainers[::-1]]))


def test_policy_versions_start_at_one() -> None:
    with pytest.raises(MalformedMessageError, match="start at 1"):
        policy_of(*MAINTAINERS, version=0)


@pytest.mark.parametrize("name", ["x", "x" * 100])
def test_the_shortest_and_the_longest_name_are_names(name: str) -> None:
    assert Maintainer(name=name, key=ALICE.public_key).name == name


@pytest.mark.parametrize("name", ["", "x" * 101])
def test_a_maintainer_has_a_name_of_sane_length(name: str) -> None:
    with pytest.raises(MalformedMessageError, match="name"):
        Maintainer(name=name, key=ALICE.public_key)


def test_a_maintainers_key_has_32_bytes() -> None:
    with pytest.raises(MalformedMessageError, match="31 bytes, not 32"):
        Maintainer(name="alice", key=ALICE.public_key[1:])


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x01", codec.encode([1, 1, "s", [["a"]]])])
def test_bytes_that_are_no_policy_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        Policy.from_bytes(data)

"""What a peer may be let in with."""

import pytest

from bftcluster.errors import MalformedMessageError
from bftcluster.ledger.wire.peer_terms import PeerTerms, QuotaClass, terms_from_wire
from bftcluster.limits import PEER_CAPACITY_MAX_BYTES

FULL = PeerTerms(
    capacity_bytes=PEER_CAPACITY_MAX_BYTES,
    quota_class=QuotaClass.OWN,
    domain="a cellar in Köln",
    operator="Jane Doe",
)


@pytest.mark.parametrize("terms", [FULL, PeerTerms(), PeerTerms(is_light=True)])
def test_terms_come_back_from_the_wire(terms: PeerTerms) -> None:
    assert terms_from_wire(terms.to_wire()) == terms


def test_of_a_peer_that_is_not_light_nothing_is_said_of_that() -> None:
    assert len(FULL.to_wire()) == 4
    with pytest.raises(MalformedMessageError):
        terms_from_wire([*FULL.to_wire(), False])


def test_what_nobody_said_is_not_granted() -> None:
    terms = PeerTerms()

    assert terms.usable_free_bytes(1 << 62, 1 << 62) == 0
    assert terms.usable_capacity_bytes(1 << 62) == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"capacity_bytes": -1}, "at most"),
        ({"capacity_bytes": PEER_CAPACITY_MAX_BYTES + 1}, "at most"),
        ({"domain": "x" * 101}, "domain has at most 100 characters"),
        ({"operator": "x" * 101}, "operator has at most 100 characters"),
        ({"domain": "bar\x1b[2Jn"}, "control character"),
        ({"operator": "Jane\nDoe"}, "control character"),
        ({"domain": "barn "}, "begins or ends with a space"),
        ({"operator": "\u2003Jane"}, "begins or ends with a space"),
    ],
)
def test_terms_outside_the_limits_are_refused(changes: dict, reason: str) -> None:
    with pytest.raises(MalformedMessageError, match=reason):
        PeerTerms(**changes)


@pytest.mark.parametrize(
    "item",
    [None, [], [1, 0, ""], [1, 0, "", "", ""], [1, 3, "", ""], [1, -1, "", ""], ["1", 0, "", ""]],
)
def test_terms_of_another_shape_are_refused(item: object) -> None:
    with pytest.raises(MalformedMessageError):
        terms_from_wire(item)

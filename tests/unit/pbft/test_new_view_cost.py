"""What the largest NEW-VIEWs cost whoever checks them: each signature once, and few enough."""

import pytest

from tests.unit.pbft.builders import prepared, rules
from tests.unit.pbft.view_builders import new_view, view_change

SLOTS = 16


@pytest.mark.parametrize(
    ("n", "size_max_bytes", "checks_max"), [(31, 100_000, 400), (64, 300_000, 800)]
)
def test_certificates_that_many_claim_are_carried_and_checked_once(
    n: int, size_max_bytes: int, checks_max: int
) -> None:
    judge = rules(n)
    proofs = [prepared(seq, n=n) for seq in range(1, SLOTS + 1)]
    wishes = [view_change(voter, proofs=proofs) for voter in range(judge.membership.quorum)]
    opened = new_view(wishes, n=n)

    assert judge.reject_new_view(opened) is None

    assert len(opened.frame()) <= size_max_bytes
    assert judge.signatures.verified <= checks_max
    checked = judge.signatures.verified
    assert judge.reject_new_view(opened) is None
    assert judge.signatures.verified == checked, "what was checked is known"

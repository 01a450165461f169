"""Signatures of a group: how many Ed25519 verifications of the same run each step costs.

A beacon costs a replica one partial of its own, one combination, and a verification; partials are
checked one by one only where somebody lies.
"""

import hashlib
from collections.abc import Callable

from benchmarks.bench_crypto import verifications_per_second
from benchmarks.result import Result
from benchmarks.timing import calls_per_second
from bftcluster.signing.threshold.ciphersuite import is_signature
from bftcluster.signing.threshold.group_key import GroupKey, committed_group
from bftcluster.signing.threshold.library import best_curve
from bftcluster.signing.threshold.partials import (
    combine,
    invalid_partials,
    is_partial,
    make_partial,
)
from bftcluster.signing.threshold.polynomial import commitments_to, polynomial, value_at

MESSAGE = bytes(40)
SIZES = (4, 10, 128)
"""How many hold shares; f + 1 of them sign."""
CURVE = best_curve()


def run() -> list[Result]:
    group, shares = shared(4)
    partial = make_partial(CURVE, shares[0], 1, MESSAGE)
    results = [
        _result("threshold_partial", lambda: make_partial(CURVE, shares[0], 1, MESSAGE)),
        _result("threshold_check", lambda: is_partial(CURVE, group, MESSAGE, partial)),
    ]
    for holders in SIZES:
        results += of_group(holders)
    return results


def of_group(holders: int) -> list[Result]:
    """Return what the partials of f + 1 of so many holders cost, all right."""
    group, shares = shared(holders)
    partials = {
        place: make_partial(CURVE, shares[place - 1], place, MESSAGE)
        for place in range(1, group.threshold + 1)
    }
    made = combine(CURVE, group, MESSAGE, partials)
    signature = made.signature
    assert signature, "enough partials sign"
    name = f"{group.threshold}_of_{holders}"
    checked = _result(
        f"threshold_check_all_{name}", lambda: invalid_partials(CURVE, group, MESSAGE, partials)
    )
    combined = _result(
        f"threshold_combine_{name}", lambda: combine(CURVE, group, MESSAGE, partials)
    )
    if holders != SIZES[0]:
        return [checked, combined]
    verify = _result("threshold_verify", lambda: is_signature(CURVE, group.key, MESSAGE, signature))
    return [checked, combined, verify]


def shared(holders: int) -> tuple[GroupKey, list[int]]:
    """Return a group and its shares, as if dealt by somebody who is trusted."""
    threshold = (holders - 1) // 3 + 1
    secret = polynomial(hashlib.sha256(b"bench").digest(), b"", threshold=threshold)
    commitments = [CURVE.decode_g1(each) for each in commitments_to(CURVE, secret)]
    group = committed_group(CURVE, commitments, holders)
    return group, [value_at(secret, place) for place in range(1, holders + 1)]


def _result(name: str, function: Callable[[], object]) -> Result:
    cost = verifications_per_second() / calls_per_second(function)
    return Result(name=name, value=cost, unit="verify")

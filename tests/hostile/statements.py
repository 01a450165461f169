"""Signed statements that attackers make with whatever keys they have."""

import secrets
import time
from collections.abc import Sequence
from typing import Any

from bftcluster import codec
from bftcluster.cid import Cid
from bftcluster.ids import MaintainerId
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.operations import Operation, PinOperation
from bftcluster.ledger.wire.requests import Approve, Propose, Reject, Submit
from bftcluster.signing.approvals import Intent, approve, reject
from bftcluster.signing.envelope import Domain, sign
from bftcluster.signing.keys import SigningKey
from bftcluster.signing.schemes import scheme_of

HOUR_MS = 3_600_000
REPORT = 5
JOIN = 6


def key() -> SigningKey:
    """Return a key that nobody knows."""
    return SigningKey(secrets.token_bytes(32))


def intent(genesis: Genesis, operation: Operation | bytes, **changes: Any) -> Intent:
    """Return an intent under the policy in force, but for ``changes``."""
    now_ms = time.time_ns() // 1_000_000
    fields: dict[str, Any] = {
        "cluster_id": genesis.cluster_id,
        "policy_version": genesis.policy.version,
        "policy_hash": genesis.policy.hash,
        "operation": operation if isinstance(operation, bytes) else operation.to_bytes(),
        "nonce": secrets.token_bytes(16),
        "not_before_ms": now_ms - 60_000,
        "expires_ms": now_ms + HOUR_MS,
    }
    return Intent(**(fields | changes))


def pin_intent(genesis: Genesis, cid: Cid, **options: Any) -> Intent:
    """Return an intent to pin ``cid``."""
    return intent(genesis, PinOperation(cid=cid, **options))


def propose(one: Intent, by: SigningKey) -> bytes:
    """Return a proposal with its proposer's approval."""
    return Propose(intent=one.encoded, approval=approve(one.encoded, by)).to_bytes()


def approve_it(one: Intent, by: SigningKey) -> bytes:
    """Return one more yes."""
    return Approve(intent_digest=one.digest, approval=approve(one.encoded, by)).to_bytes()


def reject_it(one: Intent, by: SigningKey) -> bytes:
    """Return a no."""
    return Reject(intent_digest=one.digest, approval=reject(one.encoded, by)).to_bytes()


def submit(genesis: Genesis, one: Intent, by: Sequence[SigningKey]) -> bytes:
    """Return a certificate, as if whoever signed were its maintainers."""
    policy = genesis.policy
    votes = [approve(one.encoded, each) for each in by]
    signatures = {vote.maintainer: vote.signature for vote in votes}
    return Submit(certificate=scheme_of(policy).combine(one.encoded, signatures, policy)).to_bytes()


def report(
    genesis: Genesis, by: SigningKey, counter: int, *, held: Sequence[bytes] = (),
    errors: Sequence[tuple[bytes, str]] = (), free_bytes: int = 0,
) -> bytes:  # fmt: skip
    """Return a report, within its format or not."""
    pairs = [list(pair) for pair in errors]
    fields = [genesis.cluster_id, by.public_key, counter, free_bytes, list(held), [], pairs]
    payload = codec.encode(fields)
    return codec.encode([REPORT, payload, sign(by, Domain.REPORT, payload)])


def join(
    genesis: Genesis, by: SigningKey, counter: int, *, name: str = "peer",
    addresses: Sequence[str] = (), capacity_bytes: int = 1, free_bytes: int = 1,
    tags: Sequence[tuple[str, str]] = (),
) -> bytes:  # fmt: skip
    """Return an announcement, within its format or not."""
    sizes = [capacity_bytes, free_bytes, [list(pair) for pair in tags]]
    payload = codec.encode(
        [genesis.cluster_id, by.public_key, counter, name, list(addresses), *sizes]
    )
    return codec.encode([JOIN, payload, sign(by, Domain.JOIN, payload)])


def maintainer_id(of: SigningKey) -> MaintainerId:
    """Return what a key is called as a maintainer's."""
    return MaintainerId(of.public_key)

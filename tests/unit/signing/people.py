"""Maintainers with fixed keys, and what they agree on."""

import hashlib

from bftcluster.ids import ClusterId, Digest, MaintainerId
from bftcluster.signing.approvals import Intent
from bftcluster.signing.keys import Ed25519Verifier, SigningKey
from bftcluster.signing.policies import Maintainer, Policy

START_MS = 1_700_000_000_000
DAY_MS = 86_400_000
VERIFIER = Ed25519Verifier()
CLUSTER = ClusterId(b"c" * 32)


def key(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest())


ALICE, BOB, CAROL, DAVE, MALLORY = (key(n) for n in ("alice", "bob", "carol", "dave", "mallory"))
MAINTAINERS = (ALICE, BOB, CAROL)
NAMES = {key(n).public_key: n for n in ("alice", "bob", "carol", "dave", "mallory")}


def policy_of(
    *keys: SigningKey, threshold: int = 2, version: int = 1, scheme: str = "ed25519-multisig"
) -> Policy:
    maintainers = [
        Maintainer(name=NAMES.get(k.public_key, "someone"), key=MaintainerId(k.public_key))
        for k in keys
    ]
    return Policy.of(*maintainers, threshold=threshold, version=version, scheme=scheme)


POLICY = policy_of(*MAINTAINERS)


def intent_of(
    operation: bytes = b"\x80", *, policy: Policy = POLICY, nonce: int = 1, **changes: object
) -> Intent:
    fields = {
        "cluster_id": CLUSTER,
        "policy_version": policy.version,
        "policy_hash": Digest(policy.hash),
        "operation": operation,
        "nonce": nonce.to_bytes(16, "big"),
        "not_before_ms": START_MS,
        "expires_ms": START_MS + DAY_MS,
    }
    return Intent(**(fields | changes))

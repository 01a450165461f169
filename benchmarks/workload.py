"""A cluster's founding, and requests to pin that enough maintainers have signed."""

import hashlib
from collections.abc import Iterable, Sequence

from bftcluster import cid
from bftcluster.cid import Cid
from bftcluster.ids import MaintainerId, PeerId
from bftcluster.ledger.wire.genesis import Genesis, GenesisPeer
from bftcluster.ledger.wire.operations import EVERYWHERE, Operation, PinOperation
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.ledger.wire.requests import Submit
from bftcluster.limits import CHECKPOINT_INTERVAL_SEQS, INTENT_NONCE_SIZE_BYTES
from bftcluster.signing.approvals import Intent, approve
from bftcluster.signing.keys import SigningKey
from bftcluster.signing.policies import Maintainer, Policy
from bftcluster.signing.schemes import scheme_of

APPROVALS = 2
CAPACITY_BYTES = 1 << 40
"""What every peer lends, and may."""
"""How many of the three maintainers sign each pin."""
LIFETIME_MS = 86_400_000


def key(name: str) -> SigningKey:
    """Return the key pair that ``name`` always has."""
    return SigningKey(hashlib.sha256(name.encode()).digest())


MAINTAINERS = tuple(key(name) for name in ("alice", "bob", "carol"))


def genesis(
    *, peers: int, created_ms: int, checkpoint_interval: int = CHECKPOINT_INTERVAL_SEQS
) -> Genesis:
    """Return the genesis of a cluster whose peers are the keys ``peer 0``, ``peer 1``, ..."""
    founders = [
        Maintainer(name=name, key=MaintainerId(each.public_key))
        for name, each in zip(("alice", "bob", "carol"), MAINTAINERS, strict=True)
    ]
    return Genesis(
        name="benchmark",
        created_ms=created_ms,
        peers=tuple(
            GenesisPeer(
                peer=PeerId(key(f"peer {i}").public_key),
                name=f"peer{i}",
                addresses=(),
                terms=PeerTerms(capacity_bytes=CAPACITY_BYTES),
            )
            for i in range(peers)
        ),
        policy=Policy.of(*founders, threshold=APPROVALS),
        checkpoint_interval=checkpoint_interval,
        nonce=bytes(32),
    )


def blocks(count: int, *, label: str) -> list[tuple[Cid, bytes]]:
    """Return ``count`` tiny blocks, no two alike, with their CIDs."""
    data = [f"{label} {i}".encode() for i in range(count)]
    return [(cid.of_block(block), block) for block in data]


def pin_requests(
    founding: Genesis,
    cids: Iterable[Cid],
    *,
    now_ms: int,
    replication: int = EVERYWHERE,
    allocations: Sequence[PeerId] = (),
) -> list[bytes]:
    """Return one request per CID, each with a complete certificate of two approvals."""
    return [
        approved(
            founding,
            PinOperation(
                cid=each,
                name=f"pin {number}",
                replication_min=replication,
                replication_max=replication,
                user_allocations=tuple(allocations),
            ),
            nonce=hashlib.sha256(each).digest(),
            now_ms=now_ms,
        )
        for number, each in enumerate(cids)
    ]


def approved(founding: Genesis, operation: Operation, *, nonce: bytes, now_ms: int) -> bytes:
    """Return a request with a complete certificate of two approvals.

    Args:
        founding: Of the cluster.
        operation: What the maintainers want.
        nonce: Another one each time, at least as long as an intent's.
        now_ms: From a second before then on it is valid, for a day.
    """
    policy = founding.policy
    intent = Intent(
        cluster_id=founding.cluster_id,
        policy_version=policy.version,
        policy_hash=policy.hash,
        operation=operation.to_bytes(),
        nonce=nonce[:INTENT_NONCE_SIZE_BYTES],
        not_before_ms=now_ms - 1000,
        expires_ms=now_ms + LIFETIME_MS,
    ).to_bytes()
    approvals = [approve(intent, maintainer) for maintainer in MAINTAINERS[:APPROVALS]]
    signatures = {approval.maintainer: approval.signature for approval in approvals}
    certificate = scheme_of(policy).combine(intent, signatures, policy)
    return Submit(certificate=certificate).to_bytes()

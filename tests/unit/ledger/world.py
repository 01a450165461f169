"""A small cluster in memory: real keys, real signatures, no clock but the batches'."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from bftcluster import cid as cids
from bftcluster.cid import Cid
from bftcluster.ids import PeerId, Seq, View
from bftcluster.ledger.ledger import ExecutionResult, Ledger, genesis_delta
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rules.batch import Applied, OrderedBatch
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.genesis import Genesis, GenesisPeer
from bftcluster.ledger.wire.operations import EVERYWHERE, Operation, PinOperation
from bftcluster.ledger.wire.outcomes import Outcome
from bftcluster.ledger.wire.peer_fields import PeerStatement
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.ledger.wire.requests import (
    Approve,
    HolderStatus,
    Propose,
    Reject,
    ReportEntry,
    ReportPinned,
    Request,
    Submit,
    join,
    report,
)
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.signing.approvals import ApprovalCertificate, Intent, approve, reject
from bftcluster.signing.keys import SigningKey
from bftcluster.signing.policies import Policy
from bftcluster.signing.schemes import certify
from tests.unit.signing.people import (
    ALICE,
    BOB,
    DAY_MS,
    MAINTAINERS,
    START_MS,
    VERIFIER,
    key,
    policy_of,
)

S = TypeVar("S", bound=PeerStatement)

MIB = 1 << 20
GIB = 1 << 30
TERMS = PeerTerms(capacity_bytes=100 * GIB)
"""What peers are let in with where a test does not say."""
PEERS = tuple(key(f"peer {number}") for number in range(7))


def peer_id(signer: SigningKey) -> PeerId:
    return PeerId(signer.public_key)


def cid_of(number: int | str) -> Cid:
    return cids.of_block(f"block {number}".encode())


def yes(intent: Intent, signer: SigningKey) -> Approve:
    return Approve(intent_digest=intent.digest, approval=approve(intent.to_bytes(), signer))


def no(intent: Intent, signer: SigningKey) -> Reject:
    return Reject(intent_digest=intent.digest, approval=reject(intent.to_bytes(), signer))


def genesis_of(
    *,
    policy: Policy | None = None,
    peers: Sequence[SigningKey] = PEERS[:4],
    nonce: bytes = bytes(32),
    domains: Sequence[str] = (),
    **options: int,
) -> Genesis:
    """A cluster that keeps what does not say otherwise everywhere."""
    everywhere = {"replication_min": EVERYWHERE, "replication_max": EVERYWHERE}
    return Genesis(
        name="archive",
        created_ms=START_MS,
        peers=tuple(
            GenesisPeer(
                peer=peer_id(p),
                name=f"peer-{i}",
                addresses=(f"/ip4/10.0.0.{i}/tcp/9096",),
                terms=replace(TERMS, domain=domains[i] if domains else ""),
            )
            for i, p in enumerate(peers)
        ),
        policy=policy or policy_of(*MAINTAINERS),
        nonce=nonce,
        **(everywhere | options),
    )


def resigned(request: S, signature: bytes) -> S:
    """Return what a peer signed with another signature."""
    return replace(request, said=request.said._replace(signature=signature))


class World:
    """One ledger over one store, fed batch by batch."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        self.genesis = genesis or genesis_of()
        self.store = MemoryStateStore()
        self.store.flush(genesis_delta(self.genesis))
        self.now_ms = START_MS
        self.nonces = 0
        self.counters: dict[bytes, int] = {}
        self.last: ExecutionResult | None = None
        self.reopen()

    def reopen(self) -> None:
        """As after a restart: nothing is kept but the store."""
        verifier = ApprovalVerifier(self.genesis.cluster_id, VERIFIER)
        self.verifier = verifier
        self.ledger = Ledger(self.genesis, self.store, verifier)

    def run(self, *requests: Request | bytes, after_ms: int = 1, view: int = 0) -> Applied:
        """Execute one batch, ``after_ms`` after the previous one."""
        self.now_ms += after_ms
        batch = OrderedBatch(
            seq=Seq(self.ledger.head.seq + 1),
            timestamp_ms=self.now_ms,
            view=View(view),
            requests=tuple(r if isinstance(r, bytes) else r.to_bytes() for r in requests),
        )
        self.last = self.ledger.execute([batch])
        self.store.flush(self.last.delta)
        return self.last.applied[0]

    def do(self, request: Request | bytes, after_ms: int = 1) -> Outcome:
        return self.run(request, after_ms=after_ms).outcomes[0]

    def intent(
        self,
        operation: Operation | bytes,
        *,
        begin_ms: int | None = None,
        end_ms: int | None = None,
        genesis: Genesis | None = None,
    ) -> Intent:
        genesis = genesis or self.genesis
        self.nonces += 1
        begin = self.now_ms if begin_ms is None else begin_ms
        return Intent(
            cluster_id=genesis.cluster_id,
            policy_version=genesis.policy.version,
            policy_hash=genesis.policy.hash,
            operation=operation if isinstance(operation, bytes) else operation.to_bytes(),
            nonce=self.nonces.to_bytes(16, "big"),
            not_before_ms=begin,
            expires_ms=begin + DAY_MS if end_ms is None else end_ms,
        )

    def certificate(self, intent: Intent, *signers: SigningKey) -> ApprovalCertificate:
        data = intent.to_bytes()
        approvals = [approve(data, signer) for signer in signers or (ALICE, BOB)]
        return certify(data, approvals, self.genesis.policy, VERIFIER)

    def submit(self, operation: Operation, *signers: SigningKey) -> Submit:
        return Submit(certificate=self.certificate(self.intent(operation), *signers))

    def propose(self, intent: Intent, signer: SigningKey = ALICE) -> Propose:
        data = intent.to_bytes()
        return Propose(intent=data, approval=approve(data, signer))

    def pin(self, cid: Cid, **options: object) -> Outcome:
        return self.do(self.submit(PinOperation(cid=cid, **options)))

    def join(self, peer: SigningKey, *, free_bytes: int = GIB, counter: int = 0, **options: object):
        return join(
            peer,
            cluster_id=self.genesis.cluster_id,
            counter=counter or self.count(peer),
            name=options.get("name", "a peer"),
            addresses=options.get("addresses", ("/ip4/127.0.0.1/tcp/1",)),
            capacity_bytes=options.get("capacity_bytes", 10 * GIB),
            free_bytes=free_bytes,
            tags=options.get("tags", {}),
            registration=options.get("registration", b""),
        )

    def join_all(self, free_bytes: int = GIB) -> None:
        for peer in PEERS[: len(self.genesis.peers)]:
            assert self.do(self.join(peer, free_bytes=free_bytes)).is_accepted

    def report(
        self,
        peer: SigningKey,
        *entries: tuple,
        status: HolderStatus = HolderStatus.PINNED,
        free_bytes: int = GIB,
        counter: int = 0,
    ) -> ReportPinned:
        items = tuple(e if isinstance(e, ReportEntry) else ReportEntry(e, status) for e in entries)
        return report(
            peer,
            cluster_id=self.genesis.cluster_id,
            counter=counter or self.count(peer),
            entries=items,
            free_bytes=free_bytes,
        )

    def count(self, peer: SigningKey) -> int:
        self.counters[peer.public_key] = self.counters.get(peer.public_key, 0) + 1
        return self.counters[peer.public_key]

    def record(self, cid: Cid) -> PinRecord | None:
        peers = queries.peer_ids(self.store)
        return queries.pins_of(self.store, [cid], of=peers).get(cid)

"""What a simulated peer executes into: the real ledger, on a store that may lose its last flushes.

An embedded database in WAL mode loses, at a power cut, transactions that it acknowledged since its
last sync; what is left is a prefix of them. The log entries go with their transaction.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from bftcluster import cid
from bftcluster.cid import Cid
from bftcluster.errors import FatalStorageError
from bftcluster.ids import ClusterId, Digest, MaintainerId, PeerId, Seq
from bftcluster.ledger.genesis import Genesis, GenesisPeer
from bftcluster.ledger.ledger import Ledger, genesis_delta
from bftcluster.ledger.machine import Applied, OrderedBatch
from bftcluster.ledger.member_operations import AdmitPeer, RemovePeer
from bftcluster.ledger.memory import MemoryStore
from bftcluster.ledger.operations import EVERYWHERE, PinOperation
from bftcluster.ledger.requests import Submit
from bftcluster.ledger.spaces import Delta, Space
from bftcluster.ledger.verifying import ApprovalVerifier
from bftcluster.limits import INTENT_NONCE_SIZE_BYTES, PEERS_MAX
from bftcluster.membership import Membership
from bftcluster.pbft import Batch, Decided, EpochStart, LogEntry
from bftcluster.signing.approvals import Intent, approve
from bftcluster.signing.policies import Maintainer, Policy
from bftcluster.signing.schemes import scheme_of
from bftcluster_sim.cluster.signatures import SimSigner, SimVerifier, sim_key

WALL_EPOCH_MS = 1_700_000_000_000
LIFETIME_MS = 30 * 86_400_000
_NAMES = ("alice", "bob", "carol")
_MAINTAINERS = tuple(SimSigner(hashlib.sha256(name.encode()).digest()) for name in _NAMES)
_THRESHOLD = 2


@dataclass(frozen=True, slots=True)
class Founding:
    """A cluster's genesis, and what follows from it alone."""

    genesis: Genesis
    cluster_id: ClusterId
    delta: Delta

    def request(self, number: int) -> bytes:
        """Return the pin number ``number``, approved by enough maintainers."""
        return _pin_request(self, pinned(number))

    def member_request(self, number: int, operation: AdmitPeer | RemovePeer) -> bytes:
        """Return change of members number ``number``, approved likewise."""
        return _approved(self, operation.to_bytes(), b"change %d" % number)


@lru_cache(maxsize=32)
def founding(n: int, checkpoint_interval_seqs: int) -> Founding:
    """Return the founding of a cluster of ``n`` simulated peers."""
    founders = [
        Maintainer(name=name, key=MaintainerId(signer.public_key))
        for name, signer in zip(_NAMES, _MAINTAINERS, strict=True)
    ]
    genesis = Genesis(
        name="simulated",
        created_ms=WALL_EPOCH_MS,
        peers=tuple(
            GenesisPeer(peer=PeerId(sim_key(i)), name=f"peer{i}", addresses=()) for i in range(n)
        ),
        policy=Policy.of(*founders, threshold=_THRESHOLD),
        checkpoint_interval=checkpoint_interval_seqs,
        nonce=bytes(32),
    )
    return Founding(genesis, genesis.cluster_id, genesis_delta(genesis))


@lru_cache(maxsize=4096)
def pinned(number: int) -> Cid:
    """Return the CID that pin number ``number`` is about."""
    return cid.of_block(b"block %d" % number)


def _pin_request(founding: Founding, what: Cid) -> bytes:
    operation = PinOperation(
        cid=what, name="pin", replication_min=EVERYWHERE, replication_max=EVERYWHERE
    )
    return _approved(founding, operation.to_bytes(), what)


def _approved(founding: Founding, operation: bytes, name: bytes) -> bytes:
    policy = founding.genesis.policy
    intent = Intent(
        cluster_id=founding.cluster_id,
        policy_version=policy.version,
        policy_hash=policy.hash,
        operation=operation,
        nonce=hashlib.sha256(name).digest()[:INTENT_NONCE_SIZE_BYTES],
        not_before_ms=WALL_EPOCH_MS - LIFETIME_MS,
        expires_ms=WALL_EPOCH_MS + LIFETIME_MS,
    ).to_bytes()
    signatures = {
        approval.maintainer: approval.signature
        for approval in (approve(intent, maintainer) for maintainer in _MAINTAINERS[:_THRESHOLD])
    }
    return Submit(certificate=scheme_of(policy).combine(intent, signatures, policy)).to_bytes()


@dataclass(frozen=True, slots=True)
class Done:
    """What executing a batch led to."""

    root: Digest | None
    """Of the state, at a checkpoint."""
    named: Membership | None
    """The next epoch's, if this checkpoint names it."""
    applied: Applied


@dataclass(slots=True)
class _Flushed:
    delta: Delta
    entry: bytes
    root: Digest | None
    timestamp_ms: int


class LedgerState:
    """One peer's ledger and log, and how much of them is on the disk for good."""

    def __init__(
        self,
        founding: Founding,
        approvals: ApprovalVerifier,
        call: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """Begin at genesis.

        Args:
            founding: Of the cluster.
            approvals: Checks what maintainers signed.
            call: Told of each write, before it happens; raises ``OSError`` if it fails.
        """
        self.entries: list[bytes] = []
        """``LogEntry`` bytes from sequence number 1 on."""
        self.timestamp_ms = 0
        self.checkpoint_root: Digest | None = None
        self._founding = founding
        self._approvals = approvals
        self._call = call
        self._flushed: list[_Flushed] = []
        self._synced = 0
        self._ledger = self._rebuild()

    @property
    def executed(self) -> Seq:
        """The last sequence number whose effects are here."""
        return Seq(len(self.entries))

    @property
    def epochs(self) -> tuple[EpochStart, ...]:
        """Who votes from when on, the epochs to come included."""
        return self._ledger.epochs

    @property
    def chain(self) -> Digest:
        """Hash chain over everything executed, out of the ledger's head."""
        return self._ledger.head.chain

    @property
    def admitted(self) -> set[PeerId]:
        """Who belongs to the cluster, voting or not."""
        return {PeerId(key) for key, _ in self._store.iterate(Space.PEER, b"", PEERS_MAX)}

    @property
    def wants_batches(self) -> bool:
        """Whether something is under way that batches bring further."""
        return self._ledger.wants_batches

    def execute(self, one: Decided) -> Done:
        """Execute and flush a batch.

        Raises:
            FatalStorageError: Nothing of it was stored.
        """
        assert one.seq == self.executed + 1, "batches are executed in order, once"
        batch = Batch.from_bytes(one.batch)
        ordered = OrderedBatch(
            seq=one.seq, timestamp_ms=batch.timestamp_ms, view=batch.view, requests=batch.requests
        )
        done = self._ledger.execute([ordered])
        self._write("commit")
        self._store.flush(done.delta)
        root, named = done.roots.get(one.seq), done.memberships.get(one.seq)
        entry = LogEntry(one.seq, one.batch, one.certificate).to_bytes()
        stamped_ms = max(self.timestamp_ms, batch.timestamp_ms)
        self._flushed.append(_Flushed(done.delta, entry, root, stamped_ms))
        self._take(self._flushed[-1])
        return Done(root, named, done.applied[0])

    def sync(self) -> None:
        """Make everything flushed durable.

        Raises:
            FatalStorageError: It may not be.
        """
        self._write("sync ledger")
        self._synced = len(self._flushed)

    def cut_power(self, random: Random) -> None:
        """Lose some of the last flushes, and start over with what is left."""
        del self._flushed[random.randint(self._synced, len(self._flushed)) :]
        self._synced = len(self._flushed)
        self.restart()

    def lose_after(self, seq: Seq) -> None:
        """Go back to an older state: a restored backup."""
        del self._flushed[seq:]
        self._synced = len(self._flushed)
        self.restart()

    def restart(self) -> None:
        """Read everything from the store again."""
        self.entries, self.timestamp_ms, self.checkpoint_root = [], 0, None
        self._ledger = self._rebuild()

    def _write(self, action: str) -> None:
        try:
            self._call(action)
        except OSError as exc:
            raise FatalStorageError(f"cannot {action}: {exc.strerror}") from exc

    def _rebuild(self) -> Ledger:
        self._store = MemoryStore()
        self._store.flush(self._founding.delta)
        for flushed in self._flushed:
            self._store.flush(flushed.delta)
            self._take(flushed)
        return Ledger(self._founding.genesis, self._store, self._approvals)

    def _take(self, flushed: _Flushed) -> None:
        self.entries.append(flushed.entry)
        self.timestamp_ms = flushed.timestamp_ms
        if flushed.root is not None:
            self.checkpoint_root = flushed.root


def approvals_of(founding: Founding) -> ApprovalVerifier:
    """Return the verifier of approvals that all peers of one world share."""
    return ApprovalVerifier(founding.cluster_id, SimVerifier())

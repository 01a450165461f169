"""What a simulated peer executes into: the real ledger, on a database that may lose its end."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from bftcluster import cid
from bftcluster.cid import Cid
from bftcluster.ids import ClusterId, Digest, MaintainerId, PeerId, Seq
from bftcluster.ledger.ledger import Ledger, genesis_delta
from bftcluster.ledger.rows.store import Delta
from bftcluster.ledger.rules.recovery import VerifiedRecovery, verify_recovery
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.records import PinRecord
from bftcluster.ledger.wire.genesis import Genesis, GenesisPeer
from bftcluster.ledger.wire.operations import (
    EVERYWHERE,
    MemberOperation,
    PinOperation,
    UnpinOperation,
)
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.ledger.wire.recovery_operation import RecoverCluster
from bftcluster.ledger.wire.requests import Submit
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.limits import AUDIT_DAY_DEFAULT_MS, INTENT_NONCE_SIZE_BYTES, PERIOD_DEFAULT_MS
from bftcluster.pbft import CheckpointCertificate, Decided, EpochStart, Recovered
from bftcluster.signing.approvals import Intent, approve
from bftcluster.signing.policies import Maintainer, Policy
from bftcluster.signing.schemes import scheme_of
from bftcluster.sync.epoch_proofs import EpochLink, recoveries_in
from bftcluster.sync.execution import ExecutedBatch, execute, recovered
from bftcluster.sync.retention import keep_link, settle
from bftcluster.sync.rewind import begin_recovery, goes_back, links_to_change, stage_checkpoint
from bftcluster_sim.cluster.environment.signatures import SimSigner, SimVerifier, sim_key
from bftcluster_sim.cluster.peers.databases import Checkpoint, SimDatabase

WALL_EPOCH_MS = 1_700_000_000_000
_PINS_MAX = 10_000
CAPACITY_BYTES = 1 << 30
TERMS = PeerTerms(capacity_bytes=CAPACITY_BYTES)
"""Every simulated peer lends as much as it may."""
LIFETIME_MS = 30 * 86_400_000
_NAMES = ("alice", "bob", "carol")
_MAINTAINERS = tuple(SimSigner(hashlib.sha256(name.encode()).digest()) for name in _NAMES)
_THRESHOLD = 2


@dataclass(frozen=True, slots=True)
class Founding:
    """A cluster's genesis, and what every peer begins with."""

    genesis: Genesis
    cluster_id: ClusterId
    delta: Delta
    """The rows of the genesis, or of a later state."""
    checkpoint: Checkpoint | None = None
    """Which state that is, if a later one."""

    def request(self, number: int) -> bytes:
        """Return the pin number ``number``, approved by enough maintainers."""
        return _pin_request(self, pinned(number))

    def placed_request(self, number: int, holders: tuple[PeerId, ...] = ()) -> bytes:
        """Return the pin number ``number``, of which these, or else any two, hold copies."""
        return _pin_request(self, pinned(number), len(holders) or 2, holders)

    def unpin_request(self, number: int) -> bytes:
        """Return the end of the pin number ``number``."""
        return _approved(self, UnpinOperation(cid=pinned(number)).to_bytes(), b"unpin %d" % number)

    def recovery(self, operation: RecoverCluster) -> VerifiedRecovery:
        """Return a recovery, signed by enough maintainers."""
        request = _approved(self, operation.to_bytes(), b"recovery %d" % operation.epoch)
        return verify_recovery(request, self.cluster_id, self.genesis.policy, SimVerifier())

    def member_request(self, number: int, operation: MemberOperation) -> bytes:
        """Return change of members number ``number``, approved likewise."""
        return _approved(self, operation.to_bytes(), b"change %d" % number)


@lru_cache(maxsize=32)
def founding(
    n: int,
    checkpoint_interval_seqs: int,
    period_ms: int = PERIOD_DEFAULT_MS,
    audit_day_ms: int = AUDIT_DAY_DEFAULT_MS,
    created_ms: int = WALL_EPOCH_MS,
) -> Founding:
    """Return the founding of a cluster of ``n`` simulated peers."""
    founders = [
        Maintainer(name=name, key=MaintainerId(signer.public_key))
        for name, signer in zip(_NAMES, _MAINTAINERS, strict=True)
    ]
    genesis = Genesis(
        name="simulated",
        created_ms=created_ms,
        peers=tuple(
            GenesisPeer(peer=PeerId(sim_key(i)), name=f"peer{i}", addresses=(), terms=TERMS)
            for i in range(n)
        ),
        policy=Policy.of(*founders, threshold=_THRESHOLD),
        checkpoint_interval=checkpoint_interval_seqs,
        period_ms=period_ms,
        audit_day_ms=audit_day_ms,
        nonce=bytes(32),
    )
    return Founding(genesis, genesis.cluster_id, genesis_delta(genesis))


@lru_cache(maxsize=4096)
def pinned(number: int) -> Cid:
    """Return the CID that pin number ``number`` is about."""
    return cid.of_block(b"block %d" % number)


def _pin_request(
    founding: Founding, what: Cid, copies: int = EVERYWHERE, holders: tuple[PeerId, ...] = ()
) -> bytes:
    operation = PinOperation(
        cid=what,
        name="pin",
        replication_min=min(copies, 1),
        replication_max=copies,
        user_allocations=holders,
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


class LedgerState:
    """One peer's ledger and the database that it lives in."""

    def __init__(
        self,
        founding: Founding,
        approvals: ApprovalVerifier,
        call: Callable[[str], None] = lambda _name: None,
        *,
        log_kept_seqs: int | None = None,
    ) -> None:
        """Begin at genesis.

        Args:
            founding: Of the cluster.
            approvals: Checks what maintainers signed.
            call: Told of each write, before it happens; raises ``OSError`` if it fails.
            log_kept_seqs: Log entries kept before a stable checkpoint; None: all.
        """
        self._log_kept_seqs = log_kept_seqs
        self._founding = founding
        self.approvals = approvals.sibling()
        """What this peer asks of requests; of signatures it knows what all peers know."""
        self.database = SimDatabase(founding.delta, call, founding.checkpoint)
        self.restart()

    @property
    def executed(self) -> Seq:
        """The last sequence number whose effects are here."""
        return self.database.position()

    @property
    def log(self) -> Mapping[Seq, bytes]:
        """The log entries that are kept."""
        return self.database.tables.log

    @property
    def forgotten(self) -> Seq:
        """Up to here log entries may be missing, whose effects are in the state."""
        return self.database.tables.forgotten

    @property
    def installed(self) -> Checkpoint | None:
        """The last state that was fetched and put in place."""
        return self.database.tables.installed

    @property
    def epochs(self) -> tuple[EpochStart, ...]:
        """Who votes from when on, the epochs to come included."""
        return self.ledger.epochs

    @property
    def chain(self) -> Digest:
        """Hash chain over everything executed, out of the ledger's head."""
        return self.ledger.head.chain

    @property
    def admitted(self) -> set[PeerId]:
        """Who belongs to the cluster, voting or not."""
        return set(queries.peer_ids(self.database))

    def pins(self, after: bytes, limit: int, *, of: PeerId) -> list[PinRecord]:
        """Return up to ``limit`` pins behind ``after``, each with what one peer reported of it."""
        return queries.pins_behind(self.database, after, limit, of=(of,))

    def pins_of(self, cids: Sequence[Cid], *, of: PeerId) -> dict[Cid, PinRecord]:
        """Return those of ``cids`` that are pinned, likewise."""
        return queries.pins_of(self.database, cids, of=(of,))

    def duties(self, peer: PeerId) -> tuple[set[Cid], set[Cid]]:
        """Return what ``peer`` is to hold, and what it reported to hold."""
        pins = self.pins(b"", _PINS_MAX, of=peer)
        owed = {pin.cid for pin in pins if pin.is_owed_by(peer)}
        return owed, {pin.cid for pin in pins if peer in pin.holders}

    def standings(self) -> tuple[set[PeerId], set[PeerId]]:
        """Return against whom there is proof on the log, and who is evicted."""
        reputations = queries.reputations(self.database).items()
        evicted = {peer for peer, reputation in reputations if reputation.is_evicted}
        return set(queries.evidence_by_peer(self.database)), evicted

    def failed(self) -> set[PeerId]:
        """Return who failed an audit, however long ago."""
        reputations = queries.reputations(self.database).items()
        return {peer for peer, each in reputations if each.integrity.failed is not None}

    def recovered(self, records: Sequence[bytes], wall_ms: int) -> Recovered:
        """Return what a replica starts from, given its write-ahead log and the time."""
        return recovered(
            self.ledger,
            self.database,
            records=records,
            checkpoint=None if self.installed is None else self.installed[1],
            read_log=self.database.entries,
            application=self.approvals,
            wall_ms=wall_ms,
        )

    def execute(self, one: Decided) -> ExecutedBatch:
        """Execute and flush a batch.

        Raises:
            FatalStorageError: Nothing of it was stored.
        """
        [done] = execute(self.ledger, self.database, [one.entry])
        return done

    def settle(self, stable: CheckpointCertificate | None) -> None:
        """Make everything executed durable; forget log entries that need not be kept.

        Raises:
            FatalStorageError: The disk fails.
        """
        settle(self.ledger, self.database, stable, log_kept_seqs=self._log_kept_seqs)

    def keep_link(self, stable: CheckpointCertificate | None) -> None:
        """Make the link between two epochs, if a process died before it could.

        Raises:
            FatalStorageError: The disk fails.
        """
        keep_link(self.ledger, self.database, stable)

    def open(self) -> None:
        """Install what was fetched whole, if anything was.

        Raises:
            FatalStorageError: The disk fails.
        """
        if self.database.stage.install():
            self.database.sync()
            self.restart()
        begin_recovery(self.ledger, self.database)

    def rewind(self, recovery: VerifiedRecovery, link: EpochLink) -> None:
        """Begin a recovery: go back to its checkpoint, if we are beyond it.

        Raises:
            FatalStorageError: The disk fails.
        """
        seq, database = recovery.operation.seq, self.database
        is_staged = goes_back(seq, self.executed, self.epochs)
        if is_staged:
            root = recovery.operation.state_root
            assert stage_checkpoint(database.stage, database, root), "the last checkpoint is kept"
        links = links_to_change(self.epochs, recovery.start, link)
        database.rewind(seq, links, is_staged=is_staged)
        database.sync()
        self.restart()

    def cut_power(self, random: Random) -> None:
        """Lose some of the last flushes, and start over with what is left."""
        self.database.cut_power(random)
        self.restart()

    def lose_after(self, seq: Seq) -> None:
        """Go back to an older state: a restored backup."""
        self.database.lose_after(seq)
        self.restart()

    def restart(self) -> None:
        """Read everything from the store again."""
        self.ledger = Ledger(
            self._founding.genesis,
            self.database.tables.state,
            self.approvals,
            keeps_earlier=self._log_kept_seqs is not None,
            recoveries=recoveries_in(
                self.database.tables.state,
                self._founding.cluster_id,
                self._founding.genesis.policy,
                SimVerifier(),
            ),
        )

    def root(self) -> Digest:
        """Return the root of the state, computed from its rows alone."""
        return queries.recomputed_root(self.database)


def approvals_of(founding: Founding) -> ApprovalVerifier:
    """Return the verifier whose memory of approvals all peers of one world share."""
    return ApprovalVerifier(founding.cluster_id, SimVerifier())

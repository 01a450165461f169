"""The ledger as a node uses it: batches in; deltas, outcomes, effects and state roots out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bftcluster.allocation.roster import Roster
from bftcluster.errors import ConfigError, HaltedError
from bftcluster.ids import Digest, Seq
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import Rows, Space
from bftcluster.ledger.rows.store import Delta, StatePort
from bftcluster.ledger.rows.tree import StateTree, stored_root
from bftcluster.ledger.rows.tree_history import Read
from bftcluster.ledger.rules.batch import (
    Applied,
    OrderedBatch,
    apply,
    due_ms,
    keys_of,
    wants_batches,
)
from bftcluster.ledger.rules.effects import Effect
from bftcluster.ledger.rules.recovery import VerifiedRecovery, carry_out, problem_with
from bftcluster.ledger.rules.relevance import Wanting
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.ledger.state.records import Head
from bftcluster.ledger.state.state import GENESIS_KEY, HEAD_KEY, POLICY_KEY, State
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.recovery_operation import RecoverCluster
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.membership import Membership
from bftcluster.pbft.epochs import EpochStart, with_start
from bftcluster.reputation import OrderedEvidence, founder, period_of, terms_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """What executing some batches led to."""

    delta: Delta
    """Every row that changed, the tree's included: to be flushed before the next ``execute``."""
    applied: tuple[Applied, ...]
    """One per batch, in order: its outcomes and effects."""
    roots: Mapping[Seq, Digest]
    """State roots of those batches that end a checkpoint interval."""
    memberships: Mapping[Seq, Membership]
    """Those of the next epochs, by the checkpoints that name them."""


class Ledger:
    """Executes batches against a store. It reads from the store and never writes to it."""

    def __init__(
        self,
        genesis: Genesis,
        store: StatePort,
        verifier: ApprovalVerifier,
        *,
        keeps_earlier: bool = False,
        read: Read | None = None,
        recoveries: Sequence[VerifiedRecovery] = (),
    ) -> None:
        """Continue from what the store holds.

        Args:
            genesis: Of the cluster.
            store: Where all rows are.
            verifier: Checks what maintainers signed.
            keeps_earlier: Keep the states of some checkpoints before the last one always. Needed
                where logs are cut: while the last checkpoint waits for the vote of one who lags, it
                is certified by nobody, and the one before is all that this one can go on from.
            read: Reads rows as of the last flush, in any thread; by default the store's own, which
                one thread may use.
            recoveries: Those that this peer knows of; each is carried out behind its checkpoint.

        Raises:
            ConfigError: The store holds nothing, or another cluster's state.
        """
        stored = store.get(Space.META, GENESIS_KEY)
        if stored is None:
            raise ConfigError("the ledger is empty: the genesis was not written to it")
        if stored != genesis.to_bytes():
            raise ConfigError(
                "the ledger belongs to another cluster",
                hint="use the genesis file that this data directory was made with",
            )
        assert verifier.cluster_id == genesis.cluster_id, "one cluster per process"
        self.genesis = genesis
        self.store = store
        self._verifier = verifier
        self._state = State(store, Roster())
        self._recoveries = recoveries
        self._tree = StateTree(store)
        self._keeps_earlier = self._tree.keeps_earlier = keeps_earlier
        verifier.learn(self._state.policy)
        wanting = Wanting(self._state, read or store.get, verifier, period_ms=genesis.period_ms)
        verifier.follow(wanting.refusal)

    @property
    def head(self) -> Head:
        """How far the log was executed."""
        return self._state.head

    @property
    def epochs(self) -> tuple[EpochStart, ...]:
        """Who votes from when on: every epoch there was, and those to come."""
        epochs = self._state.epochs
        for recovery in self._recoveries:
            epochs = with_start(epochs, recovery.start)
        return tuple(epochs)

    def problem_with(self, recovery: RecoverCluster) -> str:
        """Return why a recovery does not fit the state at its checkpoint, where this one is."""
        return problem_with(recovery, self._state, self.genesis.period_ms)

    def recover(self) -> Delta:
        """Return the rows that a recovery changes which begins behind the last batch, if any does.

        Raises:
            HaltedError: Our state is not the one that the recovery names.
        """
        effects = self._recover(stored_root(self.store.get))
        if effects is None:
            return {}
        self._tree.absorb(self._state.take_dirty())
        return {**self._state.take_delta(), **self._tree.take_delta(self.head.seq)}

    def _recover(self, root: Digest) -> Sequence[Effect] | None:
        """Carry out the recovery that begins here; return its effects, ``None`` if none does.

        Args:
            root: Of the state at the last checkpoint.
        """
        for recovery in self._recoveries:
            is_new = recovery.start in self.epochs and recovery.start not in self._state.epochs
            if is_new and recovery.operation.seq == self.head.seq:
                self._check(recovery.operation, root)
                return carry_out(recovery, self._state, self.genesis)
        return None

    def _check(self, operation: RecoverCluster, root: Digest) -> None:
        problem = self.problem_with(operation)
        if operation.state_root != root:
            problem = f"the state at {self.head.seq} is not the one that the cluster recovered from"
        if problem:
            hint = "compare it with other peers; a damaged disk joins again under a new key"
            raise HaltedError(problem, hint=hint)

    @property
    def wants_batches(self) -> bool:
        """Whether something is under way that every batch, or a checkpoint, brings further."""
        return wants_batches(self._state)

    @property
    def due_ms(self) -> int | None:
        """From which time of a batch on something happens by itself, if anything will."""
        return due_ms(self._state, self.genesis)

    def keep_earlier(self, keeps: bool) -> None:
        """Keep the states of some checkpoints before the last one from now on, or no longer.

        May be called in any thread. A ledger that keeps them always goes on doing so.
        """
        self._tree.keeps_earlier = keeps or self._keeps_earlier

    def checkpoint_root(self) -> Digest | None:
        """Return the state root of the last checkpoint that was flushed; None before the first."""
        if self.head.seq < self.genesis.checkpoint_interval:
            return None
        return stored_root(self.store.get)

    def execute(self, batches: Sequence[OrderedBatch]) -> ExecutionResult:
        """Execute consecutive batches, the first right after ``head.seq``."""
        assert batches, "something to execute"
        requests = (request for batch in batches for request in batch.requests)
        proposals_open = self.head.proposals_open > 0
        self.store.prefetch(keys_of(requests, self._verifier, proposals_open=proposals_open))
        applied: list[Applied] = []
        roots: dict[Seq, Digest] = {}
        at_root: Read = self.store.get
        for batch in batches:
            applied.append(apply(batch, self._state, self.genesis, self._verifier))
            if batch.seq % self.genesis.checkpoint_interval == 0:
                self._tree.absorb(self._state.take_dirty(), at_root)
                roots[batch.seq] = self._tree.root()
                at_root = self._state.as_of_now()
                applied[-1] = self._recovered(applied[-1], roots[batch.seq])
        self._tree.absorb(self._state.take_dirty(), at_root)
        delta = self._state.take_delta()
        delta.update(self._tree.take_delta(self.head.seq))
        memberships = {
            batch.seq: each.next_membership
            for batch, each in zip(batches, applied, strict=True)
            if each.next_membership is not None
        }
        return ExecutionResult(
            delta=delta, applied=tuple(applied), roots=roots, memberships=memberships
        )

    def _recovered(self, applied: Applied, root: Digest) -> Applied:
        """Return what a checkpoint's batch led to, with the recovery that begins behind it."""
        effects = self._recover(root) if self._recoveries else None
        if effects is None:
            return applied
        return replace(
            applied,
            effects=(*applied.effects, *effects),
            due_ms=self.due_ms,
            wants_batches=wants_batches(self._state),
        )


def genesis_delta(genesis: Genesis) -> Delta:
    """Return the rows of a new cluster, to be flushed into an empty store at position 0."""
    version = genesis.policy.version.to_bytes(8, "big")
    chain = Digest(hashlib.sha256(genesis.cluster_id).digest())
    head = Head(
        seq=Seq(0),
        timestamp_ms=genesis.created_ms,
        chain=chain,
        next_sweep_ms=genesis.created_ms,
        pins=0,
        pins_ever=0,
        proposals_open=0,
        period=period_of(genesis.created_ms, genesis.period_ms),
    )
    rows: dict[Space, Rows] = {
        Space.META: {
            GENESIS_KEY: genesis.to_bytes(),
            HEAD_KEY: head.to_value(),
            POLICY_KEY: version,
        },
        Space.POLICY: {version: genesis.policy.to_bytes()},
        Space.PEER: {
            item.peer: PeerRecord(
                peer=item.peer,
                name=item.name,
                addresses=item.addresses,
                is_replica=True,
                terms=item.terms,
            ).to_value()
            for item in genesis.peers
        },
    }
    evidence = OrderedEvidence(digest=Digest(genesis.cluster_id), seq=Seq(0))
    reputation = founder(
        head.period, terms_of(genesis.period_ms, genesis.day_ms), evidence
    ).to_value()
    rows[Space.REPUTATION] = {item.peer: reputation for item in genesis.peers}
    tree = StateTree(MemoryStateStore())
    tree.absorb(rows.items())
    tree.root()
    delta = {(space, key): value for space, part in rows.items() for key, value in part.items()}
    return {**delta, **tree.take_delta(Seq(0))}

"""What the rules pass to each other while one batch is executed."""

from dataclasses import dataclass, field

from bftcluster.ids import Digest, MaintainerId, Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.effects import Effect
from bftcluster.ledger.state.beacon_rows import changes
from bftcluster.ledger.state.beacon_state import BeaconState
from bftcluster.ledger.state.state import State
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.operations import Operation, content_of
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.reputation import period_of
from bftcluster.signing.approvals import Intent


@dataclass(slots=True, kw_only=True)
class Execution:
    """One batch on its way through the machine."""

    genesis: Genesis
    state: State
    seq: Seq
    now_ms: int
    """The batch's timestamp: the only clock there is."""
    pins: int = field(init=False)
    """How many there are now; like the next two, at first as of the batch before."""
    pins_ever: int = field(init=False)
    """How many there ever were."""
    proposals_open: int = field(init=False)
    effects: list[Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        head = self.state.head
        self.pins = head.pins
        self.pins_ever = head.pins_ever
        self.proposals_open = head.proposals_open

    @property
    def period(self) -> int:
        """The number of the batch's period."""
        return period_of(self.now_ms, self.genesis.period_ms)

    @property
    def draws_from(self) -> bytes:
        """What lots are drawn from now, 32 bytes: the last beacon, or the cluster's id."""
        return self.state.beacon.last or self.genesis.cluster_id

    def set_beacon(self, beacon: BeaconState) -> None:
        """Set what is known of the beacon, and of who makes it."""
        for key, value in changes(self.state.beacon, beacon):
            self.state.put(Space.BEACON, key, value)
        self.state.beacon = beacon


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """An operation that enough maintainers agreed to, ready to execute."""

    intent: Intent
    operation: Operation
    approvers: tuple[MaintainerId, ...]

    def outcome(self, code: OutcomeCode, detail: str = "") -> Outcome:
        """Return how executing it ended."""
        return Outcome(code, detail, self.intent.digest, content_of(self.operation))


def judge_intent(execution: Execution, intent: Intent) -> Outcome | None:
    """Return why ``intent`` does not count now, or ``None`` if it does; note one that is early.

    The guards run in a fixed order, so that all replicas give the same reason.
    """
    state, now_ms, digest = execution.state, execution.now_ms, intent.digest
    if intent.cluster_id != execution.genesis.cluster_id:
        return Outcome(OutcomeCode.WRONG_CLUSTER, "approved for another cluster", digest)
    policy = state.policy
    if (intent.policy_version, intent.policy_hash) != (policy.version, policy.hash):
        detail = f"approved under another policy than the current version {policy.version}"
        return Outcome(OutcomeCode.WRONG_POLICY, detail, digest)
    if now_ms < intent.not_before_ms:
        detail = f"valid from {intent.not_before_ms} ms, it is {now_ms} ms"
        early = Outcome(OutcomeCode.NOT_YET_VALID, detail, digest)
        note_refused(execution, intent, early)
        return early
    if now_ms >= intent.expires_ms:
        detail = f"expired at {intent.expires_ms} ms, it is {now_ms} ms"
        return Outcome(OutcomeCode.EXPIRED, detail, digest)
    used = state.get(Space.NONCE, nonce_key(intent))
    if used is not None:
        return replayed(digest, Seq(int.from_bytes(used, "big")))
    return None


def note_refused(execution: Execution, intent: Intent, outcome: Outcome) -> None:
    """Remember a refusal that another time, or another state, may turn into a yes."""
    execution.state.tried.note(intent, outcome, execution.seq, execution.now_ms)


def replayed(digest: Digest, used_in: Seq) -> Outcome:
    """Return the outcome of an intent that batch ``used_in`` used or rejected."""
    detail = f"this intent was used or rejected in batch {used_in}"
    return Outcome(OutcomeCode.REPLAYED, detail, digest, earlier=used_in)


def burn(execution: Execution, intent: Intent) -> None:
    """Remember until its expiry that ``intent`` cannot be used any more."""
    execution.state.put(Space.NONCE, nonce_key(intent), execution.seq.to_bytes(8, "big"))
    execution.state.seen.note(intent.digest, execution.now_ms)


def nonce_key(intent: Intent) -> bytes:
    """Return the key that remembers a used intent; those that expire first sort first."""
    return intent.expires_ms.to_bytes(8, "big") + intent.digest

"""A replica's settings: what an operator may tune, and what a whole cluster must agree on."""

from dataclasses import dataclass

from bftcluster.limits import (
    BATCH_REQUESTS_MAX,
    BATCH_SHARE_MAX_BYTES,
    BATCH_SIZE_MAX_BYTES,
    CHECKPOINT_INTERVAL_SEQS,
    POOL_REQUESTS_MAX,
    POOL_SIZE_MAX_BYTES,
    SLOTS_IN_FLIGHT_MAX,
    UNEXECUTED_SIZE_MAX_BYTES,
    WINDOW_SIZE_SEQS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSettings:
    """Sizes and times of one replica.

    ``checkpoint_interval_seqs`` and ``window_size_seqs`` must be equal at all replicas (they come
    from the genesis); the rest is local.
    """

    batch_requests_max: int = BATCH_REQUESTS_MAX
    """Most requests a primary puts in one batch."""
    batch_size_max_bytes: int = BATCH_SIZE_MAX_BYTES // 2
    """Most bytes of requests a primary puts in one batch."""
    batch_share_max_bytes: int = BATCH_SHARE_MAX_BYTES
    """Of them, most from one sender, beyond its first request."""
    unexecuted_size_max_bytes: int = UNEXECUTED_SIZE_MAX_BYTES
    """Once batches that are not executed have as many bytes, a primary proposes no further one."""
    batch_delay_ms: int = 0
    """How long a batch that is not full waits while others are in flight. 0: not at all. An idle
    primary never waits."""
    slots_in_flight_max: int = SLOTS_IN_FLIGHT_MAX
    """Proposals a primary has open at once."""
    execution_backlog_max_seqs: int = 64
    """A primary pauses when this many decided batches wait for its executor: back-pressure."""
    checkpoint_interval_seqs: int = CHECKPOINT_INTERVAL_SEQS
    """Every how many sequence numbers the state root is voted on."""
    window_size_seqs: int = 0
    """Distance of the high watermark from the low one; 0: what the interval asks for. A primary
    uses the lower half only, so that a backup one checkpoint behind still accepts what it
    proposes."""
    clock_skew_max_ms: int = 30_000
    """A fresh proposal stamped further than this from our wall clock is refused."""

    status_interval_ms: int = 500
    """How often we say where we are. Drives retransmission and catch-up."""
    fetch_timeout_ms: int = 400
    """How long one source has to answer a fetch, before the next is asked."""
    fetch_entries_max: int = 64
    """Log entries asked for at once."""

    follow_hold_ms: int = 5_000
    """How long a question of one who does not vote is held while there is nothing to answer."""
    follow_compare_ms: int = 20_000
    """How often such a one asks another than its source whether there is more."""

    request_timeout_ms: int = 400
    """How long a request waits for its decision, before it is relayed to every replica."""
    view_change_timeout_ms: int = 800
    """How long a relayed request or open slot may wait for its decision, before we ask for the next
    view; and how long a new primary has, from a quorum of VIEW-CHANGEs. Doubles per failed view."""
    request_expiry_ms: int = 60_000
    """How long a request of others waits here; whoever wants it brings it again before."""
    view_change_timeout_max_ms: int = 60_000
    """Where the doubling ends."""
    view_change_resend_ms: int = 1_000
    """How often an unanswered VIEW-CHANGE is repeated."""

    pool_requests_max: int = POOL_REQUESTS_MAX
    """Requests waiting for a decision; more are refused."""
    pool_size_max_bytes: int = POOL_SIZE_MAX_BYTES
    """Bytes of them."""

    state_fetch_behind_seqs: int = 10_000
    """Further behind than this, we have the state fetched rather than all the log."""
    state_fetch_retry_ms: int = 5_000
    """How often a state transfer that is still needed is asked for anew."""

    @property
    def window_seqs(self) -> int:
        """How far the high watermark is from the low one."""
        return self.window_size_seqs or max(WINDOW_SIZE_SEQS, 2 * self.checkpoint_interval_seqs)

    def __post_init__(self) -> None:
        assert self.window_seqs >= 2 * self.checkpoint_interval_seqs, "a window has two halves"
        assert self.slots_in_flight_max >= 1, "a primary needs a slot"
        assert 1 <= self.batch_requests_max <= BATCH_REQUESTS_MAX, "others accept no more"
        assert self.batch_size_max_bytes <= BATCH_SIZE_MAX_BYTES, "others accept no more"
        assert 0 < self.view_change_timeout_ms <= self.view_change_timeout_max_ms, "time to change"

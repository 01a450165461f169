"""Remembers the intents of late, in memory: which came up at all, and which were refused.

A new one is known to be new without the disk; and one refusal is not ordered all the time. An
intent has many requests, one for each choice of its signers and each of its votes, and anybody may
send them: so the pace is the intent's, whatever carries it.
"""

from dataclasses import dataclass
from typing import Final

from bftcluster.ids import Digest, Seq
from bftcluster.ledger.state.records import Head
from bftcluster.ledger.wire.bounded_cache import Recent
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.limits import SEEN_INTENTS_MAX, TRIED_AGAIN_PACE_MS, TRIED_MEMORY_MAX_BYTES
from bftcluster.signing.approvals import Intent

_PREFIX_SIZE: Final = 16
"""Of a digest; nobody finds two intents that agree in it."""
_SIZE_BYTES: Final = 700
"""What remembering a refusal takes, roughly."""


class SeenIntents:
    """Remembers intents that were opened, used or rejected, in two generations.

    No batch takes an intent before it is valid. So one that is valid from a time on at which we
    remembered everything, and that is not remembered, never came up.

    Safe to ask from other threads than the one that notes.
    """

    __slots__ = ("_begun_ms", "_old", "_since_ms", "_young")

    def __init__(self, now_ms: int) -> None:
        self._old: set[bytes] = set()
        self._young: set[bytes] = set()
        self._since_ms = now_ms
        """From when on everything is remembered."""
        self._begun_ms = now_ms
        """From when on the younger generation remembers everything."""

    def note(self, digest: Digest, now_ms: int) -> None:
        """Remember an intent that came up in a batch of ``now_ms``."""
        if len(self._young) >= SEEN_INTENTS_MAX:
            # In this order: whoever asks meanwhile may be unsure, never wrong.
            self._since_ms = self._begun_ms
            self._old = self._young
            self._young = set()
            self._begun_ms = now_ms
        self._young.add(digest[:_PREFIX_SIZE])

    def may_have(self, intent: Intent) -> bool:
        """Return False only if ``intent`` never came up."""
        name = intent.digest[:_PREFIX_SIZE]
        return intent.not_before_ms < self._since_ms or name in self._young or name in self._old


@dataclass(frozen=True, slots=True)
class _Tried:
    outcome: Outcome
    seq: Seq
    """The batch that refused it last."""
    first_ms: int
    last_ms: int


class TriedIntents:
    """Remembers refusals by intent. Memory alone: a restart, or a state that is fetched, loses it.

    Safe to ask from other threads than the one that notes.
    """

    __slots__ = ("_begun_ms", "_tried")

    def __init__(self, now_ms: int) -> None:
        self._begun_ms = now_ms
        """From when on refusals are remembered."""
        self._tried: Recent[_Tried] = Recent(TRIED_MEMORY_MAX_BYTES)

    def note(self, intent: Intent, outcome: Outcome, seq: Seq, now_ms: int) -> None:
        """Remember that batch ``seq``, of ``now_ms``, refused an intent."""
        known = self._tried.get(intent.digest)
        first_ms = now_ms if known is None else known.first_ms
        self._tried.put(intent.digest, _Tried(outcome, seq, first_ms, now_ms), _SIZE_BYTES)

    def refusal(self, intent: Intent, head: Head) -> Outcome | None:
        """Return how an intent was refused if that is not worth another try yet, else ``None``.

        The second try may follow the first at once, and those after it later and later, up to
        ``TRIED_AGAIN_PACE_MS`` apart in batch time. While the head stands still the state refuses
        as before; but the head of an idle cluster lags, however often it moved since, and what it
        takes for a little too early may be valid by now.
        """
        tried, now_ms = self._tried.get(intent.digest), head.timestamp_ms
        if tried is None:
            return None
        if tried.outcome.code is OutcomeCode.NOT_YET_VALID:
            if now_ms >= intent.not_before_ms - TRIED_AGAIN_PACE_MS:
                return None
        elif tried.seq == head.seq:
            return tried.outcome
        wait_ms = min(tried.last_ms - tried.first_ms, TRIED_AGAIN_PACE_MS)
        return tried.outcome if now_ms < tried.last_ms + wait_ms else None

    def was_refused_after(self, seq: Seq, digest: Digest) -> bool:
        """Return whether a batch behind ``seq`` refused the intent of that digest, as we know."""
        tried = self._tried.get(digest)
        return tried is not None and tried.seq > seq

    def may_have_forgotten(self, head: Head) -> bool:
        """Whether others may remember a refusal from before our memory began, and wait."""
        return head.timestamp_ms < self._begun_ms + TRIED_AGAIN_PACE_MS

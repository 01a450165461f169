"""Remembers the intents of late, so that a new one is known to be new without the disk."""

from typing import Final

from bftcluster.ids import Digest
from bftcluster.limits import SEEN_INTENTS_MAX
from bftcluster.signing.approvals import Intent

_PREFIX_SIZE: Final = 16
"""Of a digest; nobody finds two intents that agree in it."""


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

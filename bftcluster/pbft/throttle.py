"""Bounds what one peer can make us send: small frames must not buy large answers for free."""

from enum import Enum

from bftcluster.ids import ReplicaId
from bftcluster.limits import FOLLOWERS_MAX


class AnswerKind(Enum):
    """What kind of answer is sent again when a peer asks."""

    STATUS = "status"
    VOTES = "votes"
    CHECKPOINT = "checkpoint"
    NEW_VIEW = "new-view"
    VOUCH = "vouch"
    BODY = "body"


class Throttle:
    """Grants each peer a number of answers of a kind per period."""

    __slots__ = ("_granted", "_period_ms")

    def __init__(self, *, period_ms: int) -> None:
        self._period_ms = period_ms
        self._granted: dict[tuple[ReplicaId, AnswerKind], tuple[int, int]] = {}
        """When the period began, and how many were granted in it."""

    def grants(
        self, peer: ReplicaId, answer: AnswerKind, *, now_ms: int, count_max: int = 1
    ) -> bool:
        """Return whether ``peer`` may have one more, and count it."""
        begun_ms, count = self._granted.get((peer, answer), (now_ms, 0))
        if now_ms - begun_ms >= self._period_ms:
            begun_ms, count = now_ms, 0
        if count >= count_max:
            return False
        if len(self._granted) >= FOLLOWERS_MAX:
            self._granted.clear()
        self._granted[peer, answer] = (begun_ms, count + 1)
        return True

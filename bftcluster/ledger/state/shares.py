"""The share of a maintainer or a peer: what it alone may cause in an hour, and at once.

Nobody who needs the others' consent is bounded here: what the threshold approved costs its proposer
nothing, and a report is free as far as it says something new about pins that were approved. What is
ordered and refused is charged to whoever signed it: it is on the log all the same. A faulty primary
can have it ordered again and again; so whoever has used up its share is slowed, and never silenced.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from bftcluster import codec
from bftcluster.ids import MaintainerId
from bftcluster.limits import (
    PEER_REQUESTS_PER_HOUR_MAX,
    PEER_SIZE_PER_HOUR_MAX_BYTES,
    PROPOSALS_PER_HOUR_MAX,
    PROPOSALS_PER_MAINTAINER_MAX,
    PROPOSALS_SIZE_PER_HOUR_MAX_BYTES,
    PROPOSALS_SIZE_PER_MAINTAINER_MAX_BYTES,
    REJECTED_PER_MAINTAINER_MAX,
    SHARE_USED_UP_PACE_MS,
)

HOUR_MS: Final = 3_600_000
SHARE_PREFIX: Final = b"share/"
"""Before the key of a maintainer, in ``Space.META``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was used in one hour."""

    hour: int = 0
    """Since 1970, in batch time."""
    requests: int = 0
    size_bytes: int = 0
    counted_ms: int = 0
    """When something counted last, rather than was refused."""

    def at(self, now_ms: int) -> "Spent":
        """Return what was used in the hour of ``now_ms``."""
        hour = now_ms // HOUR_MS
        return self if hour == self.hour else Spent(hour=hour)

    def plus(self, now_ms: int, size_bytes: int) -> "Spent":
        """Return this with one more request, at ``now_ms``, that counted."""
        return replace(self.refused(now_ms, size_bytes), counted_ms=now_ms)

    def refused(self, now_ms: int, size_bytes: int) -> "Spent":
        """Return this with one more request, at ``now_ms``, that was refused."""
        now = self.at(now_ms)
        return replace(now, requests=now.requests + 1, size_bytes=now.size_bytes + size_bytes)

    def minus(self, then_ms: int, size_bytes: int) -> "Spent":
        """Return this without a request of ``then_ms``, if that was in the same hour."""
        if self.hour != then_ms // HOUR_MS or not self.requests:
            return self
        if self.requests == 1:
            return Spent()
        return replace(self, requests=self.requests - 1, size_bytes=self.size_bytes - size_bytes)

    def is_heard_again(self, now_ms: int) -> bool:
        """Return whether something more may count although the share is used up."""
        return now_ms - self.at(now_ms).counted_ms >= SHARE_USED_UP_PACE_MS

    def to_wire(self) -> list[int]:
        """Return the array ``[hour, requests, size, counted]``."""
        return [self.hour, self.requests, self.size_bytes, self.counted_ms]


def spent_from_wire(items: list[int]) -> Spent:
    """Return what an array of our own holds."""
    hour, requests, size_bytes, counted_ms = items
    return Spent(hour=hour, requests=requests, size_bytes=size_bytes, counted_ms=counted_ms)


def peer_is_over(spent: Spent, now_ms: int) -> bool:
    """Return whether a peer has announced as much as it may in this hour."""
    now = spent.at(now_ms)
    return (
        now.requests >= PEER_REQUESTS_PER_HOUR_MAX or now.size_bytes >= PEER_SIZE_PER_HOUR_MAX_BYTES
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The proposals of one maintainer that the others have not approved."""

    opened: int = 0
    """Proposals that are open."""
    size_bytes: int = 0
    """Of their intents."""
    rejected: int = 0
    """Proposals that were rejected and whose intent has not expired: each left a row."""
    spent: Spent = field(default_factory=Spent)

    def problem(self, now_ms: int, size_bytes: int) -> str:
        """Return why this maintainer may not propose an intent of that size, or nothing."""
        if self.opened >= PROPOSALS_PER_MAINTAINER_MAX:
            return f"{self.opened} proposals of this maintainer are open"
        if self.size_bytes + size_bytes > PROPOSALS_SIZE_PER_MAINTAINER_MAX_BYTES:
            return f"{self.size_bytes} bytes of proposals of this maintainer are open"
        if self.rejected >= REJECTED_PER_MAINTAINER_MAX:
            return f"{self.rejected} proposals of this maintainer were rejected"
        is_heard = self.spent.is_heard_again(now_ms)
        return "" if is_heard else self.problem_of_hour(now_ms, size_bytes)

    def problem_of_hour(self, now_ms: int, size_bytes: int = 0) -> str:
        """Return why ``size_bytes`` more are too much for this hour, or nothing."""
        now = self.spent.at(now_ms)
        if (
            now.requests >= PROPOSALS_PER_HOUR_MAX
            or now.size_bytes + size_bytes > PROPOSALS_SIZE_PER_HOUR_MAX_BYTES
        ):
            return f"{now.requests} proposals of this maintainer came to nothing in this hour"
        return ""

    def refuse(self, now_ms: int, size_bytes: int) -> "Share":
        """Return this after something was ordered and refused."""
        return replace(self, spent=self.spent.refused(now_ms, size_bytes))

    def open(self, now_ms: int, size_bytes: int) -> "Share":
        """Return this with one more open proposal."""
        return replace(
            self,
            opened=self.opened + 1,
            size_bytes=self.size_bytes + size_bytes,
            spent=self.spent.plus(now_ms, size_bytes),
        )

    def close(self, size_bytes: int) -> "Share":
        """Return this with one open proposal less."""
        assert self.opened, "a proposal closes once"
        return replace(self, opened=self.opened - 1, size_bytes=self.size_bytes - size_bytes)

    def execute(self, proposed_ms: int, size_bytes: int) -> "Share":
        """Return this after the others approved what was proposed: it costs nothing."""
        return replace(self.close(size_bytes), spent=self.spent.minus(proposed_ms, size_bytes))

    def reject(self, size_bytes: int) -> "Share":
        """Return this after a proposal was rejected."""
        return replace(self.close(size_bytes), rejected=self.rejected + 1)

    def forget_rejected(self) -> "Share":
        """Return this after the row of a rejected proposal is gone."""
        return replace(self, rejected=self.rejected - 1)

    def to_value(self) -> bytes | None:
        """Return the row's value; ``None`` if there is nothing to say."""
        if self == Share():
            return None
        return codec.encode([self.opened, self.size_bytes, self.rejected, self.spent.to_wire()])


def read_share(value: bytes | None) -> Share:
    """Return what a row holds."""
    if value is None:
        return Share()
    opened, size_bytes, rejected, spent = codec.decode(value)
    return Share(
        opened=opened, size_bytes=size_bytes, rejected=rejected, spent=spent_from_wire(spent)
    )


def read_shares(rows: Iterable[tuple[bytes, bytes]]) -> dict[MaintainerId, Share]:
    """Return the shares in rows of ``Space.META`` from ``SHARE_PREFIX`` on, up to other rows."""
    shares: dict[MaintainerId, Share] = {}
    for key, value in rows:
        if not key.startswith(SHARE_PREFIX):
            break
        shares[MaintainerId(key[len(SHARE_PREFIX) :])] = read_share(value)
    return shares

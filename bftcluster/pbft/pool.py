"""Requests that wait for a decision, each once, first come first served, within bounds."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from bftcluster.ids import Digest
from bftcluster.limits import POOL_DECIDED_MAX
from bftcluster.pbft.verdicts import Verdict


@dataclass(slots=True)
class Pending:
    """One request that is not decided yet."""

    request: bytes
    since_ms: int
    """When it came here."""
    ours: bool
    """Whether our own client handed it in: then we answer for it."""
    relayed_ms: int | None = None
    """When everybody got it; from then on the primary is suspected of ignoring it."""
    is_only_claimed: bool = False
    """Whether we know it from a proposal only, so that ``since_ms`` does not tell its age."""
    sent_ms: int | None = None
    """When we sent it to everybody last, if it is ours."""
    sendings: int = 0
    """How often we did so."""


def request_digest(request: bytes) -> Digest:
    """Return the name of ``request``: SHA-256."""
    return Digest(hashlib.sha256(request).digest())


class RequestPool:
    """Every request known and not decided: waiting, or in a proposal that is not decided yet."""

    __slots__ = (
        "_decided",
        "_requests_max",
        "_size_bytes",
        "_size_max_bytes",
        "newest_settled_ms",
        "proposed",
        "waiting",
    )

    def __init__(self, *, requests_max: int, size_max_bytes: int) -> None:
        self._requests_max = requests_max
        self._size_max_bytes = size_max_bytes
        self._size_bytes = 0
        self.waiting: dict[Digest, Pending] = {}
        """In order of arrival."""
        self.proposed: dict[Digest, Pending] = {}
        self._decided: dict[Digest, None] = {}
        self.newest_settled_ms = 0
        """When the youngest of the requests decided so far came here."""

    def __len__(self) -> int:
        return len(self.waiting) + len(self.proposed)

    def find(self, digest: Digest) -> Pending | None:
        """Return the pending request of that name."""
        return self.waiting.get(digest) or self.proposed.get(digest)

    def knows(self, digest: Digest) -> bool:
        """Whether the request of that name is pending or was decided lately."""
        return digest in self.waiting or digest in self.proposed or digest in self._decided

    def pending(self) -> Iterator[Pending]:
        """Return every undecided request, the waiting ones first."""
        return chain(self.waiting.values(), self.proposed.values())

    def add(self, request: bytes, *, now_ms: int, ours: bool) -> Verdict:
        """Take ``request`` unless it is known, was decided lately, or the pool is full."""
        digest = request_digest(request)
        known = self.find(digest)
        if known is not None:
            known.ours = known.ours or ours
            return Verdict.DUPLICATE
        if digest in self._decided:
            return Verdict.LATE
        if (
            len(self) >= self._requests_max
            or self._size_bytes + len(request) > self._size_max_bytes
        ):
            return Verdict.POOL_FULL
        self.waiting[digest] = Pending(request, now_ms, ours)
        self._size_bytes += len(request)
        return Verdict.ACCEPTED

    def take(self, *, requests_max: int, size_max_bytes: int) -> tuple[bytes, ...]:
        """Move the oldest waiting requests to the proposed ones, and return them."""
        taken: list[tuple[Digest, Pending]] = []
        size_bytes = 0
        for digest, pending in self.waiting.items():
            size_bytes += len(pending.request)
            if len(taken) == requests_max or (taken and size_bytes > size_max_bytes):
                break
            taken.append((digest, pending))
        for digest, pending in taken:
            del self.waiting[digest]
            self.proposed[digest] = pending
        return tuple(pending.request for _, pending in taken)

    def settle(self, requests: tuple[bytes, ...]) -> None:
        """Drop ``requests``, which were decided, and remember them for a while."""
        for request in requests:
            digest = request_digest(request)
            pending = self.waiting.pop(digest, None) or self.proposed.pop(digest, None)
            if pending is not None:
                self._size_bytes -= len(request)
                if not pending.is_only_claimed:
                    self.newest_settled_ms = max(self.newest_settled_ms, pending.since_ms)
            self._decided[digest] = None
            if len(self._decided) > POOL_DECIDED_MAX:
                del self._decided[next(iter(self._decided))]

    def unpropose(self) -> None:
        """Let every undecided request wait again, the proposed ones first: the view is over."""
        self.waiting = {**self.proposed, **self.waiting}
        self.proposed = {}

    def claim(self, requests: tuple[bytes, ...], *, now_ms: int) -> None:
        """Count ``requests`` as proposed, known or not: they are in a proposal we voted for.

        Should its view end without a decision, they wait again, here as at every other voter.
        """
        for request in requests:
            digest = request_digest(request)
            if digest in self.proposed or digest in self._decided:
                continue
            pending = self.waiting.pop(digest, None)
            if pending is None:
                pending = Pending(request, now_ms, ours=False, is_only_claimed=True)
                self._size_bytes += len(request)
            self.proposed[digest] = pending

"""Where signed requests of clients, and of this peer itself, enter the order.

The one door in: a request is checked for what is provably wrong, handed to the replica, and its
outcome is handed back once it was executed here.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

from bftcluster.errors import SigningError
from bftcluster.ids import Digest, Seq
from bftcluster.ledger.outcomes import Outcome
from bftcluster.ledger.verifying import ApprovalVerifier
from bftcluster.limits import REQUEST_SIZE_MAX_BYTES
from bftcluster.node.inbox import Inbox
from bftcluster.node.waiters import Waiters
from bftcluster.pbft import Event, RequestSubmitted


@dataclass(frozen=True, slots=True)
class Ordered:
    """What became of an ordered request."""

    seq: Seq
    outcome: Outcome


class Gateway:
    """Submits requests and waits for them."""

    def __init__(self, *, inbox: Inbox[Event], verifier: ApprovalVerifier) -> None:
        self._inbox = inbox
        self._verifier = verifier
        self._waiters: Waiters[Ordered] = Waiters()

    def problem(self, request: bytes) -> str:
        """Return why a request can never be accepted, whatever the state; empty if it may be."""
        if len(request) > REQUEST_SIZE_MAX_BYTES:
            return f"a request of {len(request)} bytes, at most {REQUEST_SIZE_MAX_BYTES}"
        inspected = self._verifier.inspect(request)
        if inspected.request is None:
            return inspected.problem
        if self._verifier.admissible(request):
            return ""
        if (
            inspected.intent is not None
            and inspected.intent.cluster_id != self._verifier.cluster_id
        ):
            return "it is for another cluster"
        if isinstance(inspected.approvers, SigningError):
            return str(inspected.approvers)
        return "its signature is wrong, or its signer is not of this cluster"

    async def submit(self, request: bytes) -> None:
        """Hand a request to the replica; wait while it has too much to do."""
        await self._inbox.put(RequestSubmitted(request))

    async def order(self, requests: Sequence[bytes], *, timeout_s: float) -> list[Ordered | None]:
        """Submit requests; return each one's outcome, ``None`` for those not executed in time."""
        waiters = [self._waiters.expect(digest_of(request)) for request in requests]
        try:
            with trio.move_on_after(timeout_s):
                for request in requests:
                    await self.submit(request)
                for waiter in waiters:
                    await waiter.wait()
        finally:
            for waiter in waiters:
                if waiter.outcome is None:
                    self._waiters.forget(waiter)
        return [waiter.outcome for waiter in waiters]

    def resolve(self, outcomes: Mapping[Digest, Ordered]) -> None:
        """Wake those who wait for these requests."""
        self._waiters.resolve(outcomes)

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits for anything."""
        return bool(len(self._waiters))


def digest_of(request: bytes) -> Digest:
    """Return the name of a request."""
    return Digest(hashlib.sha256(request).digest())

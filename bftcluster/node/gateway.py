"""Where signed requests of clients, and of this peer itself, enter the order.

The one door in: a request is checked for what is provably wrong, handed to the replica, and its
outcome is handed back once it was executed here.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from bftcluster.errors import SigningError
from bftcluster.ids import Digest, Seq
from bftcluster.ledger.execution import replayed
from bftcluster.ledger.outcomes import Outcome
from bftcluster.ledger.verifying import ApprovalVerifier
from bftcluster.limits import REQUEST_SIZE_MAX_BYTES
from bftcluster.node.inbox import Inbox
from bftcluster.node.pinset import Pinset
from bftcluster.node.waiters import Waiters
from bftcluster.pbft import Event, RequestSubmitted
from bftcluster.signing.approvals import Intent

REPLAYS_NOTICED_AFTER_S: Final = 0.5
"""How long a request may go undecided before we look whether it was executed long ago; and how
long the answer is then held back."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """What became of an ordered request."""

    seq: Seq
    outcome: Outcome


class Gateway:
    """Submits requests and waits for them."""

    def __init__(self, *, inbox: Inbox[Event], verifier: ApprovalVerifier, pinset: Pinset) -> None:
        self._inbox = inbox
        self._verifier = verifier
        self._pinset = pinset
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
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._notice_replays, requests)
                with trio.move_on_after(timeout_s):
                    for request in requests:
                        await self.submit(request)
                    for waiter in waiters:
                        await waiter.wait()
                nursery.cancel_scope.cancel()
        finally:
            for waiter in waiters:
                if waiter.outcome is None:
                    self._waiters.forget(waiter)
        return [waiter.outcome for waiter in waiters]

    async def _notice_replays(self, requests: Sequence[bytes]) -> None:
        """Tell who waits for what was executed before: no replica orders the same bytes again.

        Not asked before ordering, since nearly no request is a replay. A request that is executed
        while this looks is resolved as any other, long before the second pause ends.
        """
        await trio.sleep(REPLAYS_NOTICED_AFTER_S)
        intents = {digest_of(request): self._intent(request) for request in requests}
        known = [intent for intent in intents.values() if intent is not None]
        used = await self._pinset.used(known)
        if not used:
            return
        await trio.sleep(REPLAYS_NOTICED_AFTER_S)
        self._waiters.resolve(
            {
                request: Ordered(used[intent.digest], replayed(intent, used[intent.digest]))
                for request, intent in intents.items()
                if intent is not None and intent.digest in used
            }
        )

    def _intent(self, request: bytes) -> Intent | None:
        return self._verifier.inspect(request).intent

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

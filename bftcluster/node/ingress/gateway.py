"""Where signed requests of clients, and of this peer itself, enter the order.

The one door in: a request is checked for what is provably wrong and for whether it could change
anything, handed to the replica, and its outcome is handed back once it was executed here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import trio

from bftcluster.errors import SigningError
from bftcluster.ids import Digest, Seq
from bftcluster.ledger.wire.outcomes import Outcome, OutcomeCode
from bftcluster.ledger.wire.verification import ApprovalVerifier, Inspected
from bftcluster.limits import REQUEST_SIZE_MAX_BYTES
from bftcluster.node.ingress.inbox import OrderInbox
from bftcluster.node.ingress.waiters import Waiter, Waiters
from bftcluster.pbft import Event, RequestSubmitted

LOOK_AGAIN_S: Final = 0.5
"""When we first look whether what waits for its turn has become useless; and how long the answer is
then held back."""
LOOK_AGAIN_MAX_S: Final = 8.0
"""How long we wait before we look again, at most."""
UNKNOWN_PATIENCE_S: Final = 1.0
"""How long a vote waits for its proposal, which may have been executed elsewhere only."""
_UNKNOWN_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Ordered:
    """What became of a request."""

    seq: Seq
    """The batch; if it was refused before it had a place in the order, the one that used its intent
    before, or 0."""
    outcome: Outcome


class Gateway:
    """Submits requests and waits for them."""

    def __init__(
        self,
        *,
        inbox: OrderInbox[Event],
        verifier: ApprovalVerifier,
        closed: Callable[[], str] = lambda: "",
    ) -> None:
        """Prepare.

        Args:
            inbox: Of the replica.
            verifier: What judges requests.
            closed: Returns why nothing is taken from clients now; empty if everything is.
        """
        self._inbox = inbox
        self._verifier = verifier
        self.closed = closed
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

    def inspect(self, request: bytes) -> Inspected:
        """Return what a request says, as far as its bytes alone tell."""
        return self._verifier.inspect(request)

    def client_problem(self, request: bytes) -> str:
        """Return why a client's request is not taken; empty if it may be."""
        return self.closed() or self.problem(request)

    async def submit(self, request: bytes) -> Outcome | None:
        """Hand a request to the replica, waiting while it has too much to do.

        Returns:
            Why not: what would become of it if it had a place in the order, which changes nothing.
        """
        refusal = self._verifier.refusal(request)
        if refusal is not None and refusal.code is OutcomeCode.UNKNOWN_PROPOSAL:
            with trio.move_on_after(UNKNOWN_PATIENCE_S):
                while refusal is not None:
                    await trio.sleep(_UNKNOWN_POLL_S)
                    refusal = self._verifier.refusal(request)
        if refusal is None:
            await self._inbox.put(RequestSubmitted(request))
        return refusal

    async def order(self, requests: Sequence[bytes], *, timeout_s: float) -> list[Ordered | None]:
        """Submit requests; return each one's outcome, ``None`` for those not executed in time."""
        waiters = [self._waiters.expect(self._verifier.name(request)) for request in requests]
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._notice_useless, requests, waiters)
                with trio.move_on_after(timeout_s):
                    await self._submit_all(requests, waiters)
                    for waiter in waiters:
                        await waiter.wait()
                nursery.cancel_scope.cancel()
        finally:
            for waiter in waiters:
                self._waiters.forget(waiter)
        return [waiter.outcome for waiter in waiters]

    async def _submit_all(
        self, requests: Sequence[bytes], waiters: Sequence[Waiter[Ordered]]
    ) -> None:
        """Submit what is wanted at once; what waits for its proposal keeps nothing else waiting."""
        async with trio.open_nursery() as nursery:
            for request, waiter in zip(requests, waiters, strict=True):
                refusal = self._verifier.refusal(request)
                if refusal is None:
                    await self._inbox.put(RequestSubmitted(request))
                elif refusal.code is OutcomeCode.UNKNOWN_PROPOSAL:
                    nursery.start_soon(self._submit_one, request, waiter)
                else:
                    waiter.finish(refused(refusal))

    async def _submit_one(self, request: bytes, waiter: Waiter[Ordered]) -> None:
        refusal = await self.submit(request)
        if refusal is not None:
            waiter.finish(refused(refusal))

    async def _notice_useless(
        self, requests: Sequence[bytes], waiters: Sequence[Waiter[Ordered]]
    ) -> NoReturn:
        """Tell who waits for what has become useless meanwhile: no replica orders it any more.

        What was executed while this looks is answered as any other, long before the second pause
        ends. It looks less and less often: nobody waits twice as long as he had to, and a flood
        of requests is not looked up in the ledger over and over.
        """
        pairs = list(zip(requests, waiters, strict=True))
        pause_s = LOOK_AGAIN_S
        while True:
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, LOOK_AGAIN_MAX_S)
            pairs = [(request, waiter) for request, waiter in pairs if waiter.outcome is None]
            found = [(waiter, self._verifier.refusal(request)) for request, waiter in pairs]
            await trio.sleep(LOOK_AGAIN_S)
            for waiter, refusal in found:
                if refusal is not None and waiter.outcome is None:
                    waiter.finish(refused(refusal))

    def resolve(self, seq: Seq, outcomes: Iterable[tuple[bytes, Outcome]]) -> None:
        """Wake those who wait for these requests, which batch ``seq`` executed, or for variants."""
        ordered: dict[Digest, Ordered] = {}
        for request, outcome in outcomes:
            ordered.setdefault(self._verifier.name(request), Ordered(seq, outcome))
        self._waiters.resolve(ordered)

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits for anything."""
        return bool(len(self._waiters))


def refused(refusal: Outcome) -> Ordered:
    """Return what became of a request that was refused before it had a place in the order."""
    return Ordered(refusal.earlier or Seq(0), refusal)

"""Signed requests of clients on their way through the gateway, many at a time."""

from collections.abc import Iterator, Sequence
from typing import Final

import trio

from bftcluster.api.ports import Wait
from bftcluster.api.views import SubmitOutcome
from bftcluster.ids import Seq
from bftcluster.limits import BATCH_REQUESTS_MAX, REQUEST_SIZE_MAX_BYTES
from bftcluster.node.ingress.gateway import Gateway, Ordered, refused
from bftcluster.node.process.threads import Workers

_JUDGED_IN_A_TURN_MAX_BYTES: Final = 4 << 10
"""Some pins, a millisecond's work: with a thread, each signature would be a change of threads. The
longest request takes 30 ms, and has a thread."""


class Submissions:
    """Implements the API's port of operations."""

    def __init__(self, gateway: Gateway, judges: Workers) -> None:
        """Prepare; ``judges`` look at requests that take long to look at."""
        self._gateway = gateway
        self._judges = judges
        self._turns = trio.Lock()
        """Gives clients their turns on the event loop, in which all else has its turn between."""

    async def submit(
        self, requests: Sequence[bytes], *, wait: Wait, timeout_ms: int
    ) -> list[SubmitOutcome]:
        """Hand signed requests to the order; return one outcome for each."""
        gateway = self._gateway
        answers: list[list[SubmitOutcome]] = []
        async with trio.open_nursery() as nursery:
            for part in _parts(requests):
                # One part is ordered while the next is judged; of a client one is judged at a time.
                problems = await self._judge(part)
                out: list[SubmitOutcome] = []
                answers.append(out)
                nursery.start_soon(_submit_part, gateway, part, problems, wait, timeout_ms, out)
        return [outcome for part in answers for outcome in part]

    async def _judge(self, requests: Sequence[bytes]) -> list[str]:
        """Return why each request is not taken; empty if it may be."""
        if closed := self._gateway.closed():
            return [closed] * len(requests)
        problems: list[str] = []
        for turn in _parts(requests, size_max_bytes=_JUDGED_IN_A_TURN_MAX_BYTES):
            if len(turn[0]) > _JUDGED_IN_A_TURN_MAX_BYTES:
                problems += await self._judges.run(_problems, self._gateway, turn)
            else:
                async with self._turns:
                    problems += _problems(self._gateway, turn)
        return problems


def _parts(
    requests: Sequence[bytes], *, size_max_bytes: int = REQUEST_SIZE_MAX_BYTES
) -> Iterator[list[bytes]]:
    """Yield the requests in parts that are no longer, unless one alone is."""
    part: list[bytes] = []
    size_bytes = 0
    for request in requests:
        size_bytes += len(request)
        if len(part) == BATCH_REQUESTS_MAX or (part and size_bytes > size_max_bytes):
            yield part
            part, size_bytes = [], len(request)
        part.append(request)
    if part:
        yield part


def _problems(gateway: Gateway, requests: Sequence[bytes]) -> list[str]:
    return [gateway.problem(request) for request in requests]


async def _submit_part(
    gateway: Gateway,
    requests: Sequence[bytes],
    problems: Sequence[str],
    wait: Wait,
    timeout_ms: int,
    out: list[SubmitOutcome],
) -> None:
    """Append one outcome for each request."""
    good = [r for r, problem in zip(requests, problems, strict=True) if not problem]
    if wait is Wait.NONE:
        answers = [await _hand_over(gateway, request) for request in good]
    else:
        ordered = await gateway.order(good, timeout_s=timeout_ms / 1000)
        answers = [_ordered_outcome(each) for each in ordered]
    remaining = iter(answers)
    out += [_outcome("invalid", p) if p else next(remaining) for p in problems]


async def _hand_over(gateway: Gateway, request: bytes) -> SubmitOutcome:
    refusal = await gateway.submit(request)
    if refusal is None:
        return _outcome("accepted", "handed over")
    return _ordered_outcome(refused(refusal))


def _outcome(code: str, detail: str) -> SubmitOutcome:
    return SubmitOutcome(digest=None, code=code, detail=detail, seq=Seq(0))


def _ordered_outcome(ordered: Ordered | None) -> SubmitOutcome:
    if ordered is None:
        return _outcome("timeout", "not ordered in time; it may yet be")
    return SubmitOutcome(
        digest=ordered.outcome.intent_digest,
        code=ordered.outcome.label,
        detail=ordered.outcome.detail,
        seq=ordered.seq,
    )

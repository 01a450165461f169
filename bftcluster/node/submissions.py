"""Signed requests of clients on their way through the gateway, many at a time."""

from collections.abc import Sequence

import trio

from bftcluster.api.ports import Wait
from bftcluster.api.views import SubmitOutcome
from bftcluster.ids import Seq
from bftcluster.limits import BATCH_REQUESTS_MAX
from bftcluster.node.gateway import Gateway, Ordered, refused


async def submit_all(
    gateway: Gateway, requests: Sequence[bytes], *, wait: Wait, timeout_ms: int
) -> list[SubmitOutcome]:
    """Hand signed requests to the order; return one outcome for each."""
    parts: list[list[SubmitOutcome]] = []
    async with trio.open_nursery() as nursery:
        for start in range(0, len(requests), BATCH_REQUESTS_MAX):
            part = requests[start : start + BATCH_REQUESTS_MAX]
            parts.append([])
            nursery.start_soon(_submit_part, gateway, part, wait, timeout_ms, parts[-1])
            # One part is ordered while the next is judged, which takes long and does not wait.
            await trio.lowlevel.checkpoint()
    return [outcome for part in parts for outcome in part]


async def _submit_part(
    gateway: Gateway,
    requests: Sequence[bytes],
    wait: Wait,
    timeout_ms: int,
    out: list[SubmitOutcome],
) -> None:
    """Append one outcome for each request."""
    problems = [gateway.client_problem(request) for request in requests]
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

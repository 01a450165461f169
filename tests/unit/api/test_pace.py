"""A request body has a pace and an end; what counts is our waiting, not our own work."""

import math
from collections.abc import Awaitable, Callable

import trio
from starlette.types import Message
from trio.testing import MockClock

from bftcluster.api.http.asgi import RequestBody, SlowClientError
from bftcluster.shell_limits import BODY_PACE_BYTES, BODY_PACE_TIME_MAX_S, BODY_TIME_MAX_S


def client(size_bytes: int, every_s: float) -> Callable[[], Awaitable[Message]]:
    """Return what is received of a client that sends so much so often, for ever."""

    async def receive() -> Message:
        await trio.sleep(every_s)
        return {"type": "http.request", "body": bytes(size_bytes), "more_body": True}

    return receive


async def read_of(body: RequestBody, work_s: float = 0) -> float:
    """Return after how many seconds a body was given up."""
    begun_s = trio.current_time()
    try:
        async for _ in body:
            await trio.sleep(work_s)
    except SlowClientError:
        return trio.current_time() - begun_s
    return math.inf


async def test_a_client_that_sends_nothing_is_given_up(autojump_clock: MockClock) -> None:
    assert await read_of(RequestBody(client(1, math.inf))) == BODY_PACE_TIME_MAX_S


async def test_a_client_that_sends_a_byte_now_and_then_is_given_up_as_soon(
    autojump_clock: MockClock,
) -> None:
    assert await read_of(RequestBody(client(1, 1.0))) == BODY_PACE_TIME_MAX_S


async def test_a_client_at_the_pace_may_go_on_until_all_of_its_time_is_over(
    autojump_clock: MockClock,
) -> None:
    every_s = BODY_PACE_TIME_MAX_S - 1

    assert await read_of(RequestBody(client(BODY_PACE_BYTES, every_s))) == BODY_TIME_MAX_S


async def test_our_own_work_is_not_counted_against_the_client(autojump_clock: MockClock) -> None:
    body = RequestBody(client(BODY_PACE_BYTES, 1.0))

    assert await read_of(body, work_s=10 * BODY_PACE_TIME_MAX_S) >= BODY_TIME_MAX_S

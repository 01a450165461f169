"""Calls between two ends that are joined by their frames, without a network."""

import pytest
import trio
from trio.testing import MockClock

from bftcluster.codec import encode
from bftcluster.errors import (
    MalformedMessageError,
    PeerUnreachableError,
    RefusedError,
    RemoteCallError,
    RequestTimeoutError,
)
from bftcluster.ids import PeerId
from bftcluster.limits import FRAME_SIZE_MAX_BYTES, RPC_SERVED_PER_PEER_MAX
from bftcluster.net.rpc import Rpc

ALICE, BOB, EVE = (PeerId(bytes([number]) * 32) for number in (1, 2, 3))


class Pair:
    """Alice, who calls, and Bob, who answers. ``held`` frames do not arrive."""

    def __init__(self, **methods) -> None:
        self.held: list[tuple[PeerId, bytes]] | None = None
        self.alice = self._end(ALICE, {})
        self.bob = self._end(BOB, methods)

    def _end(self, me: PeerId, methods) -> Rpc:

        async def send(peer: PeerId, frame: bytes) -> None:
            send_nowait(peer, frame)

        def send_nowait(peer: PeerId, frame: bytes) -> bool:
            if self.held is not None:
                self.held.append((peer, frame))
            else:
                end = self.bob if peer == BOB else self.alice
                self.nursery.start_soon(end.on_frame, me, frame)
            return True

        return Rpc(send=send, send_nowait=send_nowait, methods=methods)


@pytest.fixture
async def pair(nursery: trio.Nursery) -> Pair:
    async def double(_: PeerId, payload: bytes) -> bytes:
        return payload * 2

    async def who(peer: PeerId, _: bytes) -> bytes:
        return peer

    async def refuse(_: PeerId, __: bytes) -> bytes:
        raise RefusedError("the quota is used up")

    async def fail(_: PeerId, __: bytes) -> bytes:
        raise ValueError("a secret of ours")

    async def much(_: PeerId, __: bytes) -> bytes:
        return bytes(FRAME_SIZE_MAX_BYTES)

    async def sleep(_: PeerId, __: bytes) -> bytes:
        await trio.sleep_forever()
        return b""

    pair = Pair(double=double, who=who, refuse=refuse, fail=fail, much=much, sleep=sleep)
    pair.nursery = nursery
    await nursery.start(pair.alice.serve)
    await nursery.start(pair.bob.serve)
    return pair


async def test_a_call_returns_its_own_answer(pair: Pair) -> None:
    answers = {}

    async def ask(payload: bytes) -> None:
        answers[payload] = await pair.alice.call(BOB, "double", payload, 1)

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(ask, b"%d" % number)

    assert answers == {b"%d" % number: b"%d%d" % (number, number) for number in range(50)}


async def test_a_method_knows_who_calls(pair: Pair) -> None:
    assert await pair.alice.call(BOB, "who", b"", 1) == ALICE


@pytest.mark.parametrize(
    ("method", "code", "text"),
    [
        ("nothing", "unknown-method", "no method 'nothing'"),
        ("refuse", "refused", "the quota is used up"),
        ("fail", "failed", "internal error"),
        ("much", "failed", "the answer does not fit a frame"),
    ],
)
async def test_an_error_is_told_with_a_code_and_without_our_secrets(
    pair: Pair, method: str, code: str, text: str
) -> None:
    with pytest.raises(RemoteCallError) as caught:
        await pair.alice.call(BOB, method, b"", 1)

    assert (caught.value.code, str(caught.value)) == (code, text)


async def test_an_answer_that_does_not_come_is_a_timeout(
    pair: Pair, autojump_clock: MockClock
) -> None:
    with pytest.raises(RequestTimeoutError, match="did not answer sleep in 3 s"):
        await pair.alice.call(BOB, "sleep", b"", 3)

    assert trio.current_time() == pytest.approx(3)
    assert not pair.alice._calls


async def test_nobody_answers_for_another(pair: Pair, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pair.alice.on_frame, EVE, encode([1, 1, b"forged"]))
        with pytest.raises(RequestTimeoutError):
            await pair.alice.call(BOB, "sleep", b"", 1)


async def test_a_lost_link_fails_the_calls_that_wait_for_it_at_once(pair: Pair) -> None:
    with pytest.RaisesGroup(PeerUnreachableError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pair.alice.call, BOB, "sleep", b"", 60)
            await trio.testing.wait_all_tasks_blocked()
            pair.alice.on_link_down(EVE)
            await trio.testing.wait_all_tasks_blocked()
            assert pair.alice._calls
            pair.alice.on_link_down(BOB)


async def test_a_peer_that_calls_too_much_at_once_is_told_so(pair: Pair) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(RPC_SERVED_PER_PEER_MAX):
            nursery.start_soon(pair.alice.call, BOB, "sleep", b"", 60)
        await trio.testing.wait_all_tasks_blocked()

        with pytest.raises(RemoteCallError) as caught:
            await pair.alice.call(BOB, "double", b"", 1)
        nursery.cancel_scope.cancel()

    assert caught.value.code == "busy"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        encode([]),
        encode([3, 1, b""]),
        encode([0, 1, "method"]),
        encode([0, -1, "method", b""]),
        encode([0, True, "method", b""]),
        encode([1, 1, "text"]),
        encode({"number": 1}),
    ],
)
async def test_what_is_no_message_is_the_peers_fault(pair: Pair, message: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        await pair.bob.on_frame(EVE, message)

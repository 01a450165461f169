"""Peers that come, go, hang and come back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from bftcluster.errors import ConfigError, PeerUnreachableError
from bftcluster.net.network import Network
from bftcluster.net.settings import NetworkSettings
from bftcluster.net.streams import StreamClass
from tests.integration.net.nodes import QUICK, TIMEOUT_S, Node, introduce, linked, running

ALERT = NetworkSettings(
    dial_head_start_s=0.05,
    backoff_min_s=0.02,
    backoff_max_s=0.1,
    heartbeat_interval_s=0.05,
    silence_max_s=0.4,
    dial_timeout_s=0.5,
    handshake_timeout_s=0.5,
)


class Cable:
    """A TCP proxy that can be pulled: connections stay open and nothing passes any more."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.passes = True

    async def serve(self, task_status=trio.TASK_STATUS_IGNORED) -> None:
        await trio.serve_tcp(self._join, 0, host="127.0.0.1", task_status=task_status)

    async def _join(self, near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with far, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass, near, far)
            nursery.start_soon(self._pass, far, near)

    async def _pass(self, source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            while data := await source.receive_some(65536):
                if self.passes:
                    await target.send_all(data)
            await target.aclose()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


@asynccontextmanager
async def joined_by_cable(a: Node, b: Node) -> AsyncIterator[Cable]:
    """Run two networks of which one dials the other through a cable."""
    async with running(a, b) as nursery:
        cable = Cable(int(b.network.addresses[0].rsplit("/", 1)[1]))
        listeners = await nursery.start(cable.serve)
        port = listeners[0].socket.getsockname()[1]
        b.network.allow({a.me: []})
        a.network.allow({b.me: [f"/ip4/127.0.0.1/tcp/{port}"]})
        await linked(a, b)
        yield cable


async def test_a_peer_that_hangs_is_noticed_on_both_sides_and_comes_back() -> None:
    a, b = Node(1, ALERT), Node(2, ALERT)
    async with joined_by_cable(a, b) as cable:
        cable.passes = False
        started = trio.current_time()
        with trio.fail_after(TIMEOUT_S):
            await a.unlinked_from(b)
            await b.unlinked_from(a)
        assert trio.current_time() - started < 4 * ALERT.silence_max_s

        cable.passes = True
        await linked(a, b)
        b.network.send_nowait(a.me, StreamClass.CONSENSUS, b"back")
        with trio.fail_after(TIMEOUT_S):
            await a.wait_for_frames(1)


async def test_an_idle_link_stays_up() -> None:
    a, b = Node(1, ALERT), Node(2, ALERT)
    async with joined_by_cable(a, b):
        with trio.move_on_after(3 * ALERT.silence_max_s):
            await a.unlinked_from(b)

        assert a.network.links()[b.me].connected
        assert b.network.links()[a.me].connected


async def test_a_peer_that_restarts_is_linked_again_and_gets_what_was_queued() -> None:
    a, first = Node(1), Node(2)
    async with running(a):
        async with running(first):
            introduce(a, first)
            await linked(a, first)
        with trio.fail_after(TIMEOUT_S):
            await a.unlinked_from(first)
        a.network.send_nowait(first.me, StreamClass.CONSENSUS, b"while you were out")

        again = Node(2)
        async with running(again):
            introduce(a, again)
            await linked(a, again)
            with trio.fail_after(TIMEOUT_S):
                await again.wait_for_frames(1)

        assert again.received == [(a.me, StreamClass.CONSENSUS, b"while you were out")]


async def test_a_peer_whose_address_nobody_knows_is_linked_when_it_dials() -> None:
    a, b = Node(1), Node(2)
    async with running(a, b):
        a.network.allow({b.me: []})
        b.network.allow({a.me: a.network.addresses})

        await linked(a, b)


async def test_a_wrong_address_before_the_right_one_does_no_harm() -> None:
    a, b = Node(1, ALERT), Node(2, ALERT)
    async with running(a, b):
        a.network.allow({b.me: ["/ip4/127.0.0.1/tcp/1", *b.network.addresses]})
        b.network.allow({a.me: []})

        await linked(a, b)


async def test_a_link_that_does_not_come_up_says_why() -> None:
    a, b, c = Node(1, ALERT), Node(2, ALERT), Node(3, ALERT)
    async with running(a, b):
        a.network.allow({b.me: b.network.addresses, c.me: ["/ip4/127.0.0.1/tcp/1"]})

        with trio.fail_after(TIMEOUT_S):
            await a.network.wait_for_links(lambda links: all(x.attempts for x in links.values()))

        links = a.network.links()
        assert links[c.me].error == "nobody answers at 127.0.0.1 port 1"
        assert "did not finish the handshake" in links[b.me].error


async def test_a_peer_that_leaves_the_membership_is_disconnected_and_refused() -> None:
    a, b, c = Node(1, ALERT), Node(2, ALERT), Node(3, ALERT)
    async with running(a, b, c):
        introduce(a, b, c)
        await linked(a, b, c)

        a.network.allow({c.me: c.network.addresses})
        with trio.fail_after(TIMEOUT_S):
            await b.unlinked_from(a)
            await b.network.wait_for_links(lambda links: links[a.me].attempts >= 2)

        assert set(a.network.links()) == {c.me}
        assert a.network.links()[c.me].connected
        assert not a.network.send_nowait(b.me, StreamClass.CONSENSUS, b"x")
        with pytest.raises(PeerUnreachableError):
            await a.network.send(b.me, StreamClass.BLOCKS, b"x")


async def test_sending_where_every_frame_counts_fails_without_a_link() -> None:
    a, b = Node(1), Node(2)
    async with running(a):
        a.network.allow({b.me: []})

        assert a.network.send_nowait(b.me, StreamClass.CONSENSUS, b"kept for later")
        assert not a.network.send_nowait(b.me, StreamClass.RPC, b"x")
        with pytest.raises(PeerUnreachableError):
            await a.network.send(b.me, StreamClass.BLOCKS, b"x")
        with pytest.raises(PeerUnreachableError):
            await a.network.call(b.me, "anything", b"", 1)
        state = a.network.links()[b.me]
        assert (state.queued[StreamClass.CONSENSUS], state.dropped[StreamClass.RPC]) == (1, 1)


async def test_a_call_fails_at_once_when_the_link_is_lost() -> None:
    async def never(*_: object) -> bytes:
        called.set()
        await trio.sleep_forever()
        return b""

    called = trio.Event()
    a, b = Node(1), Node(2, methods={"never": never})
    async with running(a):
        with pytest.RaisesGroup(PeerUnreachableError), trio.fail_after(TIMEOUT_S):
            async with trio.open_nursery() as nursery, running(b):
                introduce(a, b)
                await linked(a, b)
                nursery.start_soon(a.network.call, b.me, "never", b"", 60)
                await called.wait()


async def test_a_second_node_on_the_same_port_says_so() -> None:
    a = Node(1)
    async with running(a):
        second = Network(
            seed=b"2" * 32, listen=a.network.addresses, peers={}, handlers={}, settings=QUICK
        )
        with pytest.raises(ConfigError, match="something else listens there"):
            await second.run()


async def test_leaving_takes_well_under_two_seconds_with_many_peers() -> None:
    nodes = [Node(number) for number in range(1, 9)]
    async with running(*nodes):
        introduce(*nodes)
        await linked(*nodes)
        started = trio.current_time()

    assert trio.current_time() - started < 1.5

"""Frames and calls between real networks."""

import trio

from bftcluster.ids import PeerId
from bftcluster.net.streams import StreamClass
from tests.integration.net.nodes import TIMEOUT_S, Node, introduce, linked, running


async def test_frames_arrive_in_order_from_the_peer_that_sent_them() -> None:
    a, b = Node(1), Node(2)
    async with running(a, b):
        introduce(a, b)
        await linked(a, b)

        for number in range(1000):
            assert a.network.send_nowait(b.me, StreamClass.CONSENSUS, b"%d" % number)
        with trio.fail_after(TIMEOUT_S):
            await b.wait_for_frames(1000)

        assert b.received == [
            (a.me, StreamClass.CONSENSUS, b"%d" % number) for number in range(1000)
        ]


async def test_a_frame_for_everybody_reaches_every_peer_but_ourselves() -> None:
    nodes = [Node(number) for number in range(1, 5)]
    async with running(*nodes):
        introduce(*nodes)
        await linked(*nodes)

        nodes[0].network.send_all([([n.me for n in nodes], StreamClass.SYNC, b"hello")])
        with trio.fail_after(TIMEOUT_S):
            for node in nodes[1:]:
                await node.wait_for_frames(1)

        assert nodes[0].received == []


async def test_frames_sent_together_arrive_in_order_with_those_before_and_after() -> None:
    a, b = Node(1), Node(2)
    async with running(a, b):
        introduce(a, b)
        await linked(a, b)

        a.network.send_nowait(b.me, StreamClass.CONSENSUS, b"0")
        a.network.send_all([([b.me], StreamClass.CONSENSUS, b"%d" % n) for n in range(1, 50)])
        a.network.send_nowait(b.me, StreamClass.CONSENSUS, b"50")
        with trio.fail_after(TIMEOUT_S):
            await b.wait_for_frames(51)

        assert [frame for _, _, frame in b.received] == [b"%d" % n for n in range(51)]


async def test_frames_sent_together_that_do_not_fit_the_window_wait_and_arrive_in_order() -> None:
    a, b = Node(1), Node(2)
    large = [bytes([n]) * (1 << 20) for n in range(5)]
    async with running(a, b):
        introduce(a, b)
        await linked(a, b)

        a.network.send_all([([b.me], StreamClass.SYNC, frame) for frame in large])
        with trio.fail_after(TIMEOUT_S):
            await b.wait_for_frames(5)

        assert [frame for _, _, frame in b.received] == large


async def test_frames_sent_together_while_there_is_no_link_wait_for_it() -> None:
    a, b = Node(1), Node(2)
    async with running(a, b):
        a.network.allow({b.me: ()})
        a.network.send_all([([b.me], StreamClass.CONSENSUS, b"early")])
        introduce(a, b)

        with trio.fail_after(TIMEOUT_S):
            await b.wait_for_frames(1)

        assert [frame for _, _, frame in b.received] == [b"early"]


async def test_a_stranger_is_refused_before_any_stream_exists() -> None:
    a, b, stranger = Node(1), Node(2), Node(3)
    async with running(a, b, stranger):
        introduce(a, b)
        stranger.network.allow({a.me: a.network.addresses})
        await linked(a, b)

        with trio.fail_after(TIMEOUT_S):
            await stranger.network.wait_for_links(lambda links: links[a.me].attempts >= 2)

        assert stranger.me not in a.network.links()
        assert not stranger.network.links()[a.me].connected


async def test_a_call_returns_the_answer_of_the_peer() -> None:
    async def reverse(peer: PeerId, payload: bytes) -> bytes:
        assert peer == a.me
        return payload[::-1]

    a, b = Node(1), Node(2, methods={"reverse": reverse})
    async with running(a, b):
        introduce(a, b)
        await linked(a, b)

        assert await a.network.call(b.me, "reverse", b"abc", 5) == b"cba"


async def test_a_network_can_run_again() -> None:
    a, b = Node(1), Node(2)
    async with running(b):
        for _ in range(2):
            async with running(a):
                introduce(a, b)
                await linked(a, b)

        assert a.network.addresses == ()


async def test_peers_are_linked_over_ipv6() -> None:
    a, b = Node(1, listen="/ip6/::1/tcp/0"), Node(2, listen="/ip6/::1/tcp/0")
    async with running(a, b):
        introduce(a, b)
        await linked(a, b)


async def test_peers_are_found_by_the_names_the_system_knows() -> None:
    a, b = Node(1), Node(2)
    async with running(a, b):
        port = a.network.addresses[0].rsplit("/", 1)[1]
        a.network.allow({b.me: []})
        b.network.allow({a.me: [f"/dns4/localhost/tcp/{port}"]})

        await linked(a, b)


async def test_cancelled_at_any_moment_of_its_start_it_ends_and_frees_its_address() -> None:
    turns, is_running = 0, False
    while not is_running:
        node = Node(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.network.run)
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            is_running = bool(node.network.addresses)
            nursery.cancel_scope.cancel()
        assert node.network.addresses == ()
        turns += 1

    assert turns > 1

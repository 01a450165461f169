"""Guests connect and are never dialled; they have links while they are connected, and a limit."""

from dataclasses import replace

import trio

from bftcluster.net.streams import StreamClass
from tests.integration.net.nodes import QUICK, TIMEOUT_S, Node, running

RELAY = replace(QUICK, guests_max=1)


def serves(relay: Node, *guests: Node) -> None:
    """Let a relay serve guests that dial it."""
    relay.network.allow({}, frozenset(guest.me for guest in guests))


def dials(guest: Node, relay: Node) -> None:
    guest.network.allow({relay.me: relay.network.addresses})


async def test_a_guest_that_dials_has_a_link_both_ways_as_long_as_it_is_there() -> None:
    relay, guest = Node(1, RELAY), Node(2)
    async with running(relay) as nursery:
        async with running(guest):
            serves(relay, guest)
            dials(guest, relay)
            with trio.fail_after(TIMEOUT_S):
                await guest.linked_to(relay)
                await relay.linked_to(guest)
            assert relay.network.guests == [guest.me]
            assert relay.network.connected == []
            relay.network.send_nowait(guest.me, StreamClass.SYNC, b"a hint")
            with trio.fail_after(TIMEOUT_S):
                await guest.wait_for_frames(1)

        with trio.fail_after(TIMEOUT_S):
            await relay.network.wait_for_links(lambda links: guest.me not in links)
        nursery.cancel_scope.cancel()


async def test_of_more_guests_than_there_is_room_for_the_last_wait_outside() -> None:
    relay, first, second = Node(1, RELAY), Node(2), Node(3)
    async with running(relay, first, second):
        serves(relay, first, second)
        dials(first, relay)
        with trio.fail_after(TIMEOUT_S):
            await first.linked_to(relay)
            await relay.linked_to(first)
        dials(second, relay)
        with trio.fail_after(TIMEOUT_S):
            await second.network.wait_for_links(lambda links: links[relay.me].attempts >= 2)
        assert relay.network.guests == [first.me]

        serves(relay, second)
        with trio.fail_after(TIMEOUT_S):
            await second.linked_to(relay)
            await relay.linked_to(second)
        assert relay.network.guests == [second.me]


async def test_who_is_no_guest_is_turned_away() -> None:
    relay, stranger = Node(1, RELAY), Node(2)
    async with running(relay, stranger):
        serves(relay)
        dials(stranger, relay)
        with trio.fail_after(TIMEOUT_S):
            await stranger.network.wait_for_links(lambda links: links[relay.me].attempts >= 2)
        assert relay.network.guests == []

"""Strangers at the door of a running network: one question, one answer, and nothing else."""

import pytest
import trio
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from bftcluster.errors import PeerUnreachableError
from bftcluster.ids import PeerId
from bftcluster.net.door import ask_at_door
from bftcluster.net.identity import libp2p_id
from bftcluster.shell_limits import (
    DOOR_BURST_PER_ADDRESS_MAX,
    DOOR_QUESTION_SIZE_MAX_BYTES,
    DOOR_VISITORS_PER_ADDRESS_MAX,
)
from bftcluster.signing.keys import SigningKey
from tests.integration.net.nodes import TIMEOUT_S, Node, introduce, linked, running
from tests.integration.net.stock import stock_host

STRANGER = b"s" * 32


async def echo_to(stranger: PeerId, question: bytes) -> bytes:
    return stranger + question


async def ask(node: Node, question: bytes, *, seed: bytes = STRANGER) -> bytes:
    [address] = node.network.addresses
    return await ask_at_door(seed=seed, peer=node.me, address=address, question=question)


async def test_a_stranger_gets_one_answer() -> None:
    node = Node(1, doorkeeper=echo_to)
    async with running(node):
        with trio.fail_after(TIMEOUT_S):
            answer = await ask(node, b"who am I?")

    assert answer == SigningKey(STRANGER).public_key + b"who am I?"


async def test_who_was_let_in_meanwhile_is_still_answered() -> None:
    node = Node(1, doorkeeper=echo_to)
    async with running(node):
        node.network.allow({PeerId(SigningKey(STRANGER).public_key): ()})
        with trio.fail_after(TIMEOUT_S):
            answer = await ask(node, b"and now?")

    assert answer == SigningKey(STRANGER).public_key + b"and now?"


async def test_without_a_doorkeeper_strangers_are_refused() -> None:
    node = Node(1)
    async with running(node):
        with pytest.raises(PeerUnreachableError, match="does not answer strangers"):
            await ask(node, b"anybody?")


async def test_nobody_else_is_told_anything() -> None:
    node = Node(1, doorkeeper=echo_to)
    async with running(node):
        [address] = node.network.addresses
        other = PeerId(SigningKey(b"o" * 32).public_key)
        with pytest.raises(PeerUnreachableError):
            await ask_at_door(seed=STRANGER, peer=other, address=address, question=b"x")


async def test_a_question_that_is_too_long_is_not_read() -> None:
    asked = []

    async def note(_: PeerId, question: bytes) -> bytes:
        asked.append(question)
        return question

    node = Node(1, doorkeeper=note)
    async with running(node):
        with pytest.raises(PeerUnreachableError):
            await ask(node, bytes(DOOR_QUESTION_SIZE_MAX_BYTES + 1))

    assert asked == []


async def test_a_stranger_does_not_reach_the_multiplexer_through_the_door() -> None:
    node = Node(1, doorkeeper=echo_to)
    async with running(node), stock_host(3) as stranger:
        [address] = node.network.addresses
        with pytest.raises(Exception, match="unable to connect"):
            await stranger.connect(PeerInfo(libp2p_id(node.me), [Multiaddr(address)]))

    assert node.received == []


async def test_one_address_holds_few_places_and_members_are_not_kept_waiting() -> None:
    inside, inside_max = 0, 0
    go_on = trio.Event()

    async def slow(_: PeerId, question: bytes) -> bytes:
        nonlocal inside, inside_max
        inside += 1
        inside_max = max(inside, inside_max)
        await go_on.wait()
        inside -= 1
        return question

    node, member = Node(1, doorkeeper=slow), Node(2)
    async with running(node, member) as nursery:
        for number in range(12):
            nursery.start_soon(_try, node, bytes([number + 100]) * 32)
        introduce(node, member)
        await linked(node, member)
        go_on.set()

    assert inside_max <= DOOR_VISITORS_PER_ADDRESS_MAX


async def test_one_address_asks_only_so_often() -> None:
    node = Node(1, doorkeeper=echo_to)
    answers = 0
    async with running(node):
        with trio.fail_after(TIMEOUT_S):
            for _ in range(DOOR_BURST_PER_ADDRESS_MAX + 8):
                answers += await _try(node, STRANGER)

    assert DOOR_BURST_PER_ADDRESS_MAX <= answers < DOOR_BURST_PER_ADDRESS_MAX + 8


async def _try(node: Node, seed: bytes) -> bool:
    try:
        return bool(await ask(node, b"x", seed=seed))
    except PeerUnreachableError:
        return False

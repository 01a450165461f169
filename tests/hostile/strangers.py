"""Attacks of whoever has a key that the cluster does not know."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from socket import create_connection

import trio

from bftcluster import cid as cids
from bftcluster.errors import PeerUnreachableError
from bftcluster.ids import ClusterId, Digest
from bftcluster.ledger.wire.loan_requests import redeem
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.ledger.wire.requests import Approve
from bftcluster.net.door import ask_at_door
from bftcluster.net.network import Network
from bftcluster.net.streams import StreamClass
from bftcluster.node.ingress.door_messages import DoorQuestion, DoorTopic, answer_from_bytes
from bftcluster.signing.approvals import Approval, approve
from tests.e2e.cluster import MAINTAINERS
from tests.e2e.processes import Peer
from tests.hostile.arena import Arena, BrokeError, random_bytes
from tests.hostile.attacks import Actor, attack
from tests.hostile.http import post
from tests.hostile.statements import (
    intent,
    join,
    key,
    maintainer_id,
    pin_intent,
    propose,
    report,
    submit,
)

STRANGER = Actor.STRANGER
ORDERED_MEANWHILE_MAX_BYTES = 100_000


def _orders_nothing(arena: Arena, requests: list[bytes]) -> None:
    """Hand in requests, and see that the log did not grow by them.

    Raises:
        BrokeError: The peer took one, or the log of some peer grew by more than reports of pins.
    """
    before = {peer.index: _log_bytes(peer) for peer in arena.standing}
    codes = set(post(arena.standing[0], requests))
    if codes & {"committed", "pending", "accepted", "timeout"}:
        raise BrokeError(f"a stranger's requests ended with {sorted(codes)}")
    for index, size in before.items():
        grown = _log_bytes(arena.cluster.peers[index]) - size
        if grown > ORDERED_MEANWHILE_MAX_BYTES:
            raise BrokeError(f"the log of peer {index} grew by {grown} bytes for a stranger")


def _votes_order_nothing(arena: Arena, votes: Mapping[Digest, Approval]) -> None:
    made = [Approve(intent_digest=of, approval=vote).to_bytes() for of, vote in votes.items()]
    _orders_nothing(arena, made)


def _log_bytes(peer: Peer) -> int:
    return int(peer.status()["storage"]["log_bytes"])


@attack(STRANGER, "swarm: random bytes, a web request, and nothing")
def knocking(arena: Arena) -> Iterator[None]:
    peer = arena.standing[0]
    hellos = (
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        random_bytes(70_000),
        b"\x13/multistream/1.0.0\n" + b"\xff" * 9,
    )
    for hello in hellos:
        with suppress(OSError), create_connection(("127.0.0.1", peer.listen_port), 3) as one:
            one.sendall(hello)
    yield


@attack(STRANGER, "swarm: 300 connections that say nothing")
def idle_swarm(arena: Arena) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(300):
            with suppress(OSError):
                address = ("127.0.0.1", arena.standing[0].listen_port)
                stack.enter_context(create_connection(address, 3))
        yield


@attack(STRANGER, "swarm: a key that is not admitted dials in again and again")
def not_admitted(arena: Arena) -> Iterator[None]:
    async def nothing(_: object, __: bytes) -> None:
        return

    async def dial() -> None:
        for number in range(3):
            network = Network(
                seed=key().seed,
                listen=[],
                peers={
                    arena.identity(0): [f"/ip4/127.0.0.1/tcp/{arena.cluster.peers[0].listen_port}"]
                },
                handlers={each: nothing for each in StreamClass if each is not StreamClass.RPC},
            )
            with trio.move_on_after(1.0):
                async with trio.open_nursery() as nursery:
                    await nursery.start(network.run)
                    for _ in range(20):
                        network.send_nowait(
                            arena.identity(0), StreamClass.SYNC, bytes([number] * 9)
                        )
                        await trio.sleep(0.02)
                        if network.links()[arena.identity(0)].connected:
                            raise BrokeError("a stranger was let in")

    trio.run(dial)
    yield


@attack(STRANGER, "orders: 200 reports of 250 kB each")
def big_reports(arena: Arena) -> Iterator[None]:
    mine = key()
    errors = [(random_bytes(120), "x" * 128) for _ in range(950)]
    genesis = arena.cluster.genesis
    _orders_nothing(arena, [report(genesis, mine, n + 1, errors=errors) for n in range(200)])
    yield


@attack(STRANGER, "orders: 2,000 small reports, each of a thousand entries")
def small_reports(arena: Arena) -> Iterator[None]:
    mine = key()
    held = [n.to_bytes(2, "big") for n in range(1000)]
    genesis = arena.cluster.genesis
    _orders_nothing(arena, [report(genesis, mine, n + 1, held=held) for n in range(2000)])
    yield


@attack(STRANGER, "orders: 2,000 approvals by keys that are no maintainer's")
def approvals(arena: Arena) -> Iterator[None]:
    genesis = arena.cluster.genesis
    mine = key()
    intents = [pin_intent(genesis, arena.forbid()) for _ in range(500)]
    _votes_order_nothing(arena, {one.digest: approve(one.encoded, mine) for one in intents})
    yield


@attack(STRANGER, "orders: approvals in the name of maintainers, signed by nobody")
def forged_approvals(arena: Arena) -> Iterator[None]:
    from dataclasses import replace

    genesis = arena.cluster.genesis
    victim = maintainer_id(MAINTAINERS["alice"])
    intents = [pin_intent(genesis, arena.forbid()) for _ in range(200)]
    votes = {one.digest: approve(one.encoded, key()) for one in intents}
    forged = {digest: replace(vote, maintainer=victim) for digest, vote in votes.items()}
    _votes_order_nothing(arena, forged)
    yield


@attack(STRANGER, "orders: a policy of its own, with its own maintainers")
def own_policy(arena: Arena) -> Iterator[None]:
    genesis = arena.cluster.genesis
    changes = {"policy_version": 99, "policy_hash": Digest(random_bytes(32))}
    made = []
    for _ in range(50):
        one = pin_intent(genesis, arena.forbid())
        own = intent(genesis, one.operation, **changes)
        made.append(propose(own, key()))
        signers = [MAINTAINERS["alice"], MAINTAINERS["bob"]]
        made.append(
            submit(genesis, intent(genesis, one.operation, **changes), signers)[:-1] + b"\x00"
        )
    _orders_nothing(arena, made)
    yield


@attack(STRANGER, "orders: proposals under the policy in force")
def proposals(arena: Arena) -> Iterator[None]:
    genesis, mine = arena.cluster.genesis, key()
    _orders_nothing(arena, [propose(pin_intent(genesis, arena.forbid()), mine) for _ in range(200)])
    yield


@attack(STRANGER, "orders: announces itself as a peer")
def joins(arena: Arena) -> Iterator[None]:
    genesis = arena.cluster.genesis
    _orders_nothing(arena, [join(genesis, key(), n + 1, name="friend") for n in range(100)])
    yield


@attack(STRANGER, "orders: statements of another cluster")
def another_cluster(arena: Arena) -> Iterator[None]:
    genesis = arena.cluster.genesis
    signers = [MAINTAINERS["alice"], MAINTAINERS["bob"]]
    made = []
    for _ in range(50):
        one = pin_intent(genesis, arena.forbid())
        other = intent(genesis, one.operation, cluster_id=ClusterId(random_bytes(32)))
        made.append(submit(genesis, other, signers))
    _orders_nothing(arena, made)
    yield


@attack(STRANGER, "content: asks every peer for what nobody has")
def absent(arena: Arena) -> Iterator[None]:
    from tests.hostile.http import opened

    asks = b"".join(
        f"GET /content/{cids.text(arena.fresh())} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        for _ in range(5)
    )
    with opened(arena.standing[0], 40, asks):
        yield


@attack(STRANGER, "door: 400 strangers that stall, talk nonsense, or redeem what nobody approved")
def at_the_door(arena: Arena) -> Iterator[None]:
    peer = arena.standing[0]
    address = f"/ip4/127.0.0.1/tcp/{peer.listen_port}"
    identity, genesis = arena.identity(0), arena.cluster.genesis

    async def knock() -> None:
        mine, secret = key(), key()
        request = redeem(
            mine,
            secret,
            cluster_id=genesis.cluster_id,
            name="stranger",
            addresses=(),
            asked=PeerTerms(capacity_bytes=1 << 40),
        ).to_bytes()
        for topic, body in (
            (DoorTopic.REDEMPTION, request),
            (DoorTopic.REDEMPTION, join(genesis, mine, 1)),
            (DoorTopic.GENESIS, secret.public_key),
            (DoorTopic.GENESIS, random_bytes(9_000)),
        ):
            question = DoorQuestion(topic=topic, body=body).to_bytes()
            with suppress(PeerUnreachableError):
                said = await ask_at_door(
                    seed=mine.seed, peer=identity, address=address, question=question
                )
                answer = answer_from_bytes(said)
                if answer.genesis or answer.code in {"committed", "already", "timeout"}:
                    raise BrokeError(f"a stranger was told {answer.code!r} at the door")

    async def crowd() -> None:
        with trio.move_on_after(15):
            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(knock)

    with ExitStack() as stack:
        for _ in range(40):
            with suppress(OSError):
                stack.enter_context(create_connection(("127.0.0.1", peer.listen_port), 3))
        trio.run(crowd)
        yield

"""Attacks of one replica of four, with its key, on what its links carry."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import trio

from bftcluster import cid as cids
from bftcluster import codec
from bftcluster.blocks.exchange.exchange_messages import Want, to_frame
from bftcluster.errors import PeerUnreachableError
from bftcluster.ids import Digest, Epoch, PeerId, Seq, View
from bftcluster.net.network import Network
from bftcluster.net.streams import StreamClass
from bftcluster.node.process.identity import load_identity
from bftcluster.pbft.messages import FetchBody, FetchEntries, Requests, Status
from bftcluster.signing.keys import SigningKey
from tests.e2e.cluster import MAINTAINERS
from tests.hostile import dags
from tests.hostile.arena import Arena, BrokeError, random_bytes
from tests.hostile.attacks import Actor, attack
from tests.hostile.http import post
from tests.hostile.statements import join, pin_intent, propose, report
from tests.hostile.uploaders import take

MEMBER = Actor.MEMBER
BLAST_S = 2.0
FRAMES_MIN = 3
LINK_S = 15.0
MEMBER_INDEX = 3


@dataclass(slots=True)
class Member:
    """The links of the peer whose place an attacker has taken."""

    key: SigningKey
    targets: tuple[PeerId, ...]
    network: Network
    token: trio.lowlevel.TrioToken | None = None
    epoch: int = 0
    view: int = 0
    seq: int = 0

    @contextmanager
    def blasting(self, kind: StreamClass, make: Callable[[int], bytes]) -> Iterator[None]:
        """Send what ``make`` returns to everybody, as fast as it goes, for a while.

        Raises:
            BrokeError: Some peer was sent nothing, or does not let us in again.
        """
        assert self.token is not None, "it is linked"
        with ThreadPoolExecutor(1) as executor:
            sending = executor.submit(
                trio.from_thread.run, self._blast, kind, make, trio_token=self.token
            )
            yield
        for peer, count in sending.result().items():
            if count < FRAMES_MIN:
                raise BrokeError(f"only {count} frames were sent to {peer.hex()[:8]}")
        trio.from_thread.run(self.link, trio_token=self.token)

    async def _blast(self, kind: StreamClass, make: Callable[[int], bytes]) -> dict[PeerId, int]:
        sent = dict.fromkeys(self.targets, 0)
        with trio.move_on_after(BLAST_S):
            number = 0
            while True:
                frame = make(number)
                for peer in self.targets:
                    if not self.network.links()[peer].connected:
                        continue
                    with trio.move_on_after(0.2), suppress(PeerUnreachableError):
                        await self.network.send(peer, kind, frame)
                        sent[peer] += 1
                number += 1
                await trio.sleep(0.002 if number % 8 == 0 else 0)
        return sent

    async def link(self) -> None:
        """Return once everybody has let us in."""
        with trio.move_on_after(LINK_S):
            await self.network.wait_for_links(
                lambda links: all(links[peer].connected for peer in self.targets)
            )
            return
        raise BrokeError(f"the member's links did not come up in {LINK_S:.0f} s")

    async def run(self, ready: threading.Event, stop: trio.Event) -> None:
        """Link to everybody until told to stop."""
        self.token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            await nursery.start(self.network.run)
            await self.link()
            ready.set()
            await stop.wait()
            nursery.cancel_scope.cancel()


async def _nothing(_: PeerId, __: bytes) -> None:
    return


@contextmanager
def taken_over(arena: Arena) -> Iterator[Member]:
    """Stop one peer, and speak with its key in its place."""
    victim = arena.cluster.peers[MEMBER_INDEX]
    others = [peer for peer in arena.cluster.peers if peer is not victim]
    addresses = {
        arena.identity(peer.index): [f"/ip4/127.0.0.1/tcp/{peer.listen_port}"] for peer in others
    }
    status = others[0].status()
    victim.stop()
    arena.down.add(MEMBER_INDEX)
    key = load_identity(victim.directory / "identity.key")
    network = Network(
        seed=key.seed,
        listen=[f"/ip4/127.0.0.1/tcp/{victim.listen_port}"],
        peers=addresses,
        handlers={each: _nothing for each in StreamClass if each is not StreamClass.RPC},
    )
    member = Member(
        key, tuple(addresses), network, None,
        int(status["epoch"]), int(status["view"]), int(status["last_executed"]),
    )  # fmt: skip
    ready, stop = threading.Event(), trio.Event()
    thread = threading.Thread(target=lambda: trio.run(member.run, ready, stop))
    thread.start()
    try:
        if not ready.wait(30):
            raise BrokeError("the member's links did not come up")
        arena.settle()
        yield member
    finally:
        assert member.token is not None
        member.token.run_sync_soon(stop.set)
        thread.join()
        arena.down.discard(MEMBER_INDEX)
        victim.start()
        arena.cluster.wait_linked()
        arena.settle()


CURRENT: list[Member] = []
"""Whoever speaks for the peer now; empty before and after."""


def _blasts(
    name: str,
    kind: StreamClass,
    make: Callable[[Arena, Member, int], bytes],
    *,
    prepare: Callable[[Arena], object] = lambda _: None,
) -> None:
    """Register an attack that sends one kind of frame without pause."""

    @attack(MEMBER, name)
    def blast(arena: Arena) -> Iterator[None]:
        [member] = CURRENT
        prepare(arena)
        with member.blasting(kind, lambda number: make(arena, member, number)):
            yield


def _vote(member: Member, kind: int, *, epoch: int = 0, view: int = 0, seq: int = 0) -> bytes:
    return codec.encode(
        [kind, member.epoch + epoch, member.view + view, max(1, member.seq + seq),
         random_bytes(32), random_bytes(64)]
    )  # fmt: skip


def _junk_approval() -> bytes:
    return codec.encode(
        [3, "ed25519-multisig", random_bytes(32), random_bytes(32), random_bytes(64)]
    )


SYNC, CONSENSUS = StreamClass.SYNC, StreamClass.CONSENSUS
BLOCKS, RPC = StreamClass.BLOCKS, StreamClass.RPC

_blasts("sync: random bytes", SYNC, lambda _a, _m, _n: random_bytes(1000))
_blasts(
    "sync: asks for the log without end", SYNC, lambda _a, _m, _n: FetchEntries(Seq(1), 256).frame()
)
_blasts(
    "sync: asks for entries beyond everything", SYNC,
    lambda _a, _m, n: FetchEntries(Seq((1 << 62) - n), 1 << 30).frame(),
)  # fmt: skip
_blasts("sync: asks for batches that are none", SYNC,
        lambda _a, _m, _n: FetchBody(Digest(random_bytes(32))).frame())  # fmt: skip
_blasts(
    "sync: says it is ahead of everybody", SYNC,
    lambda _a, _m, _n: Status(
        Epoch(0), View(1 << 60), View(1 << 60), Seq(1 << 62), Seq(1 << 62), Seq(1 << 62)
    ).frame(),
)  # fmt: skip
_blasts(
    "sync: relays approvals that name nothing", SYNC,
    lambda _a, _m, n: Requests(tuple(_junk_approval() for _ in range(50)), bool(n % 2)).frame(),
)  # fmt: skip
_blasts(
    "sync: relays 240 kB reports of its own", SYNC,
    lambda a, m, n: Requests(
        (report(a.cluster.genesis, m.key, (1 << 60) + n,
                errors=[(random_bytes(60), "x" * 128)] * 900),), True,
    ).frame(),
)  # fmt: skip
_blasts(
    "sync: frames of four megabytes", SYNC, lambda _a, _m, _n: b"\x82\x07" + b"\xff" * 4_000_000
)
_blasts(
    "sync: asks for states that are none", SYNC,
    lambda _a, _m, n: codec.encode([21, n, random_bytes(32), ["0" * 40] * 200, []]),
)  # fmt: skip
_blasts("sync: kinds that do not exist", SYNC, lambda _a, _m, n: codec.encode([23 + n % 80, n, 0]))
_blasts("consensus: votes of this view that nobody signed", CONSENSUS,
        lambda _a, m, n: _vote(m, 1 + n % 4, seq=1 + n % 400))  # fmt: skip
_blasts(
    "consensus: votes of far views, epochs and places", CONSENSUS,
    lambda _a, m, n: _vote(m, 1 + n % 4, epoch=n % 3, view=n % 1000, seq=n % 1000 - 200),
)  # fmt: skip
_blasts("consensus: VIEW-CHANGEs of garbage", CONSENSUS,
        lambda _a, _m, n: codec.encode([5 + n % 2, 0, n, random_bytes(2000)]))  # fmt: skip
_blasts(
    "consensus: four megabytes", CONSENSUS, lambda _a, _m, _n: b"\x86\x05" + b"\x00" * 4_000_000
)
_blasts("calls: garbage", RPC, lambda _a, _m, _n: random_bytes(2000))
_blasts("calls: methods that do not exist", RPC,
        lambda _a, _m, n: codec.encode([0, n, "m" * 64, b"x" * 1000]))  # fmt: skip
_blasts("blocks: random bytes", BLOCKS, lambda _a, _m, _n: random_bytes(500))
_blasts(
    "blocks: wants what nobody has", BLOCKS,
    lambda a, _m, n: to_frame(
        Want(request=n, window_bytes=1 << 62, leaf_budget_bytes=1 << 62,
             cids=tuple(cids.of_block(b"%d %d" % (n, i)) for i in range(300)))
    ),
)  # fmt: skip
_BOMB = dags.nested_shards()
_blasts(
    "blocks: wants a bomb", BLOCKS,
    lambda _a, _m, n: to_frame(
        Want(request=n, window_bytes=64 << 20, leaf_budget_bytes=1 << 40, cids=(_BOMB.root,))
    ),
    prepare=lambda a: [take(peer, _BOMB) for peer in a.standing],
)  # fmt: skip


@attack(MEMBER, "orders: announces addresses that are none")
def odd_addresses(arena: Arena) -> Iterator[None]:
    [member] = CURRENT
    counter = time.time_ns() // 1_000_000 + 10**6
    odd = (
        ("/unix/etc/passwd",), ("/dns4/x/tcp/1/ws",), ("/ip4/1.2.3.4/udp/1/quic",), ("",),
        ("/ip4/999.1.1.1/tcp/1",), ("/ip4/1.2.3.4/tcp/99999",), ("/p2p-circuit",), ("x" * 256,),
    )  # fmt: skip
    requests = [
        join(arena.cluster.genesis, member.key, counter + n, addresses=addresses)
        for n, addresses in enumerate(odd)
    ]
    post(arena.standing[0], requests)
    yield


@attack(MEMBER, "orders: announces names, tags and sizes at the edge")
def odd_announcements(arena: Arena) -> Iterator[None]:
    [member] = CURRENT
    counter = time.time_ns() // 1_000_000 + 10**7
    genesis = arena.cluster.genesis
    huge = (1 << 63) - 1
    requests = [
        join(genesis, member.key, counter, name="\x00\u202e\x1b" * 30, capacity_bytes=huge,
             free_bytes=huge),
        join(genesis, member.key, counter + 1, tags=[("", ""), ("a", "\x00" * 64)]),
        join(genesis, member.key, counter + 2, capacity_bytes=0, free_bytes=huge),
        join(genesis, member.key, huge),
        report(genesis, member.key, huge, free_bytes=huge),
    ]  # fmt: skip
    post(arena.standing[0], requests)
    yield


@attack(MEMBER, "orders: reports that hold what it does not, and contents that do not exist")
def lying_reports(arena: Arena) -> Iterator[None]:
    [member] = CURRENT
    counter = time.time_ns() // 1_000_000 + 10**5
    rng = random.Random(1)
    requests = [
        report(arena.cluster.genesis, member.key, counter + n,
               held=[cids.of_block(rng.randbytes(8)) for _ in range(500)], free_bytes=1 << 62)
        for n in range(40)
    ]  # fmt: skip
    post(arena.standing[0], requests)
    yield


@attack(MEMBER, "with a maintainer: relays its proposals by the hundred")
def relayed_proposals(arena: Arena) -> Iterator[None]:
    [member] = CURRENT
    genesis = arena.cluster.genesis
    made = tuple(
        propose(pin_intent(genesis, arena.forbid()), MAINTAINERS["carol"]) for _ in range(90)
    )
    with member.blasting(SYNC, lambda _: Requests(made, relayed=True).frame()):
        yield

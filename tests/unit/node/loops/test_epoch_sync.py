"""Who votes is learnt from those who can prove it, whoever else pushes in."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import pytest
import trio.testing
from structlog.testing import capture_logs

from bftcluster import codec
from bftcluster.ids import ClusterId, Digest, Epoch, PeerId, ReplicaId, Seq, View
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rows.store import Delta
from bftcluster.ledger.rows.tree_proofs import prove
from bftcluster.ledger.state.membership_rows import epoch_key, epoch_to_value
from bftcluster.ledger.wire.requests import Submit
from bftcluster.limits import EPOCH_SOURCES_MAX, FRAME_SIZE_MAX_BYTES, RECOVERY_EPOCHS
from bftcluster.membership import Membership
from bftcluster.node.loops.epoch_sync import EpochSync
from bftcluster.node.process.threads import Workers
from bftcluster.pbft import CheckpointCertificate, EpochsLearned, EpochStart
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind, vote_payload
from bftcluster.signing.approvals import approve
from bftcluster.signing.envelope import sign
from bftcluster.signing.keys import Ed25519Verifier, SigningKey
from bftcluster.signing.schemes import certify
from bftcluster.sync.epoch_proofs import EpochLink, links_after, links_frame
from bftcluster.sync.epoch_sync import ASK_AGAIN_MS, LIAR_PAUSE_MS, EpochLearning
from bftcluster.sync.frames import EPOCHS, FetchEpochLinks
from tests.unit.ledger.recoveries import recovery_of
from tests.unit.signing.people import ALICE, BOB, POLICY, VERIFIER, intent_of, key
from tests.unit.sync.transfer_world import Server, pins

CLUSTER_ID = ClusterId(b"c" * 32)
VOTERS = [key(f"voter {number}") for number in range(7)]
HONEST, LIAR = PeerId(b"h" * 32), PeerId(b"l" * 32)


def members(epoch: int) -> Membership:
    return Membership(Epoch(epoch), tuple(ReplicaId(v.public_key) for v in VOTERS[: 4 + epoch]))


def certificate(root: Digest, epoch: int, signers: Sequence[SigningKey]) -> bytes:
    votes = []
    for signer in signers:
        slot, me = (Epoch(epoch), View(0), Seq(16 * epoch + 16)), ReplicaId(signer.public_key)
        payload = vote_payload(CLUSTER_ID, *slot, root, me)
        signature = sign(signer, DOMAINS[VoteKind.CHECKPOINT], payload)
        votes.append(Vote(VoteKind.CHECKPOINT, *slot, root, me, signature))
    return CheckpointCertificate.of(votes).to_bytes()


def linked(epochs: int) -> list[EpochLink]:
    """Return the links from epoch 0 on, of a cluster that grows by one in each epoch."""
    server, links = Server(pins(50)), []
    for epoch in range(1, epochs + 1):
        row, name = (
            epoch_to_value(EpochStart(Seq(16 * epoch + 17), members(epoch))),
            epoch_key(Epoch(epoch)),
        )
        server.put({(Space.EPOCH, name): row})
        server.checkpoint()
        signed = certificate(server.root, epoch - 1, VOTERS[: members(epoch - 1).quorum])
        proof = prove(server.store, Space.EPOCH, name).to_bytes()
        links.append(EpochLink(certificate=signed, row=row, proof=proof))
    return links


LINKS = linked(3)


def frame_of(links: Sequence[EpochLink]) -> bytes:
    return links_frame([link.to_bytes() for link in links])


def recovered() -> EpochLink:
    """Return the link to an epoch that maintainers began with the voters of the first."""
    what = recovery_of(staying=tuple(map(PeerId, members(0).replicas)))
    intent = intent_of(what.to_bytes()).to_bytes()
    approvals = [approve(intent, signer) for signer in (ALICE, BOB)]
    request = Submit(certificate=certify(intent, approvals, POLICY, VERIFIER)).to_bytes()
    signed = certificate(Digest(b"r" * 32), RECOVERY_EPOCHS, VOTERS[:3])
    return EpochLink(certificate=signed, row=request, proof=b"")


RECOVERY = recovered()


class World:
    """A sync of epochs, and what came of it."""

    def __init__(self) -> None:
        self.known = members(0)
        self.asked: list[PeerId] = []
        self.kept: list[Delta] = []
        self.recoveries: list[EpochLink] = []
        self.learned = trio.Event()
        self.answers: dict[PeerId, bytes] = {}
        """What is said at once by whom, when it is asked."""
        self.store = MemoryStateStore()
        self.epoch = Epoch(0)
        self.sync = EpochSync(
            cluster_id=CLUSTER_ID,
            genesis=members(0),
            policy=POLICY,
            own=self.store,
            epoch=lambda: self.epoch,
            connected=lambda: [HONEST, LIAR],
            send=self.send,
            keep=self.keep,
            tell=self.tell,
            begin_again=self.recoveries.append,
            workers=Workers(1),
        )

    def send(self, peer: PeerId, _: bytes) -> None:
        self.asked.append(peer)
        if peer in self.answers:
            self.sync.on_frame(peer, self.answers[peer])

    async def keep(self, delta: Delta) -> None:
        self.kept.append(delta)
        self.store.flush(delta)

    def tell(self, learned: EpochsLearned) -> None:
        self.known = learned.starts[-1].membership
        self.learned.set()
        self.learned = trio.Event()

    async def learn(self, answers: Sequence[tuple[PeerId, bytes]], until_epoch: int) -> None:
        """Ask all who answer, and wait until it is known who votes in an epoch."""
        for peer, _ in answers:
            self.sync.ask(ReplicaId(peer))
        for peer, frame in answers:
            self.sync.on_frame(peer, frame)
        await self.knows(until_epoch)

    async def knows(self, epoch: int) -> None:
        """Return when it is known who votes in an epoch."""
        with trio.fail_after(30):
            while self.known.epoch < epoch:
                await self.learned.wait()


@pytest.fixture
async def world(nursery: trio.Nursery) -> AsyncIterator[World]:
    world = World()
    nursery.start_soon(world.sync.run)
    yield world
    nursery.cancel_scope.cancel()


LIES: dict[str, Callable[[], bytes]] = {
    "do not chain": lambda: frame_of([LINKS[0], LINKS[2]]),
    "begin in the past": lambda: frame_of([LINKS[1]]),
    "roll back": lambda: frame_of([LINKS[0], LINKS[0]]),
    "signed by too few": lambda: frame_of(
        [replace(LINKS[0], certificate=certificate(Digest(bytes(32)), 0, VOTERS[:2]))]
    ),
    "signed by those to come": lambda: frame_of(
        [replace(LINKS[0], certificate=certificate(Digest(bytes(32)), 0, VOTERS[4:7]))]
    ),
    "oversized": lambda: bytes(FRAME_SIZE_MAX_BYTES + 1),
    "truncated": lambda: frame_of(LINKS)[:-9],
    "no links": lambda: codec.encode([EPOCHS, [b"link"]]),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_liar_is_named_and_the_epochs_come_from_another(world: World, lie: str) -> None:
    with capture_logs() as logs:
        await world.learn([(LIAR, LIES[lie]()), (HONEST, frame_of(LINKS))], until_epoch=3)

    assert world.known == members(3)
    assert [set(delta) for delta in world.kept] == [
        {(Space.EPOCH_LINK, epoch_key(Epoch(number))) for number in (1, 2, 3)}
    ]
    suspicions = [log["peer"] for log in logs if log["event"] == "suspicion"]
    assert suspicions == [LIAR.hex()[:8]]
    world.sync.ask(ReplicaId(LIAR))
    assert world.asked.count(LIAR) == 1


async def test_who_tells_what_is_known_by_then_is_no_liar(world: World) -> None:
    with capture_logs() as logs:
        await world.learn([(LIAR, frame_of(LINKS[:2])), (HONEST, frame_of(LINKS))], until_epoch=3)

    assert [log for log in logs if log["event"] == "suspicion"] == []


async def test_those_who_make_us_ask_them_do_not_displace_another(world: World) -> None:
    """Anybody can show a certificate of an epoch that nobody heard of, and as often as it likes."""
    world.sync.ask(ReplicaId(HONEST))
    for _ in range(100):
        world.sync.ask(ReplicaId(LIAR))
        world.sync.on_frame(LIAR, frame_of([]))

    world.sync.on_frame(HONEST, frame_of(LINKS))
    await world.knows(3)

    assert world.asked == [HONEST, LIAR]


async def test_those_who_never_answer_are_forgotten(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()
    for number in range(2 * EPOCH_SOURCES_MAX):
        world.sync.ask(ReplicaId(bytes((number,)) * 32))
    assert len(world.asked) == EPOCH_SOURCES_MAX
    world.sync.ask(ReplicaId(HONEST))
    assert HONEST not in world.asked

    await trio.sleep(ASK_AGAIN_MS / 1000)
    world.sync.ask(ReplicaId(HONEST))

    assert HONEST in world.asked
    assert LIAR_PAUSE_MS > ASK_AGAIN_MS


async def test_links_that_others_know_and_we_went_past_are_asked_for_until_none_is_missing(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """By log entries, or with a fetched state, an epoch is passed without its link."""
    world = World()
    world.store.flush({(Space.EPOCH_LINK, epoch_key(Epoch(3))): LINKS[2].to_bytes()})
    world.epoch = Epoch(3)
    world.answers = {HONEST: frame_of(LINKS[:2]), LIAR: frame_of([])}
    nursery.start_soon(world.sync.run)

    while world.known.epoch < 2:
        await world.learned.wait()
    assert set(world.asked) == {LIAR, HONEST}
    world.asked.clear()
    await trio.sleep(10 * ASK_AGAIN_MS / 1000)

    assert world.asked == []
    assert links_after(world.store, Epoch(0)) == [link.to_bytes() for link in LINKS]
    nursery.cancel_scope.cancel()


async def test_what_was_learned_in_an_earlier_life_is_not_asked_for_again() -> None:
    world = World()
    world.store.flush(
        {
            (Space.EPOCH_LINK, epoch_key(Epoch(number))): link.to_bytes()
            for number, link in enumerate(LINKS, start=1)
        }
    )
    asked: list[bytes] = []
    learning = EpochLearning(
        CLUSTER_ID, Ed25519Verifier(), genesis=members(0), policy=POLICY, own=world.store
    )

    asked += [learning.ask(HONEST, 0) or b""]

    assert FetchEpochLinks.from_frame(asked[0]).after == 3


async def test_a_recovery_in_force_is_begun_and_not_told(world: World) -> None:
    """Slots of the epoch that it ends may be open: only a peer that opens again is rid of them."""
    known = world.known
    world.sync.ask(ReplicaId(HONEST))
    world.sync.on_frame(HONEST, frame_of([RECOVERY]))
    with trio.fail_after(30):
        while not world.recoveries:
            await trio.lowlevel.checkpoint()

    assert world.recoveries == [RECOVERY]
    assert world.known == known
    assert world.kept == []


async def test_a_recovery_that_nobody_follows_is_a_lie(world: World) -> None:
    with capture_logs() as logs:
        answers = [
            (LIAR, frame_of([replace(RECOVERY, certificate=b"")])),
            (HONEST, frame_of(LINKS)),
        ]
        await world.learn(answers, until_epoch=3)

    assert [log["peer"] for log in logs if log["event"] == "suspicion"] == [LIAR.hex()[:8]]
    assert world.recoveries == []

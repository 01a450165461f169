"""A relay has ordered what a light peer says of itself, tells it of duties, and no more."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import pytest
import trio
from trio.testing import MockClock

from bftcluster.ids import PeerId, Seq
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.effects import AuditMoved, Effect
from bftcluster.ledger.state.audit_rows import Asked, AuditPhase, Challenge, challenge_key
from bftcluster.ledger.wire.audit_requests import PledgeLine, make_pledge
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.operations import PinOperation
from bftcluster.ledger.wire.outcomes import OutcomeCode
from bftcluster.ledger.wire.peer_terms import PeerTerms
from bftcluster.ledger.wire.requests import HolderStatus, Submit, parse_request
from bftcluster.limits import HANDED_IN_EVERY_MS
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.ingress.inbox import OrderInbox
from bftcluster.node.process.threads import Workers
from bftcluster.node.reads import LedgerReads
from bftcluster.node.relay.relay import REFUSED_PAUSE_S, Relay
from bftcluster.pbft import Batch, Event, LogEntry, RequestSubmitted
from bftcluster.shell_limits import HANDED_IN_PER_PEER_MAX
from bftcluster.storage.engine import sqlite_url
from bftcluster.storage.ledger_store import LedgerStore
from bftcluster.sync.audit_duties import hint_of
from bftcluster.sync.frames import (
    AuditHint,
    DutyHint,
    FetchHints,
    FetchState,
    HandedIn,
    HandIn,
    StateParts,
    parse_sync_frame,
)
from tests.unit.ledger.invitees import departure
from tests.unit.ledger.world import GIB, PEERS, World, cid_of, genesis_of, key, peer_id
from tests.unit.sync.test_audit_duties import audit

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LIGHT, OTHER = key("light"), key("other light")
ME = peer_id(LIGHT)


class InPlace(Workers):
    """No thread: the clock of a test does not wait for one."""

    def __init__(self) -> None:
        super().__init__(1)
        self.worked: list[Callable[..., object]] = []

    async def run(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        self.worked.append(work)
        await trio.lowlevel.checkpoint()
        return work(*args)


class Desk:
    """A relay before a ledger; the order is decided by hand."""

    def __init__(self, directory: Path, *, free_bytes: int) -> None:
        self.world = World(genesis_of(replication_min=1, replication_max=1))
        genesis = self.world.genesis
        self.store = LedgerStore.open(
            sqlite_url(directory / "ledger.db"), genesis=genesis.to_bytes()
        )
        self.store.flush(self.world.store.rows(), [], Seq(0))
        self.inbox: OrderInbox[Event] = OrderInbox(external_max=100)
        self.gateway = Gateway(inbox=self.inbox, verifier=self.world.verifier)
        self.sent: list[tuple[PeerId, object]] = []
        self.guests = [ME]
        self.reading, self.working = InPlace(), InPlace()
        reads = LedgerReads(self.store.reader, workers=self.reading, lists=InPlace())
        self.relay = Relay(
            reads=reads,
            reader=self.store.reader,
            gateway=self.gateway,
            guests=lambda: self.guests,
            stable=lambda: None,
            send=lambda peer, frame: self.sent.append((peer, parse_sync_frame(frame))),
            rate_max_bytes_per_s=1 << 30,
            workers=self.working,
        )
        self.execute(
            [self.world.join(peer, free_bytes=free_bytes).to_bytes() for peer in PEERS[:4]]
        )
        for light in (LIGHT, OTHER):
            terms = PeerTerms(capacity_bytes=10 * GIB, is_light=True)
            operation = AdmitPeer(
                peer=peer_id(light), name="l", addresses=(), votes=False, terms=terms
            )
            self.execute([self.world.submit(operation).to_bytes()])

    def execute(self, requests: Sequence[bytes]) -> list[Effect]:
        applied = self.world.run(*requests)
        seq, last = self.world.ledger.head.seq, self.world.last
        assert last is not None
        entry = LogEntry(seq, Batch(self.world.now_ms, tuple(requests)).to_bytes(), b"").to_bytes()
        self.store.flush(last.delta, [(seq, entry)], seq)
        self.gateway.resolve(seq, zip(requests, applied.outcomes, strict=True))
        return list(applied.effects)

    async def taken(self) -> list[bytes]:
        """What the replica was handed."""
        events = await self.inbox.take(timeout_s=0.01)
        return [event.request for event in events if isinstance(event, RequestSubmitted)]

    async def said(self, frame: bytes, by: PeerId = ME) -> list[object]:
        """Return what a light peer hears once it has said something."""
        before = len(self.sent)
        self.relay.on_frame(by, frame)
        for _ in range(20):
            await trio.sleep(0.05)
            if wanted := await self.taken():
                self.execute(wanted)
        return [message for peer, message in self.sent[before:] if peer == by]


@pytest.fixture
async def desk(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path, free_bytes=getattr(request, "param", 0))
    nursery.start_soon(desk.relay.run)
    await trio.testing.wait_all_tasks_blocked()
    yield desk
    nursery.cancel_scope.cancel()
    desk.store.close()


async def test_its_own_word_is_ordered_and_it_hears_what_became_of_it(desk: Desk) -> None:
    request = desk.world.join(LIGHT, addresses=()).to_bytes()

    heard = await desk.said(HandIn(number=7, request=request).frame())

    assert heard == [HandedIn(number=7, code=int(OutcomeCode.RECORDED))]


async def test_what_many_hand_in_is_submitted_together_and_the_first_at_once(desk: Desk) -> None:
    desk.guests = [ME, peer_id(OTHER)]
    first = desk.world.join(LIGHT, addresses=()).to_bytes()
    later = [desk.world.join(peer, addresses=()).to_bytes() for peer in (LIGHT, OTHER)]
    begun_s = trio.current_time()

    desk.relay.on_frame(ME, HandIn(number=1, request=first).frame())
    assert await desk.taken() == [first]
    desk.execute([first])
    for number, (peer, request) in enumerate(zip(desk.guests, later, strict=True)):
        desk.relay.on_frame(peer, HandIn(number=number, request=request).frame())
        await trio.sleep(1)
    taken: list[bytes] = []
    while len(taken) < len(later):
        taken += await desk.taken()

    assert sorted(taken) == sorted(later)
    assert trio.current_time() - begun_s == pytest.approx(HANDED_IN_EVERY_MS / 1000, abs=0.1)


async def test_the_word_of_another_or_of_a_maintainer_is_not_handed_in(desk: Desk) -> None:
    others = desk.world.join(OTHER, addresses=()).to_bytes()
    approved = desk.world.submit(PinOperation(cid=cid_of(1))).to_bytes()

    for request in (others, approved, b"nothing"):
        [heard] = await desk.said(HandIn(number=1, request=request).frame())
        assert isinstance(heard, HandedIn)
        assert heard.code >= int(OutcomeCode.MALFORMED)
    assert desk.world.record(cid_of(1)) is None


async def test_signatures_of_what_is_handed_in_are_not_judged_on_the_event_loop(
    desk: Desk,
) -> None:
    await desk.said(
        HandIn(number=7, request=desk.world.join(LIGHT, addresses=()).to_bytes()).frame()
    )

    assert desk.gateway.client_problem in desk.working.worked


async def test_what_is_refused_keeps_its_place_for_a_while(desk: Desk) -> None:
    others = desk.world.join(OTHER, addresses=()).to_bytes()
    for number in range(2 * HANDED_IN_PER_PEER_MAX):
        desk.relay.on_frame(ME, HandIn(number=number, request=others).frame())
    await trio.sleep(REFUSED_PAUSE_S / 2)
    assert len(desk.sent) == HANDED_IN_PER_PEER_MAX

    await trio.sleep(REFUSED_PAUSE_S)
    assert len(await desk.said(HandIn(number=99, request=others).frame())) == 1


@pytest.mark.parametrize("desk", [GIB], indirect=True)
async def test_it_is_let_go_when_others_hold_what_it_holds(desk: Desk) -> None:
    world = desk.world
    desk.execute([world.join(LIGHT, addresses=(), free_bytes=GIB).to_bytes()])
    pin = PinOperation(
        cid=cid_of(1),
        replication_min=1,
        replication_max=2,
        user_allocations=(ME, peer_id(PEERS[0])),
    )
    desk.execute([world.submit(pin).to_bytes()])

    async def code_of(number: int, *, is_final: bool) -> int:
        word = departure(world, LIGHT, is_final=is_final).to_bytes()
        [heard] = await desk.said(HandIn(number=number, request=word).frame())
        assert isinstance(heard, HandedIn)
        return heard.code

    # A relay that lags has not seen the first word when it is handed the second.
    assert await code_of(0, is_final=True) == OutcomeCode.NOT_YET_VALID
    assert await code_of(1, is_final=False) == OutcomeCode.COMMITTED
    assert await code_of(2, is_final=True) == OutcomeCode.NOT_YET_VALID
    desk.execute([world.report(PEERS[0], cid_of(1), status=HolderStatus.PINNED).to_bytes()])
    await trio.sleep(HANDED_IN_EVERY_MS / 1000)
    assert await code_of(3, is_final=True) == OutcomeCode.COMMITTED


async def test_it_is_told_of_what_a_batch_gave_it_with_the_approvals(desk: Desk) -> None:
    await desk.said(
        HandIn(number=7, request=desk.world.join(LIGHT, addresses=()).to_bytes()).frame()
    )
    request = desk.world.submit(PinOperation(cid=cid_of(1)))
    effects = desk.execute([request.to_bytes()])
    desk.relay.note(effects)
    await trio.sleep(0.5)

    hints = [message for _, message in desk.sent if isinstance(message, DutyHint)]
    assert [hint.seq for hint in hints] == [desk.world.ledger.head.seq]
    assert parse_request(hints[0].approval) == request
    heard = await desk.said(FetchHints(0).frame())
    assert heard == [DutyHint(seq=desk.world.ledger.head.seq, approval=request.to_bytes())]
    desk.guests = []
    assert isinstance(parse_request(hints[0].approval), Submit)


async def test_an_approval_that_is_lost_hides_no_other(desk: Desk) -> None:
    await desk.said(
        HandIn(number=7, request=desk.world.join(LIGHT, addresses=()).to_bytes()).frame()
    )
    requests = [desk.world.submit(PinOperation(cid=cid_of(number))) for number in (1, 2)]
    for request in requests:
        lost_below = Seq(desk.world.ledger.head.seq + 1)
        desk.execute([request.to_bytes()])
    desk.store.prune_log(lost_below)

    for _ in range(2):
        heard = await desk.said(FetchHints(0).frame())
        assert [parse_request(hint.approval) for hint in heard if isinstance(hint, DutyHint)] == [
            requests[1]
        ]
    looked_up = [work for work in desk.reading.worked if work == desk.store.reader.log]
    assert len(looked_up) <= 2 * 2, "what was lost is not looked for again"


async def test_it_is_shown_proofs_and_nothing_is_made_of_what_light_peers_do_not_say(
    desk: Desk,
) -> None:
    question = FetchState(number=3, root=bytes(32), nodes=("",), rows=())  # type: ignore[arg-type]

    [parts] = await desk.said(question.frame())

    assert isinstance(parts, StateParts)
    assert await desk.said(parts.frame()) == []
    assert await desk.said(b"\x82\x19\x00") == []
    assert await desk.said(HandedIn(number=1, code=4).frame()) == []


def audit_of(desk: Desk, asked: Asked, phase: AuditPhase = AuditPhase.PLEDGING) -> Challenge:
    """Put an audit in the ledger, and return it."""
    challenge = audit(phase, asked, Asked(peer=peer_id(OTHER)))
    row = {(Space.AUDIT, challenge_key(challenge.number)): challenge.to_value()}
    desk.store.flush(row, [], desk.world.ledger.head.seq)
    return challenge


async def test_it_is_told_what_an_audit_expects_of_it_as_that_moves_and_when_it_asks(
    desk: Desk,
) -> None:
    challenge = audit_of(desk, Asked(peer=ME))
    desk.relay.note([AuditMoved(challenge.number)])
    await trio.sleep(0.5)
    assert desk.sent == [(ME, hint_of(challenge))]

    assert await desk.said(FetchHints(0).frame()) == [hint_of(challenge)]
    assert await desk.said(FetchHints(0).frame()) == [hint_of(challenge)]

    audit_of(desk, Asked(peer=ME, commitment=bytes(32)))
    assert await desk.said(FetchHints(0).frame()) == []

    answering = audit_of(desk, Asked(peer=ME, commitment=bytes(32)), AuditPhase.ANSWERING)
    [hint] = await desk.said(FetchHints(0).frame())
    assert hint == hint_of(answering)
    assert isinstance(hint, AuditHint)
    assert hint.is_pledged


async def test_a_guest_is_not_told_of_the_audits_of_others(desk: Desk) -> None:
    challenge = audit_of(desk, Asked(peer=peer_id(PEERS[1])))
    desk.relay.note([AuditMoved(challenge.number)])

    assert await desk.said(FetchHints(0).frame()) == []
    assert desk.sent == []


async def test_what_it_says_of_an_audit_is_handed_in_if_it_is_its_own(desk: Desk) -> None:
    challenge = audit_of(desk, Asked(peer=ME))
    line = PledgeLine(challenge.number, challenge.mark, bytes(32))
    cluster_id = desk.world.genesis.cluster_id
    own, others = (make_pledge(each, cluster_id, [line]).to_bytes() for each in (LIGHT, OTHER))

    [heard] = await desk.said(HandIn(number=1, request=own).frame())
    [refused] = await desk.said(HandIn(number=2, request=others).frame())

    assert heard == HandedIn(number=1, code=int(OutcomeCode.REPLAYED)), "it came to the ledger"
    assert refused == HandedIn(number=2, code=int(OutcomeCode.MALFORMED))

"""The loop keeps the order of Ready: what a vote rests on is durable before the vote leaves."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from bftcluster import codec
from bftcluster.errors import HaltedError
from bftcluster.ids import Digest, Epoch, ReplicaId, Seq
from bftcluster.membership import Membership
from bftcluster.node.ingress.inbox import OrderInbox
from bftcluster.node.loops.replica import ReplicaLoop, StepTargets
from bftcluster.node.process.evidence_files import EvidenceFiles
from bftcluster.node.process.threads import Workers
from bftcluster.pbft import (
    BatchesExecuted,
    Decided,
    Event,
    HaltReason,
    MessageReceived,
    Outbound,
    Recovered,
    Replica,
    ReplicaSettings,
    RequestSubmitted,
    birth_records,
)
from bftcluster.pbft.messages import StableCheckpoint
from bftcluster.pbft.records import Stable, Started, Voted, parse_record
from bftcluster.pbft.votes import VoteKind
from bftcluster_cli.exits import EXIT_HALTED, exit_code_of
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.environment.signatures import SimSigner, SimVerifier, sim_key
from bftcluster_sim.cluster.hosts import AcceptEverything
from tests.unit.pbft.builders import B, checkpoint

ME = ReplicaId(sim_key(0))
CHECKPOINT_INTERVAL = 4
ROOT = Digest(b"r" * 32)


class Peer:
    """A cluster of one, whose disk is this list of what became durable, and what left when."""

    def __init__(
        self,
        directory: Path,
        *,
        replicas: tuple[ReplicaId, ...] = (ME,),
        recovered: Recovered | None = None,
    ) -> None:
        self.durable: list[bytes] = []
        self.happened: list[str] = []
        self.premature: list[object] = []
        """Votes that left before the record of them was durable."""
        self.inbox: OrderInbox[Event] = OrderInbox(external_max=10)
        self.loop = ReplicaLoop(
            replica=Replica(
                me=ME,
                cluster_id=CLUSTER_ID,
                membership=Membership(Epoch(0), replicas),
                signer=SimSigner(ME),
                verifier=SimVerifier(),
                application=AcceptEverything(),
                settings=ReplicaSettings(checkpoint_interval_seqs=CHECKPOINT_INTERVAL),
                recovered=recovered or Recovered(records=birth_records(CLUSTER_ID, ME)),
            ),
            wal=self,
            inbox=self.inbox,
            clock=self,
            targets=StepTargets(
                send=self.send_all,
                decide=self.decide,
                read_log=lambda _: None,
                fetch_state=lambda _: None,
                fetch_epochs=lambda _: None,
                sync_ledger=self.sync_ledger,
                accuse=lambda _: None,
            ),
            evidence=EvidenceFiles(directory),
            workers=Workers(1),
        )

    def append(self, records: Sequence[bytes]) -> None:
        shown = self.loop.stable
        if shown is not None and Stable(shown).to_bytes() not in self.durable:
            self.premature.append(shown)
        self.durable += records
        self.happened.append("durable")

    def rewrite(self, records: Sequence[bytes]) -> None:
        self.durable = list(records)
        self.happened.append("rewritten")

    def now_ms(self) -> int:
        return int(trio.current_time() * 1000)

    def wall_ms(self) -> int:
        return self.now_ms()

    def send_all(self, outbounds: Sequence[Outbound], voters: Sequence[ReplicaId]) -> None:
        for outbound in outbounds:
            self.send(outbound)

    def send(self, outbound: Outbound) -> None:
        kind, *rest = codec.decode(outbound.frame)
        if kind in {vote.value for vote in VoteKind}:
            self.happened.append(VoteKind(kind).name)
            if Voted(VoteKind(kind), *rest[:4]) not in map(parse_record, self.durable):
                self.premature.append((kind, rest))

    def decide(self, decided: Decided) -> None:
        self.happened.append("decided")
        is_checkpoint = decided.seq % CHECKPOINT_INTERVAL == 0
        self.inbox.put_nowait(BatchesExecuted(decided.seq, ROOT if is_checkpoint else None))

    async def sync_ledger(self, stable: Seq) -> None:
        await trio.lowlevel.checkpoint()
        self.happened.append("ledger synced")


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Peer]:
    peer = Peer(directory)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.loop.run)
        yield peer
        nursery.cancel_scope.cancel()


async def decide_next(peer: Peer, request: bytes) -> None:
    """Have one request decided and executed."""
    executed = peer.loop.replica.last_executed
    peer.inbox.put_nowait(RequestSubmitted(request))
    with trio.fail_after(5):
        while peer.loop.replica.last_executed == executed:
            await trio.lowlevel.checkpoint()


async def decide_up_to_checkpoint(peer: Peer, *, until: str) -> None:
    """Have as many requests decided as a checkpoint takes, and wait for what follows."""
    for number in range(CHECKPOINT_INTERVAL):
        await decide_next(peer, b"request %d" % number)
    with trio.fail_after(5):
        while until not in peer.happened:
            await trio.lowlevel.checkpoint()


async def test_no_vote_leaves_before_it_is_durable(tmp_path: Path) -> None:
    async with running(tmp_path) as peer:
        await decide_up_to_checkpoint(peer, until="CHECKPOINT")

    assert peer.premature == []
    assert {"PRE_PREPARE", "COMMIT", "CHECKPOINT"} <= set(peer.happened)


async def test_a_decision_is_handed_on_only_after_its_votes_are_durable(tmp_path: Path) -> None:
    async with running(tmp_path) as peer:
        await decide_next(peer, b"request")

    assert peer.happened.index("durable") < peer.happened.index("COMMIT")
    assert peer.happened.index("COMMIT") < peer.happened.index("decided")


async def test_votes_are_dropped_only_when_the_ledger_is_durable(tmp_path: Path) -> None:
    async with running(tmp_path) as peer:
        await decide_up_to_checkpoint(peer, until="rewritten")

    assert peer.happened.index("ledger synced") < peer.happened.index("rewritten")


async def test_a_life_that_ended_at_a_checkpoint_is_finished_by_the_next(tmp_path: Path) -> None:
    """Whoever dies between the record and what follows it has the links between epochs to make."""
    stable = Stable(checkpoint(CHECKPOINT_INTERVAL, voters=(0,))).to_bytes()
    records = (Started(CLUSTER_ID, ME).to_bytes(), stable)
    peer = Peer(tmp_path, recovered=Recovered(records=records, executed=Seq(CHECKPOINT_INTERVAL)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.loop.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert peer.happened[:1] == ["ledger synced"]


async def test_a_checkpoint_is_shown_only_when_it_is_durable(tmp_path: Path) -> None:
    async with running(tmp_path) as peer:
        for number in range(CHECKPOINT_INTERVAL):
            await decide_next(peer, b"request %d" % number)
        with trio.fail_after(5):
            while peer.loop.stable is None:
                await trio.lowlevel.checkpoint()

    assert peer.premature == []


async def test_a_log_that_fails_sends_nothing(tmp_path: Path) -> None:
    peer = Peer(tmp_path)

    def refuse(_: Sequence[bytes]) -> None:
        raise OSError(28, "no space left on device")

    peer.append = refuse  # type: ignore[method-assign]
    peer.inbox.put_nowait(RequestSubmitted(b"request"))
    with pytest.raises(OSError, match="no space"):
        await peer.loop.run()

    assert peer.happened == []


async def test_a_member_that_sends_junk_has_one_line_of_the_log_in_a_while(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    other, third = ReplicaId(sim_key(1)), ReplicaId(sim_key(2))
    peer = Peer(tmp_path, replicas=(ME, other, third))

    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.loop.run)
            for sender, count in ((other, 100), (third, 1), (other, 50)):
                for _ in range(count):
                    peer.inbox.put_nowait(MessageReceived(sender, b"junk"))
                await trio.sleep(6)
            nursery.cancel_scope.cancel()

    told = [(log["peer"], log.get("left_out")) for log in logs if log["event"] == "fault"]
    mine, theirs = other.hex()[:8], third.hex()[:8]
    assert told == [(mine, None), (theirs, None), (mine, 99)]


async def test_who_cannot_go_on_leaves_the_proof_says_where_and_ends_with_a_code_of_its_own(
    tmp_path: Path,
) -> None:
    other = ReplicaId(sim_key(1))
    executed = Recovered(
        records=birth_records(CLUSTER_ID, ME),
        executed=Seq(CHECKPOINT_INTERVAL),
        checkpoint_root=ROOT,
    )
    peer = Peer(tmp_path, replicas=(ME, other), recovered=executed)
    certified = checkpoint(CHECKPOINT_INTERVAL, B, voters=(0, 1))
    peer.inbox.put_nowait(MessageReceived(other, StableCheckpoint(certified).frame()))

    with trio.fail_after(5), pytest.raises(HaltedError) as caught:
        await peer.loop.run()

    (path,) = (tmp_path / "evidence").iterdir()
    reason, exhibits = codec.decode(path.read_bytes())
    assert reason == HaltReason.DIVERGED_STATE.value
    assert exhibits == [certified.to_bytes(), ROOT]
    assert str(path) in str(caught.value)
    assert exit_code_of(caught.value) == EXIT_HALTED
    assert peer.premature == []

"""What was decided becomes state, just as it was ordered."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from bftcluster.ids import ReplicaId, Seq, View
from bftcluster.node.ingress.gateway import Gateway
from bftcluster.node.ingress.inbox import OrderInbox
from bftcluster.node.loops.execution import ExecutionLoop
from bftcluster.node.parts import Parts, open_parts
from bftcluster.node.process.config import Config
from bftcluster.node.process.identity import create_identity
from bftcluster.node.process.threads import Workers
from bftcluster.pbft import Batch, BatchesExecuted, Decided, Event
from tests.unit.ledger.world import PEERS, START_MS, genesis_of, peer_id

INTERVAL = 4


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """Those of the first of four peers, with a checkpoint every four batches."""
    key = create_identity(tmp_path / "identity.key")
    genesis = genesis_of(peers=[key, *PEERS[:3]], checkpoint_interval=INTERVAL)
    (tmp_path / "genesis.cbor").write_bytes(genesis.to_bytes())
    with open_parts(Config.from_values(tmp_path, {"storage": {"quota": "64MB"}})) as parts:
        yield parts


async def test_a_batch_counts_for_the_view_it_was_proposed_in_not_for_that_of_its_certificate(
    parts: Parts, nursery: trio.Nursery
) -> None:
    inbox: OrderInbox[Event] = OrderInbox(external_max=10)
    reports, reported = trio.open_memory_channel[BatchesExecuted](INTERVAL)
    loop = ExecutionLoop(
        ledger=parts.ledger,
        store=parts.store,
        gateway=Gateway(inbox=inbox, verifier=parts.verifier),
        report=reports.send_nowait,
        carry_out=lambda _effects: None,
        log_kept_seqs=None,
        workers=Workers(1),
    )
    nursery.start_soon(loop.run)

    for seq in range(1, INTERVAL + 1):
        batch = Batch(START_MS + seq, (b"some request",), View(2))
        loop.decide(Decided(Seq(seq), View(3), batch.to_bytes(), b""))
    executed = [await reported.receive() for _ in range(INTERVAL)]

    named = executed[-1].next_membership
    assert named is not None
    assert named.barred == {ReplicaId(peer_id(PEERS[0]))}

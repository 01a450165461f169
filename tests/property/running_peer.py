"""One whole peer, alone in its cluster, as `peer run` makes it: real parts, no sockets."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import trio
from prometheus_client.parser import text_string_to_metric_families

from bftcluster.api.app import create_app
from bftcluster.api.settings import ApiSettings
from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.cid import text
from bftcluster.ledger.wire.operations import Operation, PinOperation
from bftcluster.ledger.wire.requests import Propose, Request, Submit
from bftcluster.node.parts import open_parts
from bftcluster.node.peer import Peer
from bftcluster.node.process.config import Config
from bftcluster.node.process.identity import create_identity
from bftcluster.signing.approvals import Intent, approve
from bftcluster.signing.keys import SigningKey, peer_id_text
from bftcluster.signing.schemes import certify
from tests.unit.ledger.world import genesis_of
from tests.unit.signing.people import ALICE, BOB, VERIFIER

TIMEOUT_S = 30
READS = (
    *("/id", "/peers", "/members", "/invites", "/status", "/health", "/health/graph"),
    "/health/alerts",
    *("/health/cluster", "/metrics"),
    *("/allocations", "/pins", "/pins?local=true", "/proposals", "/policy", "/genesis"),
    *("/monitor/metrics/ping", "/monitor/metrics/freespace", "/monitor/metrics/evictions-waiting"),
)
"""Everything that shows replicated data."""


class Loner:
    """A peer's directory, and what its maintainers and itself can sign."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.key = create_identity(directory / "identity.key")
        self.genesis = genesis_of(peers=[self.key])
        (directory / "genesis.cbor").write_bytes(self.genesis.to_bytes())
        self.config = Config.from_values(
            directory,
            {
                "network": {"listen": []},
                "api": {"listen": []},
                "storage": {"quota": "64MB", "fsync": False},
            },
        )
        self._nonces = 0

    def intent(self, operation: Operation, *, expires_ms: int = 0) -> Intent:
        self._nonces += 1
        now_ms = time.time_ns() // 1_000_000
        return Intent(
            cluster_id=self.genesis.cluster_id,
            policy_version=self.genesis.policy.version,
            policy_hash=self.genesis.policy.hash,
            operation=operation.to_bytes(),
            nonce=self._nonces.to_bytes(16, "big"),
            not_before_ms=now_ms - 60_000,
            expires_ms=expires_ms or now_ms + 86_400_000,
        )

    def submit(self, operation: Operation) -> Submit:
        intent = self.intent(operation)
        votes = [approve(intent.to_bytes(), signer) for signer in (ALICE, BOB)]
        return Submit(certificate=certify(intent.to_bytes(), votes, self.genesis.policy, VERIFIER))

    def propose(self, operation: Operation, signer: SigningKey = ALICE) -> Propose:
        data = self.intent(operation).to_bytes()
        return Propose(intent=data, approval=approve(data, signer))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Running"]:
        """Run the peer, from opening its files to closing them."""
        with open_parts(self.config) as parts:
            peer = Peer(parts)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.run)
                yield Running(peer)
                peer._stop.set()


class Running:
    """A peer while it runs."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    @property
    def blocks(self) -> EmbeddedStore:
        """Its block store."""
        return self._peer._parts.blocks

    def stop(self) -> None:
        """Do what SIGTERM does."""
        self._peer._stop.set()

    async def order(self, *requests: Request) -> list[str]:
        """Order requests; return what became of each."""
        data = [request.to_bytes() for request in requests]
        problems = [self._peer._gateway.problem(request) for request in data]
        assert problems == [""] * len(data)
        ordered = await self._peer._gateway.order(data, timeout_s=TIMEOUT_S)
        return ["timeout" if each is None else each.outcome.label for each in ordered]

    async def read_all(self, operations: Sequence[Operation]) -> None:
        """Ask for everything that shows replicated data; every answer is JSON."""
        app = create_app(self._peer._service, ApiSettings())
        transport = httpx.ASGITransport(app=app)
        pins = [op for op in operations if isinstance(op, PinOperation)]
        paths = [f"/{what}/{text(op.cid)}" for op in pins for what in ("pins", "allocations")]
        paths.append(f"/reputation/{peer_id_text(self._peer._parts.me)}")
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9094") as http:
            for path in (*READS, *paths):
                answer = await http.get(path)
                assert answer.status_code < 500 or path == "/health", (path, answer.text)
                if path == "/metrics":
                    assert list(text_string_to_metric_families(answer.text))
                    continue
                for line in filter(None, answer.text.split("\n")):
                    json.loads(line)

    async def settle(self) -> None:
        """Let contacts, network and tracker take in what has changed."""
        await trio.sleep(0.5)

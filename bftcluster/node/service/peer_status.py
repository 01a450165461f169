"""This peer's place among the others: what it is, whom it reaches, and who belongs to them."""

from collections.abc import Sequence
from typing import Final

from bftcluster.api.member_views import MemberView
from bftcluster.api.views import LinkView
from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.records import PeerRecord
from bftcluster.net.network import Network
from bftcluster.node.loops.log_budget import LogBudget, LogUse
from bftcluster.node.loops.peer_directory import PeerDirectory
from bftcluster.node.parts import Parts
from bftcluster.node.ports import Clock
from bftcluster.node.process.threads import Workers
from bftcluster.node.service.member_views import member_views

REPLICA: Final = "replica"
STORAGE: Final = "storage"
REMOVED: Final = "removed"
NOT_ADMITTED: Final = "not admitted"


class PeerStatus:
    """Answers from the ledger's rows, the replica and the links, as of now."""

    def __init__(
        self,
        *,
        parts: Parts,
        peer_directory: PeerDirectory,
        network: Network,
        clock: Clock,
        workers: Workers,
        log_budget: LogBudget,
    ) -> None:
        self._log_budget = log_budget
        self._parts = parts
        self._peer_directory = peer_directory
        self._network = network
        self._clock = clock
        self._workers = workers

    def role(self) -> str:
        """Return what this peer is in the current epoch, as far as it has executed."""
        replica = self._parts.replica
        if replica.me in replica.membership.replicas:
            return REPLICA
        if self._peer_directory.is_admitted:
            return STORAGE
        voted = queries.voted_ever(self._parts.store.reader, self._parts.genesis, replica.me)
        return REMOVED if voted else NOT_ADMITTED

    def problem(self) -> str:
        """Return why this peer cannot serve now; empty if it can."""
        role = self.role()
        if role in {REMOVED, NOT_ADMITTED}:
            return f"this peer is {role}: it follows, and takes no part"
        membership = self._parts.replica.membership
        reached = sum(self.is_connected(PeerId(replica)) for replica in membership.replicas)
        if reached < membership.quorum:
            return f"reaches {reached} of {membership.n} replicas, needs {membership.quorum}"
        return ""

    def log_use(self) -> LogUse:
        """Return how much of its budget the log has used."""
        return self._log_budget.use()

    def own_record(self) -> PeerRecord:
        """Return this peer as the ledger knows it, or as it would."""
        parts = self._parts
        unknown = PeerRecord(peer=parts.me, name=parts.name, addresses=(), is_replica=False)
        return self._peer_directory.records.get(parts.me, unknown)

    def is_connected(self, peer: PeerId) -> bool:
        """Return whether a peer is reachable now; this one is."""
        link = self._network.links().get(peer)
        return peer == self._parts.me or (link is not None and link.connected)

    def links(self) -> list[LinkView]:
        """Return the links to the others, sorted by peer."""
        now_ms, records = self._clock.wall_ms(), self._peer_directory.records
        return [
            LinkView(
                peer=peer,
                peername=records[peer].name if peer in records else "",
                is_connected=link.connected,
                rtt_ms=link.rtt_ms or 0.0,
                since_ms=now_ms - link.since_ms,
                last_seen_ms=0 if link.last_seen_ms is None else now_ms - link.last_seen_ms,
                queued_frames=sum(link.queued.values()),
                dropped_frames=sum(link.dropped.values()),
            )
            for peer, link in sorted(self._network.links().items())
        ]

    async def members(self) -> Sequence[MemberView]:
        """Return every admitted peer's place in the cluster."""
        parts = self._parts
        links = self._network.links().items()
        connected = {parts.me, *(peer for peer, link in links if link.connected)}
        return await self._workers.run(member_views, parts.store.reader, parts.genesis, connected)

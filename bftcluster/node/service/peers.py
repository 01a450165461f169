"""This peer among the others: what it is, whom it reaches, who belongs to them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from bftcluster import __version__
from bftcluster.api.member_views import MemberView
from bftcluster.api.reputation_views import ReputationView
from bftcluster.api.views import IdView, IpfsView, LinkView
from bftcluster.errors import NotFoundError
from bftcluster.ids import PeerId
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.loans.invitations import InviteRecord
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.net.network import Network
from bftcluster.node.loops.peer_directory import PeerDirectory
from bftcluster.node.parts import Parts
from bftcluster.node.process.threads import Workers
from bftcluster.node.service.member_views import member_views
from bftcluster.node.service.reputation_views import reputation_views
from bftcluster.signing.keys import peer_id_text

REPLICA: Final = "replica"
STORAGE: Final = "storage"
REMOVED: Final = "removed"
EVICTED: Final = "evicted"
NOT_ADMITTED: Final = "not admitted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerService:
    """Answers from the ledger's rows and the links, as of now.

    Implements the API's ports of peers and of members.
    """

    parts: Parts
    peer_directory: PeerDirectory
    network: Network
    workers: Workers

    def id(self) -> IdView:
        """Return this peer."""
        return self._id_view(self.own_record())

    def peers(self) -> Sequence[IdView]:
        """Return every admitted peer, sorted by id."""
        peers = self.peer_directory.records
        evidence = queries.evidence_by_peer(self.parts.store.reader)
        views = [self._id_view(peers[peer]) for peer in sorted(peers)]
        return [
            replace(view, evidence=evidence[view.peer].digest) if view.peer in evidence else view
            for view in views
        ]

    async def members(self) -> Sequence[MemberView]:
        """Return every admitted peer's place in the cluster."""
        parts = self.parts
        links = self.network.links().items()
        connected = {parts.me, *(peer for peer, link in links if link.connected)}
        return await self.workers.run(member_views, parts.store.reader, parts.genesis, connected)

    async def reputation(self, peer: PeerId) -> ReputationView:
        """Return what is kept about a peer.

        Raises:
            NotFoundError: Nothing is.
        """
        parts = self.parts
        views = await self.workers.run(reputation_views, parts.store.reader, parts.genesis)
        if peer not in views:
            hint = "`bftcluster peer ls` lists the peers"
            raise NotFoundError("nothing is kept about such a peer", hint=hint)
        return views[peer]

    async def invites(self) -> Sequence[InviteRecord]:
        """Return the invitations that have not expired."""
        return await self.workers.run(queries.invites, self.parts.store.reader)

    def own_record(self) -> PeerRecord:
        """Return this peer as the ledger knows it, or as it would."""
        parts = self.parts
        unknown = PeerRecord(peer=parts.me, name=parts.name, addresses=(), is_replica=False)
        return self.peer_directory.records.get(parts.me, unknown)

    def role(self) -> str:
        """Return what this peer is in the current epoch, as far as it has executed."""
        replica = self.parts.replica
        if replica.me in replica.membership.replicas:
            return REPLICA
        if self.peer_directory.is_admitted:
            return STORAGE
        reputation = queries.reputation_of(self.parts.store.reader, self.parts.me)
        if reputation is None:
            return NOT_ADMITTED
        return EVICTED if reputation.is_evicted else REMOVED

    def is_connected(self, peer: PeerId) -> bool:
        """Return whether a peer is reachable now; this one is."""
        link = self.network.links().get(peer)
        return peer == self.parts.me or (link is not None and link.connected)

    def links(self, *, wall_ms: int) -> list[LinkView]:
        """Return the links to the others, sorted by peer."""
        records = self.peer_directory.records
        return [
            LinkView(
                peer=peer,
                peername=records[peer].name if peer in records else "",
                is_connected=link.connected,
                rtt_ms=link.rtt_ms or 0.0,
                since_ms=wall_ms - link.since_ms,
                last_seen_ms=0 if link.last_seen_ms is None else wall_ms - link.last_seen_ms,
                queued_frames=sum(link.queued.values()),
                dropped_frames=sum(link.dropped.values()),
            )
            for peer, link in sorted(self.network.links().items())
        ]

    def _id_view(self, record: PeerRecord) -> IdView:
        peers = self.peer_directory.records
        me = record.peer == self.parts.me
        addresses = _with_id(record.addresses, record.peer)
        if not me and not self.is_connected(record.peer):
            return IdView(peer=record.peer, error="not connected", peername=record.name)
        return IdView(
            peer=record.peer,
            peername=self.parts.name if me else record.name,
            addresses=addresses,
            cluster_peers=tuple(sorted(peers)) if me else (),
            cluster_peers_addresses=tuple(
                address
                for other in sorted(peers)
                if me and other != record.peer
                for address in _with_id(peers[other].addresses, other)
            ),
            version=__version__ if me else "",
            ipfs=IpfsView(id=peer_id_text(record.peer), addresses=addresses),
        )


def _with_id(addresses: Sequence[str], peer: PeerId) -> tuple[str, ...]:
    return tuple(f"{address}/p2p/{peer_id_text(peer)}" for address in addresses)

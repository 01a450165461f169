"""Knows which peers may connect, and where to reach them: those that the ledger admits."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NoReturn

import trio

from bftcluster.ids import PeerId
from bftcluster.ledger.rows.store import RowPort
from bftcluster.ledger.rules.effects import Effect, PeerChanged, PeerRemoved
from bftcluster.ledger.state import queries
from bftcluster.ledger.state.membership_rows import Change
from bftcluster.ledger.state.peer_records import PeerRecord
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.threads import Workers
from bftcluster.signing.keys import peer_id_text

REMOVED_GRACE_S: Final = 30.0
"""How long a removed peer may still connect: it must be able to learn that it was removed."""
LOOK_AGAIN_S: Final = 2.0
"""How often to look whether we hear anybody."""
_PAUSE_S: Final = 0.2
"""At least this long between two looks: joins come in bursts."""

Addresses = Mapping[PeerId, Sequence[str]]

_log = log_for("node")


class PeerDirectory:
    """Follows the ledger's peers, and tells the network."""

    def __init__(
        self,
        *,
        me: PeerId,
        reader: RowPort,
        configured: Addresses,
        is_lost: Callable[[], bool],
        voters: Callable[[], Iterable[bytes]],
        workers: Workers,
        is_relay: bool = False,
    ) -> None:
        """Read who is admitted now; blocks.

        Args:
            me: This peer.
            reader: Of the ledger.
            configured: Addresses that the operator set: they count instead of announced ones. While
                this peer is not admitted as far as it knows, or hears none of those it believes to
                vote, it follows these peers as well: it may have slept while others came.
            is_lost: Returns whether we hear none of those.
            voters: Returns who votes in the last epoch that was proved to us: the ledger need not
                have got there.
            workers: Read the ledger.
            is_relay: Whether light peers may connect.
        """
        self._me = me
        self._reader = reader
        self._configured = configured
        self._is_lost = is_lost
        self._voters = voters
        self._workers = workers
        self._until_s: dict[PeerId, float] = {}
        """When the grace of peers that were removed just now ends, in trio's time."""
        self._gone: dict[PeerId, Sequence[str]] = {}
        self._is_relay = is_relay
        self._changed = trio.Event()
        self._stale: set[PeerId] = set()
        """Whose records changed since they were read."""
        self.records: dict[PeerId, PeerRecord] = {}
        """The admitted peers."""
        self.changes: tuple[Change, ...] = ()
        """Changes of members under way."""
        self._read()
        self.peers: tuple[PeerId, ...] = tuple(self.allowed())
        """Who may connect, as the network was told last."""

    @property
    def is_admitted(self) -> bool:
        """Whether this peer belongs to the cluster, as far as it has executed."""
        return self._me in self.records

    def allowed(self) -> dict[PeerId, Sequence[str]]:
        """Return who may connect, and where to dial them; voters first, who has left last."""
        records = sorted(self.records.values(), key=lambda record: not record.is_replica)
        allowed = {r.peer: self._addresses(r) for r in records if not r.terms.is_light}
        if not self.is_admitted or self._is_lost():
            allowed |= {p: a for p, a in self._configured.items() if p not in allowed}
        for voter in map(PeerId, self._voters()):
            if voter != self._me:
                allowed.setdefault(voter, self._configured.get(voter, ()))
        return allowed | {p: a for p, a in self._gone.items() if p not in allowed}

    def recorded_counter(self) -> int:
        """Return the counter of this peer that the cluster has heard last; 0: none."""
        record = self.records.get(self._me)
        return 0 if record is None else record.counter

    def guests(self) -> frozenset[PeerId]:
        """Return who may connect to this peer if it is a relay, and is dialled by nobody."""
        if not self._is_relay:
            return frozenset()
        return frozenset(r.peer for r in self.records.values() if r.terms.is_light)

    def note(self, effects: Sequence[Effect]) -> None:
        """Take in what the ledger changed."""
        changed = {e.peer for e in effects if isinstance(e, PeerChanged | PeerRemoved)}
        if changed:
            self._stale |= changed
            self._changed.set()

    async def run(self, allow: Callable[[Addresses, frozenset[PeerId]], None]) -> NoReturn:
        """Tell ``allow`` whenever the answer changes; until cancelled."""
        told = self.allowed(), frozenset[PeerId]()
        while True:
            with trio.move_on_after(self._patience_s()):
                await self._changed.wait()
            before = self.records
            if self._changed.is_set():
                self._changed = trio.Event()
                stale, self._stale = self._stale, set()
                await self._workers.run(self._read_again, stale)
            self._say_goodbye(before)
            allowed = self.allowed(), self.guests()
            if allowed != told:
                allow(*allowed)
                told = allowed
                self.peers = tuple(allowed[0])
            await trio.sleep(_PAUSE_S)

    def _say_goodbye(self, before: Mapping[PeerId, PeerRecord]) -> None:
        """Let removed peers stay for a while, and those whose grace is over go."""
        now_s = trio.current_time()
        for peer in before.keys() - self.records.keys():
            _log.warning("a peer was removed from the cluster", peer=peer_id_text(peer))
            if before[peer].terms.is_light:
                continue
            self._until_s[peer] = now_s + REMOVED_GRACE_S
            self._gone[peer] = self._addresses(before[peer])
        for peer, until_s in list(self._until_s.items()):
            if until_s <= now_s or peer in self.records:
                del self._until_s[peer], self._gone[peer]

    def _patience_s(self) -> float:
        until_s = min(self._until_s.values(), default=float("inf"))
        return min(LOOK_AGAIN_S, max(0.0, until_s - trio.current_time()))

    def _addresses(self, record: PeerRecord) -> Sequence[str]:
        return self._configured.get(record.peer) or record.addresses

    def _read_again(self, stale: Iterable[PeerId]) -> None:
        """Read what changed: of ten thousand light peers, some announce themselves each second."""
        records = dict(self.records)
        for peer in stale:
            record = queries.peer_of(self._reader, peer)
            if record is None:
                records.pop(peer, None)
            else:
                records[peer] = record
        self.changes = queries.changes_under_way(self._reader)
        self.records = records

    def _read(self) -> None:
        records = queries.peers(self._reader)
        self.changes = queries.changes_under_way(self._reader)
        self.records = records

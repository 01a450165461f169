"""The state during execution: the stored rows, and over them what this run changed.

Later operations of a batch see what earlier ones did. Peers and policies are few and asked for by
every pin, so their decoded forms are kept here for the life of the process.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice, takewhile
from typing import Final

from bftcluster.allocation.roster import Roster
from bftcluster.ids import Digest, Epoch, MaintainerId, PeerId, Seq
from bftcluster.ledger.rows.spaces import STATE_SPACES, Key, Rows, Space
from bftcluster.ledger.rows.store import StatePort, scan
from bftcluster.ledger.state.beacon_rows import read_beacon
from bftcluster.ledger.state.deadlines import AGES_AFTER, EarliestDeadline
from bftcluster.ledger.state.intents import SeenIntents, TriedIntents
from bftcluster.ledger.state.membership_rows import (
    Change,
    changes_to_value,
    epoch_key,
    epoch_to_value,
    read_changes,
    read_epoch,
)
from bftcluster.ledger.state.open_audits import OpenAudits
from bftcluster.ledger.state.peer_records import PeerRecord, peer_record
from bftcluster.ledger.state.primary_penalties import Turns, read_turns, turns_to_value
from bftcluster.ledger.state.progress.moves import MOVE_PREFIX, Move, MoveQueue
from bftcluster.ledger.state.progress.period_turns import (
    PERIOD_TURN_KEY,
    PeriodTurn,
    read_period_turn,
)
from bftcluster.ledger.state.records import ClosedProposal, Head, ProposalRecord, head, proposal
from bftcluster.ledger.state.repairs import (
    ABSENCE_KEY,
    ABSENT_ROW,
    REPAIR_KEY,
    Heard,
    RepairTurn,
    absence_key,
    absence_to_value,
    read_absence,
    read_repair_turn,
    repair_turn_to_value,
)
from bftcluster.ledger.state.replication import AGE_RULES_KEY, read_age_rules
from bftcluster.ledger.state.reputations import (
    WAITING_KEY,
    Reputations,
    read_waiting,
    waiting_to_value,
)
from bftcluster.ledger.state.shares import SHARE_PREFIX, Share, read_shares
from bftcluster.ledger.state.weights import units_of
from bftcluster.ledger.wire.bounded_cache import Recent
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.limits import PROPOSALS_MEMORY_MAX_BYTES
from bftcluster.membership import Membership
from bftcluster.pbft.epochs import EpochStart, with_start
from bftcluster.reputation import PeerReputation, Standing, terms_of
from bftcluster.signing.policies import Policy

GENESIS_KEY: Final = b"genesis"
HEAD_KEY: Final = b"head"
POLICY_KEY: Final = b"policy"
"""The current policy's version, 8 bytes."""
CHANGES_KEY: Final = b"members/changes"
TURNS_KEY: Final = b"members/turns"
_DEADLINES_PAGE: Final = 16
_PROPOSAL_OVERHEAD_BYTES: Final = 3000
"""What a decoded proposal takes beside its intent's bytes, roughly."""
_COPIES: Final = 5
"""How often its intent's bytes are in memory: a text may need four for each character."""


class State:
    """Rows to read and write, with the changes since the last ``take_delta``."""

    def __init__(self, store: StatePort, roster: Roster) -> None:
        self._store = store
        self._rows: list[Rows] = [{} for _ in STATE_SPACES]
        self._dirty: list[Rows] = [{} for _ in STATE_SPACES]
        self.roster = roster
        self.peers: dict[PeerId, PeerRecord] = {}
        self.peers_joined = 0
        genesis = self.get(Space.META, GENESIS_KEY)
        assert genesis is not None, "the genesis is the first row"
        founding = Genesis.from_bytes(genesis)
        self._interval = founding.checkpoint_interval
        self.epochs: list[EpochStart] = [EpochStart(Seq(1), founding.membership())]
        """Who votes from when on, the epochs to come included."""
        for _, value in self.scan(Space.EPOCH):
            self.epochs = with_start(self.epochs, read_epoch(value))
        self.changes = read_changes(self.get(Space.META, CHANGES_KEY))
        """Changes of members under way, in the order of their approval."""
        self.accused = {PeerId(key) for key, _ in self.scan(Space.EVIDENCE)}
        """Whom proof is recorded against."""
        self.moves = MoveQueue(self.scan(Space.META, MOVE_PREFIX))
        """Peers whose pins are looked at, since they left, are absent or are back."""
        self.absence = read_absence(store)
        self.heard = Heard()
        self.repair = read_repair_turn(self.get(Space.META, REPAIR_KEY))
        self.period_turn = read_period_turn(self.get(Space.META, PERIOD_TURN_KEY), founding)
        self.turns = read_turns(self.get(Space.META, TURNS_KEY))
        """Who lost a view lately."""
        self.audits = OpenAudits(self.scan(Space.AUDIT))
        self.beacon = read_beacon(self.scan(Space.BEACON), founding.cluster_id)
        self._earliest = EarliestDeadline(self._first_deadlines)
        self._proposals: Recent[ProposalRecord] = Recent(PROPOSALS_MEMORY_MAX_BYTES)
        self.age_rules = read_age_rules(self.get(Space.META, AGE_RULES_KEY))
        terms = terms_of(founding.period_ms, founding.day_ms)
        self.reputations = Reputations(self.scan(Space.REPUTATION), terms)
        self.waiting = read_waiting(self.get(Space.META, WAITING_KEY))
        """Whose eviction waits, the worst first."""
        self.reported_ms = 0
        """Timestamp of the last report or join of all peers."""
        records = [peer_record(value) for _, value in self.scan(Space.PEER)]
        for record in sorted(records, key=lambda each: each.reported_ms):
            self._remember_peer(record)
        version = self.get(Space.META, POLICY_KEY)
        assert version is not None, "the genesis sets a policy"
        policy = self.get(Space.POLICY, version)
        assert policy is not None, "the current policy is stored"
        self.policy = Policy.from_bytes(policy)
        row = self.get(Space.META, HEAD_KEY)
        assert row is not None, "the genesis sets the head"
        self.head: Head = head(row)
        self.shares = read_shares(self.scan(Space.META, SHARE_PREFIX))
        """What each maintainer has on the log that others did not approve."""
        self.seen = SeenIntents(self.head.timestamp_ms)
        self.tried = TriedIntents(self.head.timestamp_ms)

    def get(self, space: Space, key: bytes) -> bytes | None:
        """Return the row's value as of now."""
        rows = self._rows[space]
        if key in rows:
            return rows[key]
        return self._store.get(space, key)

    def as_of_now(self) -> Callable[[Space, bytes], bytes | None]:
        """Return what reads rows as they are now, whatever is put later, until the next flush."""
        now = [dict(rows) for rows in self._rows]

        def read(space: Space, key: bytes) -> bytes | None:
            return now[space][key] if key in now[space] else self._store.get(space, key)

        return read

    def prefetch(self, keys: Iterable[Key]) -> None:
        """Bring stored rows into memory, many in one query, because they will be asked for."""
        self._store.prefetch(keys)

    def put(self, space: Space, key: bytes, value: bytes | None) -> None:
        """Set the row's value; ``None`` deletes it."""
        self._rows[space][key] = value
        self._dirty[space][key] = value
        if space is Space.DEADLINE:
            self._earliest.note(key, is_there=value is not None)

    def first(self, space: Space, before: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return up to ``limit`` rows with ``key < before``, ascending."""
        changed = {key: value for key, value in self._rows[space].items() if key < before}
        found = [(key, value) for key, value in changed.items() if value is not None]
        stored = takewhile(lambda row: row[0] < before, scan(self._store, space, page_rows=limit))
        found += islice(filter(lambda row: row[0] not in changed, stored), limit)
        return sorted(found)[:limit]

    @property
    def earliest_deadline(self) -> bytes | None:
        """Return the key of what happens next, if anything will."""
        return self._earliest.key

    def _first_deadlines(self) -> list[bytes]:
        pages = [self.after(Space.DEADLINE, key, _DEADLINES_PAGE) for key in (b"", AGES_AFTER)]
        return [page[0][0] for page in pages if page]

    def after(self, space: Space, key: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return up to ``limit`` rows behind ``key``, ascending."""
        changed = {k: value for k, value in self._rows[space].items() if k > key}
        found = [(k, value) for k, value in changed.items() if value is not None]
        stored = scan(self._store, space, key, page_rows=limit)
        found += islice(filter(lambda row: row[0] not in changed, stored), limit)
        return sorted(found)[:limit]

    def scan(self, space: Space, after: bytes = b"") -> Iterable[tuple[bytes, bytes]]:
        """Return the stored rows of a space behind ``after``, ascending."""
        return scan(self._store, space, after)

    def proposal_at_hand(self, digest: Digest) -> ProposalRecord | None:
        """Return an open proposal if it is in memory. May be called in any thread."""
        return self._proposals.get(digest)

    def proposal(self, digest: Digest) -> ProposalRecord | ClosedProposal | None:
        """Return the proposal of an intent."""
        known = self._proposals.get(digest)
        if known is not None:
            return known
        value = self.get(Space.PROPOSAL, digest)
        return None if value is None else proposal(value)

    def put_proposal(self, record: ProposalRecord) -> None:
        """Set a proposal's row; its next approval is likely to follow soon."""
        digest, size = record.intent.digest, len(record.intent.encoded)
        self._proposals.put(digest, record, _COPIES * size + _PROPOSAL_OVERHEAD_BYTES)
        self.put(Space.PROPOSAL, digest, record.to_value())

    def close_proposal(self, digest: Digest, closed: ClosedProposal) -> None:
        """Replace a proposal by what is left of it."""
        self._proposals.forget(digest)
        self.put(Space.PROPOSAL, digest, closed.to_value())

    def remove_proposal(self, digest: Digest) -> None:
        """Delete a proposal's row."""
        self._proposals.forget(digest)
        self.put(Space.PROPOSAL, digest, None)

    def put_peer(self, record: PeerRecord) -> None:
        """Set a peer's row."""
        self.put(Space.PEER, record.peer, record.to_value())
        self._remember_peer(record)

    def remove_peer(self, peer: PeerId) -> None:
        """Delete a peer's row."""
        self.put(Space.PEER, peer, None)
        self.peers_joined -= self.peers.pop(peer).joined_ms > 0
        self.reported_ms = max((each.reported_ms for each in self.peers.values()), default=0)
        self.heard.forget(peer)
        self.roster.remove(peer)
        self.set_absent(peer, is_absent=False)

    def put_reputation(self, peer: PeerId, reputation: PeerReputation | None) -> None:
        """Set the row of a peer's reputation, which bears on its weight at once."""
        self.put(Space.REPUTATION, peer, None if reputation is None else reputation.to_value())
        self.reputations.set(peer, reputation)
        if peer in self.peers:
            self._weigh(self.peers[peer])

    def set_period_turn(self, turn: PeriodTurn) -> None:
        """Set how far peers are judged for the period that began last."""
        if turn != self.period_turn:
            self.period_turn = turn
            self.put(Space.META, PERIOD_TURN_KEY, turn.to_value())

    def set_waiting(self, peers: Sequence[PeerId]) -> None:
        """Set whose eviction waits."""
        if self.waiting != tuple(peers):
            self.waiting = tuple(peers)
            self.put(Space.META, WAITING_KEY, waiting_to_value(peers))

    def accuse(self, peer: PeerId, value: bytes) -> None:
        """Record proof against a peer that has none."""
        self.accused.add(peer)
        self.put(Space.EVIDENCE, peer, value)

    @property
    def wants_batches(self) -> bool:
        """Whether something is under way that every batch, or a checkpoint, brings further."""
        is_changing = bool(self.changes) or len(self.moves) > 0 or not self.period_turn.is_over
        return is_changing or self.is_repairing or self._is_recovering

    @property
    def is_repairing(self) -> bool:
        """Whether repair has pins to look at, now that candidates are who they are."""
        turn = self.repair
        return turn.waiting > 0 and (not turn.is_over or turn.candidates != self.roster.digest())

    @property
    def _is_recovering(self) -> bool:
        """Whether an epoch that maintainers began has no checkpoint of its own yet."""
        latest = self.epochs[-1]
        return latest.is_recovery and self.head.seq < latest.first - 1 + self._interval

    def set_changes(self, changes: Sequence[Change]) -> None:
        """Set the changes of members under way; one that is to go is given no pins meanwhile."""
        named = {change.peer for change in (*self.changes, *changes)}
        self.changes = tuple(changes)
        self.put(Space.META, CHANGES_KEY, changes_to_value(changes))
        for peer in sorted(named & self.peers.keys()):
            self._weigh(self.peers[peer])

    def add_epoch(self, start: EpochStart) -> None:
        """Add the next epoch."""
        self.epochs.append(start)
        self.put(Space.EPOCH, epoch_key(start.membership.epoch), epoch_to_value(start))

    def recover_in(self, start: EpochStart) -> None:
        """Add an epoch that maintainers begin, instead of those to come."""
        epochs = with_start(self.epochs, start)
        for each in self.epochs:
            if each not in epochs and each.membership.epoch:
                self.put(Space.EPOCH, epoch_key(each.membership.epoch), None)
        self.epochs = epochs[:-1]
        self.add_epoch(start)

    def set_move(self, move: Move) -> None:
        """Set how far the pins of a peer are looked at: a new move comes behind all others."""
        self.put(Space.META, *self.moves.set(move))

    def end_move(self, peer: PeerId) -> None:
        """Have the pins of a peer looked at no longer, if they are."""
        if peer in self.moves:
            self.put(Space.META, self.moves.remove(peer), None)

    def set_silent_until(self, since_ms: int) -> None:
        """Set before when nobody was heard, as nothing was ordered."""
        self.absence.since_ms = since_ms
        self.put(Space.META, ABSENCE_KEY, absence_to_value(self.absence))

    def set_absent(self, peer: PeerId, *, is_absent: bool) -> None:
        """Set whether the copies of a peer do not count: it is given no pins meanwhile."""
        if self.absence.set(peer, is_absent=is_absent):
            self.put(Space.META, absence_key(peer), ABSENT_ROW if is_absent else None)
            if peer in self.peers:
                self._remember_peer(self.peers[peer])

    def set_repair(self, turn: RepairTurn) -> None:
        """Set how far repair has come."""
        self.repair = turn
        self.put(Space.META, REPAIR_KEY, repair_turn_to_value(turn))

    def may_hold(self, peer: PeerId) -> bool:
        """Return whether ``peer`` is a member whose copies count whenever it is heard."""
        return peer in self.peers and not self.reputations.of(peer).is_evicted

    def is_live(self, peer: PeerId) -> bool:
        """Return whether what ``peer`` holds counts."""
        return self.may_hold(peer) and not (peer in self.absence.peers or self.peers[peer].goes_ms)

    def set_turns(self, turns: Turns) -> None:
        """Set who lost a view lately."""
        if turns != self.turns:
            self.turns = turns
            self.put(Space.META, TURNS_KEY, turns_to_value(turns))

    def membership_at(self, seq: Seq) -> Membership:
        """Return who votes on ``seq``, which is at most an interval ahead."""
        return next(start.membership for start in reversed(self.epochs) if start.first <= seq)

    def membership_of(self, epoch: Epoch) -> Membership | None:
        """Return who votes in the epoch with this number: those of recoveries leave gaps."""
        memberships = (start.membership for start in reversed(self.epochs))
        return next((each for each in memberships if each.epoch == epoch), None)

    def set_head(self, value: Head) -> None:
        """Move the head of the log."""
        self.head = value
        self.put(Space.META, HEAD_KEY, value.to_value())

    def share(self, maintainer: MaintainerId) -> Share:
        """Return what a maintainer has on the log that others did not approve."""
        return self.shares.get(maintainer, Share())

    def set_share(self, maintainer: MaintainerId, share: Share) -> None:
        """Set what a maintainer has on the log that others did not approve."""
        self.shares[maintainer] = share
        self.put(Space.META, SHARE_PREFIX + maintainer, share.to_value())

    def take_delta(self) -> dict[Key, bytes | None]:
        """Return what changed since the last call; the caller flushes it before reading again."""
        delta: dict[Key, bytes | None] = {
            (space, key): value
            for space, rows in zip(STATE_SPACES, self._rows, strict=True)
            for key, value in rows.items()
        }
        self._rows = [{} for _ in STATE_SPACES]
        return delta

    def take_dirty(self) -> list[tuple[Space, Rows]]:
        """Return what changed since the last call: what the state root must take in."""
        dirty = self._dirty
        self._dirty = [{} for _ in STATE_SPACES]
        return list(zip(STATE_SPACES, dirty, strict=True))

    def _remember_peer(self, record: PeerRecord) -> None:
        known = self.peers.get(record.peer)
        self.peers_joined += (record.joined_ms > 0) - (known is not None and known.joined_ms > 0)
        self.peers[record.peer] = record
        self.reported_ms = max(self.reported_ms, record.reported_ms)
        self._hear(record)
        self._weigh(record)

    def _hear(self, record: PeerRecord) -> None:
        is_absent = record.peer in self.absence.peers
        self.heard.note(record.peer, 0 if is_absent or not record.joined_ms else record.reported_ms)

    def _weigh(self, record: PeerRecord) -> None:
        leaves = any(change.leaves and change.peer == record.peer for change in self.changes)
        reputation = self.reputations.of(record.peer)
        gets_data = reputation.gets_data and record.peer not in self.absence.peers
        self.roster.update(
            record.peer,
            record.weight if gets_data and not (leaves or record.goes_ms) else 0,
            space=units_of(record.weighed_bytes),
            domain=record.terms.domain,
            operator=record.terms.operator,
            tags=record.tags,
            is_newcomer=reputation.standing is Standing.CANDIDATE,
        )

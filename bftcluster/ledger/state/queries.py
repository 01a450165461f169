"""Reads the ledger's rows for whoever does not execute: each question has its function.

Nobody outside the ledger and what keeps or copies its rows knows where they lie, or decodes them.
Each call reads rows as they are while it does: nothing is remembered, nothing is locked.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Final

from bftcluster.cid import Cid
from bftcluster.ids import Digest, InviteKey, PeerId, Seq
from bftcluster.ledger.rows.memory_store import MemoryStateStore
from bftcluster.ledger.rows.spaces import STATE_SPACES, Space
from bftcluster.ledger.rows.store import ManyRowsPort, RowPort, scan
from bftcluster.ledger.rows.tree import StateTree
from bftcluster.ledger.state.audit_rows import (
    CHALLENGE_PREFIX,
    VERDICTS_PREFIX,
    AuditVerdict,
    Challenge,
    challenge_key,
    read_challenge,
    read_verdicts,
    verdicts_key,
)
from bftcluster.ledger.state.beacon_rows import read_beacon
from bftcluster.ledger.state.beacon_state import BeaconState
from bftcluster.ledger.state.duties import (
    Duty,
    DutyHead,
    duties_between,
    duty_key,
    read_head,
    report_at,
)
from bftcluster.ledger.state.holder_reports import reports_of, row_key
from bftcluster.ledger.state.loans.invitations import InviteRecord, invite_record
from bftcluster.ledger.state.membership_rows import Change, read_changes, read_epoch
from bftcluster.ledger.state.peer_records import PeerRecord, peer_record
from bftcluster.ledger.state.records import (
    ClosedProposal,
    EvidenceRecord,
    Head,
    PinRecord,
    ProposalRecord,
    evidence_record,
    head,
    pin_record,
    proposal,
)
from bftcluster.ledger.state.repairs import (
    REPAIR_KEY,
    RepairTurn,
    WaitingPin,
    absence_key,
    read_absence,
    read_repair_turn,
    waiting_pin,
)
from bftcluster.ledger.state.reputations import WAITING_KEY, read_waiting
from bftcluster.ledger.state.state import CHANGES_KEY, GENESIS_KEY, HEAD_KEY, POLICY_KEY
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.pbft.epochs import EpochStart, with_start
from bftcluster.reputation import PeerReputation, peer_reputation
from bftcluster.signing.policies import Policy

_KEYS_MAX: Final = 500
"""How many rows are looked up at once."""


def is_new(store: RowPort) -> bool:
    """Return whether nothing was ever written: not even what the genesis says."""
    return not store.iterate(Space.META, b"", 1)


def head_of(store: RowPort) -> Head:
    """Return how far the log was executed, and how much there is of what."""
    value = store.get(Space.META, HEAD_KEY)
    assert value is not None, "an open ledger has a head"
    return head(value)


def policy_in_force(store: RowPort) -> Policy:
    """Return the policy in force."""
    version = store.get(Space.META, POLICY_KEY)
    assert version is not None, "an open ledger has a policy"
    value = store.get(Space.POLICY, version)
    assert value is not None, "the policy in force is kept"
    return Policy.from_bytes(value)


def invite_of(store: RowPort, key: InviteKey) -> InviteRecord | None:
    """Return an invitation that has not expired."""
    value = store.get(Space.INVITE, key)
    return None if value is None else invite_record(value)


def invites(store: RowPort) -> list[InviteRecord]:
    """Return the invitations that have not expired, by key."""
    return [invite_record(value) for _, value in scan(store, Space.INVITE)]


# Pins


def pins_behind(
    store: ManyRowsPort, after: bytes, limit: int, *, of: Collection[PeerId] = ()
) -> list[PinRecord]:
    """Return up to ``limit`` pins behind ``after``, in the order of binary CIDs.

    Args:
        store: The rows.
        after: The last CID of the page before; empty at first.
        limit: At most so many.
        of: Whose reports are wanted, if not everybody's.
    """
    rows = store.iterate(Space.PIN, after, limit)
    return _with_reports(store, [pin_record(value) for _, value in rows], of)


def pins_of(
    store: ManyRowsPort, cids: Sequence[Cid], *, of: Collection[PeerId] = ()
) -> dict[Cid, PinRecord]:
    """Return those of ``cids`` that are pinned, with their reports, as ``pins_behind``."""
    rows = _rows_of(store, Space.PIN, cids)
    records = _with_reports(store, [pin_record(value) for value in rows.values()], of)
    return {record.cid: record for record in records}


def _with_reports(
    store: ManyRowsPort, records: Sequence[PinRecord], of: Collection[PeerId]
) -> list[PinRecord]:
    is_about_all = not of and any(record.is_everywhere for record in records)
    everybody = of or (peer_ids(store) if is_about_all else ())
    keys = set[bytes]()
    for pin in records:
        keys |= {duty_key(peer, slot) for peer, slot in _holders_of(pin, of)}
        if pin.is_everywhere:
            keys |= {row_key(peer, pin.number) for peer in everybody}
    get = _rows_of(store, Space.DUTY, sorted(keys)).get
    reported = []
    for pin in records:
        own = [report_at(peer, slot, get) for peer, slot in _holders_of(pin, of)]
        reports = tuple(report for report in own if report is not None)
        if pin.is_everywhere:
            reports = reports_of(pin.number, everybody, get)
        reported.append(replace(pin, reports=reports))
    return reported


def _holders_of(pin: PinRecord, of: Collection[PeerId]) -> list[tuple[PeerId, int]]:
    """Return the wanted ones of a pin's holders, with their slots."""
    holders = zip(pin.allocations, pin.slots, strict=True)
    return [(peer, slot) for peer, slot in holders if not of or peer in of]


def _rows_of(store: ManyRowsPort, space: Space, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    rows: dict[bytes, bytes] = {}
    for start in range(0, len(keys), _KEYS_MAX):
        rows |= store.get_many(space, keys[start : start + _KEYS_MAX])
    return rows


# Duties, and repair


def duty_head_of(store: RowPort, peer: PeerId) -> DutyHead:
    """Return how much a peer is to hold."""
    return read_head(store.get(Space.DUTY, peer))


def duties_of(store: RowPort, peer: PeerId) -> list[Duty]:
    """Return the pins allocated to a peer, by their slots, with what it reported of each."""
    count = duty_head_of(store, peer).count
    return duties_between(peer, 0, count, lambda key: store.get(Space.DUTY, key))


def duties_from(store: RowPort, peer: PeerId, slot: int, limit: int) -> list[Duty]:
    """Return up to ``limit`` duties of a peer, the last of those from a slot on."""
    count = duty_head_of(store, peer).count
    first = max(slot, count - limit)
    return duties_between(peer, first, count, lambda key: store.get(Space.DUTY, key))


def repairs_behind(store: RowPort, after: bytes, limit: int) -> list[tuple[bytes, WaitingPin]]:
    """Return up to ``limit`` pins that have too few live copies, the most endangered first.

    Args:
        store: The rows.
        after: The key of the last one of the page before; empty at first.
        limit: At most so many.
    """
    rows = store.iterate(Space.REPAIR, after, limit)
    return [(key, waiting_pin(key, value)) for key, value in rows]


def repair_turn_of(store: RowPort) -> RepairTurn:
    """Return how many pins wait for other holders, and how far repair has come."""
    return read_repair_turn(store.get(Space.META, REPAIR_KEY))


def absent_peers(store: RowPort) -> frozenset[PeerId]:
    """Return who was not heard for so long that what it holds does not count."""
    return frozenset(read_absence(store).peers)


def is_absent(store: RowPort, peer: PeerId) -> bool:
    """Return whether one peer is."""
    return store.get(Space.META, absence_key(peer)) is not None


# Proposals


def proposal_of(store: RowPort, digest: Digest) -> ProposalRecord | ClosedProposal | None:
    """Return the proposal of an intent."""
    value = store.get(Space.PROPOSAL, digest)
    return None if value is None else proposal(value)


def open_proposals_behind(
    store: RowPort, after: bytes, limit: int
) -> tuple[list[ProposalRecord], bytes]:
    """Return the open ones of up to ``limit`` proposals behind ``after``, by intents' digests.

    Returns:
        These, which may be none, and what the next page is behind: empty after the last.
    """
    rows = store.iterate(Space.PROPOSAL, after, limit)
    records = [proposal(value) for _, value in rows]
    is_open = [record for record in records if isinstance(record, ProposalRecord)]
    return is_open, rows[-1][0] if rows else b""


# Peers


def peers(store: RowPort) -> dict[PeerId, PeerRecord]:
    """Return every admitted peer, in the order of ids."""
    return {PeerId(key): peer_record(value) for key, value in scan(store, Space.PEER)}


def peer_ids(store: RowPort) -> list[PeerId]:
    """Return who is admitted, in order."""
    return [PeerId(key) for key, _ in scan(store, Space.PEER)]


def peer_of(store: RowPort, peer: PeerId) -> PeerRecord | None:
    """Return one admitted peer."""
    value = store.get(Space.PEER, peer)
    return None if value is None else peer_record(value)


def evidence_by_peer(store: RowPort) -> dict[PeerId, EvidenceRecord]:
    """Return the proofs of contradiction on record."""
    return {PeerId(key): evidence_record(value) for key, value in scan(store, Space.EVIDENCE)}


def reputation_of(store: RowPort, peer: PeerId) -> PeerReputation | None:
    """Return the reputation of a peer: an admitted one, or one that left and is remembered."""
    value = store.get(Space.REPUTATION, peer)
    return None if value is None else peer_reputation(value)


def reputations(store: RowPort) -> dict[PeerId, PeerReputation]:
    """Return all reputations that are kept."""
    return {PeerId(key): peer_reputation(value) for key, value in scan(store, Space.REPUTATION)}


def waiting_for_eviction(store: RowPort) -> tuple[PeerId, ...]:
    """Return who is to be evicted and was not, the worst first: an alarm, if there is anybody."""
    return read_waiting(store.get(Space.META, WAITING_KEY))


# The beacon


def beacon_of(store: RowPort) -> BeaconState:
    """Return who makes beacons, what is being dealt for that, and the last beacons."""
    genesis = store.get(Space.META, GENESIS_KEY)
    assert genesis is not None, "an open ledger has a genesis"
    return read_beacon(scan(store, Space.BEACON), Genesis.from_bytes(genesis).cluster_id)


# Audits


def open_audits(store: RowPort) -> list[Challenge]:
    """Return the audits that are open, in the order of their numbers."""
    rows = scan(store, Space.AUDIT, CHALLENGE_PREFIX)
    own = takewhile(lambda row: row[0].startswith(CHALLENGE_PREFIX), rows)
    return [read_challenge(value) for _, value in own]


def challenge_of(store: RowPort, number: int) -> Challenge | None:
    """Return an audit, if it is open."""
    value = store.get(Space.AUDIT, challenge_key(number))
    return None if value is None else read_challenge(value)


def audit_verdicts_of(store: RowPort, peer: PeerId) -> list[AuditVerdict]:
    """Return what came of a peer's last audits, in order."""
    return read_verdicts(store.get(Space.AUDIT, verdicts_key(peer)))


def audit_verdicts(store: RowPort) -> dict[PeerId, list[AuditVerdict]]:
    """Return what came of everybody's last audits, also of those that left."""
    rows = scan(store, Space.AUDIT, VERDICTS_PREFIX)
    own = takewhile(lambda row: row[0].startswith(VERDICTS_PREFIX), rows)
    return {PeerId(key[len(VERDICTS_PREFIX) :]): read_verdicts(value) for key, value in own}


# Who votes


def changes_under_way(store: RowPort) -> tuple[Change, ...]:
    """Return the changes of members under way, in the order of their approval."""
    return read_changes(store.get(Space.META, CHANGES_KEY))


def epochs(store: RowPort, genesis: Genesis) -> list[EpochStart]:
    """Return who votes from when on, the epochs to come included."""
    starts = [EpochStart(Seq(1), genesis.membership())]
    for _, value in scan(store, Space.EPOCH):
        starts = with_start(starts, read_epoch(value))
    return starts


# All of it


def recomputed_root(store: RowPort) -> Digest:
    """Return the root of the state, out of its rows alone: not of the tree that is stored."""
    tree = StateTree(MemoryStateStore())
    tree.absorb([(space, dict(scan(store, space))) for space in STATE_SPACES])
    return tree.root()

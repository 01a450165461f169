"""What a peer opens before it runs and closes after: keys, genesis, ledger, votes, blocks."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from bftcluster.blocks.store.embedded_store import EmbeddedStore
from bftcluster.ids import PeerId, ReplicaId, Seq
from bftcluster.ledger.ledger import Ledger, genesis_delta
from bftcluster.ledger.rules.recovery import VerifiedRecovery
from bftcluster.ledger.state import queries
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.verification import ApprovalVerifier
from bftcluster.node.log_replay import replay
from bftcluster.node.ports import VoteLog
from bftcluster.node.process.clock import SystemClock
from bftcluster.node.process.config import Config
from bftcluster.node.process.frame_log import FrameLog
from bftcluster.node.process.genesis_file import load_genesis
from bftcluster.node.process.identity import is_unused, load_identity, note_use
from bftcluster.node.process.logs import log_for
from bftcluster.node.process.unsynced_disk import UnsyncedDisk
from bftcluster.pbft import Application, Recovered, Replica, ReplicaSettings, birth_records
from bftcluster.pbft.records import recovery_records
from bftcluster.signing.keys import Ed25519Verifier, SigningKey, peer_id_text
from bftcluster.storage.disk import PosixDisk
from bftcluster.storage.ledger_store import LedgerStore
from bftcluster.storage.lock import DirectoryLock
from bftcluster.storage.ports import Disk
from bftcluster.storage.wal import WAL_NAME, Wal
from bftcluster.sync.epoch_proofs import recoveries_in
from bftcluster.sync.execution import recovered
from bftcluster.sync.rewind import begin_recovery

_NONCE_SIZE_BYTES: Final = 16

_log = log_for("node")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the loops of one peer share."""

    config: Config
    key: SigningKey
    genesis: Genesis
    me: PeerId
    name: str
    store: LedgerStore
    ledger: Ledger
    verifier: ApprovalVerifier
    wal: VoteLog
    replica: Replica
    blocks: EmbeddedStore
    frame_log: FrameLog | None
    has_votes: bool
    """Whether there was a write-ahead log, which remembers every vote of this key."""


class CompactableWal:
    """The write-ahead log, with the nonces that its rewrites need."""

    def __init__(self, wal: Wal) -> None:
        self._wal = wal

    def append(self, records: Sequence[bytes]) -> None:
        """Return when every record is on the disk."""
        self._wal.append(records)

    def rewrite(self, records: Sequence[bytes]) -> None:
        """Replace all records by these."""
        self._wal.rewrite(records, nonce=secrets.token_bytes(_NONCE_SIZE_BYTES))


@contextmanager
def open_parts(config: Config) -> Iterator[Parts]:
    """Open everything, in an order that leaves nothing half-made; close it in the reverse order.

    Raises:
        ClusterError: Any part cannot be opened; the message says which, the hint what to do.
    """
    with ExitStack() as stack:
        stack.enter_context(DirectoryLock.acquire(config.directory))
        key = load_identity(config.path(config.peer.identity))
        me = PeerId(key.public_key)
        genesis = load_genesis(config.path(config.cluster.genesis))
        name = _name_in_cluster(config, genesis, me)
        blocks = EmbeddedStore(config.path(config.storage.blocks), config.quota_bytes)
        stack.callback(blocks.close)
        store = LedgerStore.open(config.database_url, genesis=genesis.to_bytes())
        stack.callback(store.close)
        installed = store.stage.install()
        if installed is not None:
            store.sync()
            _log.info("installed the state that was fetched", seq=installed)
        is_new = queries.is_new(store)
        wal, records = _open_wal(config, genesis, key)
        stack.callback(wal.close)
        has_votes = bool(records) and records != birth_records(genesis.cluster_id, ReplicaId(me))
        recoveries = _recoveries(store, genesis)
        if store.rewinder.begun() is not None:
            records = _begin_again(wal, store, genesis, me, recoveries[-1])
        if is_new:
            store.flush(genesis_delta(genesis), [], Seq(0))
            store.sync()
        verifier = ApprovalVerifier(genesis.cluster_id, Ed25519Verifier())
        ledger = _open_ledger(config, genesis, store, verifier, recoveries)
        parts = Parts(
            config=config,
            key=key,
            genesis=genesis,
            me=me,
            name=name,
            store=store,
            ledger=ledger,
            verifier=verifier,
            wal=CompactableWal(wal),
            replica=Replica(
                me=ReplicaId(me),
                cluster_id=genesis.cluster_id,
                membership=genesis.membership(),
                signer=key,
                verifier=Ed25519Verifier(),
                application=verifier,
                settings=_settings(config, genesis),
                recovered=_recovered(store, ledger, records, verifier),
            ),
            blocks=blocks,
            frame_log=_open_frame_log(config, stack),
            has_votes=has_votes,
        )
        _say_whether_admitted(parts)
        yield parts


def _recoveries(store: LedgerStore, genesis: Genesis) -> list[VerifiedRecovery]:
    return recoveries_in(store.reader, genesis.cluster_id, genesis.policy, Ed25519Verifier())


def _begin_again(
    wal: Wal, store: LedgerStore, genesis: Genesis, me: PeerId, recovery: VerifiedRecovery
) -> tuple[bytes, ...]:
    """Let the write-ahead log follow a recovery; return what it holds then."""
    records = recovery_records(genesis.cluster_id, ReplicaId(me), recovery.operation.proof)
    wal.rewrite(records, nonce=secrets.token_bytes(_NONCE_SIZE_BYTES))
    store.rewinder.finish()
    store.sync()
    return records


def _open_ledger(
    config: Config,
    genesis: Genesis,
    store: LedgerStore,
    verifier: ApprovalVerifier,
    recoveries: Sequence[VerifiedRecovery],
) -> Ledger:
    """Return the ledger, brought forward by a recovery if one begins where it is."""
    ledger = Ledger(
        genesis,
        store,
        verifier,
        keeps_earlier=config.is_log_cut,
        read=store.reader.get,
        recoveries=recoveries,
    )
    begin_recovery(ledger, store)
    replay(ledger, store)
    return ledger


def _name_in_cluster(config: Config, genesis: Genesis, me: PeerId) -> str:
    for peer in genesis.peers:
        if peer.peer == me:
            return config.peer.name or peer.name
    return config.peer.name or peer_id_text(me)[-8:]


def _say_whether_admitted(parts: Parts) -> None:
    """Tell the operator of a peer that does not belong to the cluster as far as it has executed."""
    if queries.peer_of(parts.store, parts.me) is not None:
        return
    voting = parts.replica.latest_membership
    if parts.replica.me in voting.replicas:
        _log.info(
            "this peer votes once it has fetched the state from the others", epoch=voting.epoch
        )
    else:
        _log.info(
            "this peer is not admitted, as far as it has executed: "
            "it follows, and takes part once it is"
        )


def _open_wal(config: Config, genesis: Genesis, key: SigningKey) -> tuple[Wal, tuple[bytes, ...]]:
    """Return the log of votes and what it holds: nothing if what the key has signed is lost."""
    me, identity = PeerId(key.public_key), config.path(config.peer.identity)
    disk: Disk = PosixDisk(config.path(config.storage.wal))
    if not config.storage.fsync:
        _log.warning("votes are not synced to the disk: a power cut can make this replica lie")
        disk = UnsyncedDisk(disk)
    nonce = secrets.token_bytes(_NONCE_SIZE_BYTES)
    if disk.exists(WAL_NAME):
        wal, recovery = Wal.open(disk, cluster=genesis.cluster_id, peer=me, nonce=nonce)
        records = recovery.records
        if recovery.cut_size_bytes:
            _log.warning("cut off a torn last append", size_bytes=recovery.cut_size_bytes)
    else:
        wal, records = Wal.create(disk, cluster=genesis.cluster_id, peer=me, nonce=nonce), ()
    if not records and is_unused(identity, key):
        records = birth_records(genesis.cluster_id, ReplicaId(me))
        wal.append(records)
    if records:
        note_use(identity)
    else:
        _log.warning("there is no log of votes: what this key has signed is lost")
    return wal, records


def _open_frame_log(config: Config, stack: ExitStack) -> FrameLog | None:
    if not config.log.frames:
        return None
    frame_log = FrameLog(config.path(config.log.frames), SystemClock())
    stack.callback(frame_log.close)
    return frame_log


def _recovered(
    store: LedgerStore, ledger: Ledger, records: Sequence[bytes], application: Application
) -> Recovered:
    """Return what the replica starts from."""
    checkpoint = store.reader.checkpoint()
    return recovered(
        ledger,
        store.reader,
        records=records,
        checkpoint=None if checkpoint is None else checkpoint[1],
        read_log=store.reader.log,
        application=application,
        wall_ms=SystemClock().wall_ms(),
    )


def _settings(config: Config, genesis: Genesis) -> ReplicaSettings:
    return ReplicaSettings(
        batch_requests_max=config.pbft.batch_requests_max,
        batch_delay_ms=config.pbft.batch_delay_ms,
        slots_in_flight_max=config.pbft.slots_in_flight_max,
        request_timeout_ms=config.pbft.request_timeout_ms,
        view_change_timeout_ms=config.pbft.view_change_timeout_ms,
        checkpoint_interval_seqs=genesis.checkpoint_interval,
        state_fetch_behind_seqs=config.pbft.state_fetch_behind,
    )

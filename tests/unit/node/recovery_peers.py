"""The directories of peers whose cluster stopped: ledgers, logs and votes, and no processes."""

import shutil
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import TypeVar

from bftcluster import cid as cids
from bftcluster.ids import Epoch, PeerId, ReplicaId, Seq, View
from bftcluster.ledger.rows.spaces import Space
from bftcluster.ledger.rules.batch import OrderedBatch
from bftcluster.ledger.wire.genesis import Genesis
from bftcluster.ledger.wire.member_operations import AdmitPeer
from bftcluster.ledger.wire.operations import Operation, PinOperation
from bftcluster.ledger.wire.recovery_operation import RecoverCluster
from bftcluster.ledger.wire.requests import Submit
from bftcluster.limits import RECOVERY_EPOCHS
from bftcluster.node.parts import Parts, open_parts
from bftcluster.node.process.config import Config
from bftcluster.node.process.identity import create_identity
from bftcluster.node.recovery import AppliedRecovery, apply_recovery, recovery_point
from bftcluster.pbft import Batch, CheckpointCertificate, CommitCertificate, LogEntry
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.records import Stable, Started
from bftcluster.pbft.votes import DOMAINS, Vote, VoteKind, vote_payload
from bftcluster.signing.approvals import Intent, approve
from bftcluster.signing.envelope import sign
from bftcluster.signing.keys import SigningKey
from bftcluster.signing.schemes import scheme_of
from tests.unit.ledger.world import genesis_of
from tests.unit.signing.people import ALICE, BOB, DAY_MS, START_MS

INTERVAL = 8
VOTERS = 4
T = TypeVar("T")


class Peers:
    """Four founders and two newcomers; what was decided is decided for all of them."""

    def __init__(self, directory: Path) -> None:
        self.directories = [directory / f"peer{number}" for number in range(VOTERS + 2)]
        for each in self.directories:
            each.mkdir()
        self.keys = [create_identity(each / "identity.key") for each in self.directories]
        self.genesis: Genesis = genesis_of(peers=self.keys[:VOTERS], checkpoint_interval=INTERVAL)
        for each in self.directories:
            (each / "genesis.cbor").write_bytes(self.genesis.to_bytes())
        self.nonces = 0

    def copied_to(self, directory: Path) -> "Peers":
        """Return the same peers in another place."""
        other = copy(self)
        other.directories = [directory / each.name for each in self.directories]
        for old, new in zip(self.directories, other.directories, strict=True):
            shutil.copytree(old, new)
        return other

    def config(self, number: int) -> Config:
        return Config.from_values(self.directories[number], {"storage": {"quota": "64MB"}})

    def opened(self, number: int, look: Callable[[Parts], T]) -> T:
        with open_parts(self.config(number)) as parts:
            return look(parts)

    def peer(self, number: int) -> PeerId:
        return PeerId(self.keys[number].public_key)

    def start(self, *numbers: int) -> None:
        """Begin each write-ahead log as a replica does when it runs first."""
        for number in numbers:
            record = Started(self.genesis.cluster_id, ReplicaId(self.peer(number))).to_bytes()
            self.opened(number, lambda parts, record=record: parts.wal.append([record]))

    def pin_request(self, name: str) -> bytes:
        return self.submit(PinOperation(cid=cids.of_block(name.encode()), name=name), ALICE, BOB)

    def submit(self, operation: Operation, *signers: SigningKey, **changes: object) -> bytes:
        """Return what signers sign, also if they are too few."""
        self.nonces += 1
        policy = self.genesis.policy
        fields = {
            "cluster_id": self.genesis.cluster_id,
            "policy_version": policy.version,
            "policy_hash": policy.hash,
            "operation": operation.to_bytes(),
            "nonce": self.nonces.to_bytes(16, "big"),
            "not_before_ms": START_MS,
            "expires_ms": START_MS + DAY_MS,
        }
        intent = Intent(**(fields | changes)).to_bytes()
        votes = {each.maintainer: each.signature for each in (approve(intent, s) for s in signers)}
        return Submit(certificate=scheme_of(policy).combine(intent, votes, policy)).to_bytes()

    def run(
        self, numbers: Sequence[int], requests: Sequence[bytes], *, stable: bool = True
    ) -> None:
        """Have a batch for each request executed; checkpoints are certified if ``stable``."""
        for number in numbers:
            self.opened(number, lambda parts: self._execute(parts, requests, stable=stable))

    def _execute(self, parts: Parts, requests: Sequence[bytes], *, stable: bool) -> None:
        for request in requests:
            seq = Seq(parts.ledger.head.seq + 1)
            body = Batch(START_MS + seq, (request,)).to_bytes()
            done = parts.ledger.execute([OrderedBatch(
                seq=seq, timestamp_ms=START_MS + seq, view=View(0), requests=(request,),
            )])  # fmt: skip
            certificate = CommitCertificate.of(
                self.votes(VoteKind.COMMIT, seq, batch_digest(body), range(3))
            )
            entry = LogEntry(seq, body, certificate.to_bytes()).to_bytes()
            parts.store.flush(done.delta, [(seq, entry)], seq)
            if seq in done.roots and stable:
                proof = self.checkpoint(seq, done.roots[seq])
                parts.wal.append([Stable(proof).to_bytes()])

    def checkpoint(
        self, seq: int, root: bytes, signers: Sequence[int] = (0, 1, 2), epoch: int = 0
    ) -> CheckpointCertificate:
        votes = self.votes(VoteKind.CHECKPOINT, seq, root, signers, epoch=epoch)
        return CheckpointCertificate.of(votes)

    def votes(
        self, kind: VoteKind, seq: int, digest: bytes, signers: Sequence[int], epoch: int = 0
    ) -> list[Vote]:
        slot = (Epoch(epoch), View(0), Seq(seq))
        votes = []
        for signer in signers:
            me = ReplicaId(self.peer(signer))
            payload = vote_payload(self.genesis.cluster_id, *slot, digest, me)
            signature = sign(self.keys[signer], DOMAINS[kind], payload)
            votes.append(Vote(kind, *slot, digest, me, signature))
        return votes

    def operation(self, at: int = 0, **changes: object) -> RecoverCluster:
        """Return the recovery from what a survivor can prove: 0 and 1 stay, 4 and 5 come."""
        point = recovery_point(self.config(at))
        fields = {
            "seq": point.seq,
            "state_root": point.state_root,
            "certificate": point.certificate,
            "epoch": Epoch(RECOVERY_EPOCHS),
            "executed": point.executed,
            "staying": (self.peer(0), self.peer(1)),
            "coming": tuple(
                AdmitPeer(peer=self.peer(n), name=f"new-{n}", addresses=(), votes=True)
                for n in (4, 5)
            ),
            "leaving": (self.peer(2), self.peer(3)),
        }
        return RecoverCluster(**(fields | changes))

    def recovery(self, at: int = 0, **changes: object) -> bytes:
        return self.submit(self.operation(at, **changes), ALICE, BOB)

    def apply(self, number: int, recovery: bytes, *, now_ms: int = START_MS + 1) -> AppliedRecovery:
        return apply_recovery(self.config(number), recovery, now_ms=now_ms)

    def standing(self, number: int) -> tuple[int, str, str]:
        """Return where a peer stands: its position, and hashes of its log and of its last root."""

        def look(parts: Parts) -> tuple[int, str, str]:
            ledger = parts.ledger
            root = ledger.checkpoint_root()
            return ledger.head.seq, ledger.head.chain.hex(), root.hex() if root else ""

        return self.opened(number, look)

    def pins(self, number: int) -> int:
        return self.opened(number, lambda parts: parts.store.reader.count(Space.PIN))

    def rows(self, number: int) -> dict[tuple[Space, bytes], bytes]:
        """Return everything that is replicated."""

        def look(parts: Parts) -> dict[tuple[Space, bytes], bytes]:
            spaces = [space for space in Space if space < Space.TREE]
            return {
                (space, key): value
                for space in spaces
                for key, value in parts.store.reader.iterate(space, b"", 1000)
            }

        return self.opened(number, look)

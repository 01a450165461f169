"""Logs that earlier versions wrote, byte by byte: whoever upgrades still knows what it said.

A file here is never changed. A version that writes another format adds a file, and reads them all.
"""

from pathlib import Path

import pytest

from bftcluster.ids import Epoch, PeerId, ReplicaId, Seq, View
from bftcluster.pbft import Batch, Recovered, Replica, ReplicaSettings, records
from bftcluster.pbft.log import batch_digest
from bftcluster.pbft.records import parse_record
from bftcluster.pbft.votes import VoteKind
from bftcluster.storage.wal import WAL_NAME, Wal
from bftcluster_sim.cluster.cluster import CLUSTER_ID
from bftcluster_sim.cluster.environment.signatures import SimSigner, SimVerifier, sim_key
from bftcluster_sim.cluster.hosts import AcceptEverything
from bftcluster_sim.cluster.peers.disks import SimDisk
from tests.unit.pbft.builders import ROOT, checkpoint, members, prepared, vote
from tests.unit.pbft.view_builders import new_view, view_change

LOGS = sorted((Path(__file__).parent / "logs").glob("*.hex"))
ME = 1
SEALED_NONCE, NONCE = bytes(16), bytes(range(16))
BODY = Batch(1_000, (b"a request",)).to_bytes()
CERTIFICATE = prepared(5, batch_digest(BODY))
CHANGES = [view_change(i, proofs=[CERTIFICATE], stable=checkpoint(4)) for i in (0, 1, 2)]
VOTE = vote(VoteKind.PREPARE, ME, seq=5, digest=CERTIFICATE.digest)
RECORDS = (
    records.Started(CLUSTER_ID, ReplicaId(sim_key(ME))),
    records.Stable(checkpoint(4)),
    records.BodyKept(Seq(5), BODY),
    records.ProposalAccepted(
        VOTE.epoch, VOTE.view, VOTE.seq, VOTE.digest, CERTIFICATE.proposal_signature
    ),
    records.Voted(VOTE.kind, VOTE.epoch, VOTE.view, VOTE.seq, VOTE.digest),
    records.Prepared(CERTIFICATE),
    records.ViewChanged(CHANGES[ME].frame()),
    records.ViewEntered(new_view(CHANGES).frame()),
    records.Silenced(Seq(4), records.VoteLoss.OLD_COPY),
    records.Promised(Epoch(0), View(1)),
)
"""Kinds of record are added behind those of earlier versions."""


def written_today() -> bytes:
    """Return a log that was rewritten once, and has one append after that."""
    disk = SimDisk()
    wal = Wal.create(disk, cluster=CLUSTER_ID, peer=PeerId(sim_key(ME)), nonce=SEALED_NONCE)
    written = [record.to_bytes() for record in RECORDS]
    wal.rewrite(written[:2], nonce=NONCE)
    wal.append(written[2:])
    return disk.read(WAL_NAME)


def read_today(log: bytes) -> tuple[bytes, ...]:
    disk = SimDisk()
    file = disk.create(WAL_NAME)
    file.append(log)
    owner = {"cluster": CLUSTER_ID, "peer": PeerId(sim_key(ME))}
    _, recovery = Wal.open(disk, **owner, nonce=b"n" * 16)
    return recovery.records


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_log_of_an_earlier_version_says_what_it_said_then(path: Path) -> None:
    read = read_today(bytes.fromhex(path.read_text()))

    assert [parse_record(record) for record in read] == list(RECORDS)[: len(read)]


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_replica_goes_on_from_a_log_of_an_earlier_version(path: Path) -> None:
    replica = Replica(
        me=ReplicaId(sim_key(ME)),
        cluster_id=CLUSTER_ID,
        membership=members(),
        signer=SimSigner(sim_key(ME)),
        verifier=SimVerifier(),
        application=AcceptEverything(),
        settings=ReplicaSettings(checkpoint_interval_seqs=4, window_size_seqs=32),
        recovered=Recovered(
            records=read_today(bytes.fromhex(path.read_text())),
            executed=Seq(4),
            timestamp_ms=900,
            checkpoint_root=ROOT,
        ),
    )

    assert (replica.view, replica.is_active, replica.stable) == (1, True, 4)
    assert replica.primary == replica.me


def test_todays_version_writes_the_newest_of_these_formats() -> None:
    """A change here is a new format, with a version of its own."""
    assert len({type(record) for record in RECORDS}) == len(records.RecordKind), (
        "a record of each kind"
    )
    assert written_today().hex() == LOGS[-1].read_text().replace("\n", "")

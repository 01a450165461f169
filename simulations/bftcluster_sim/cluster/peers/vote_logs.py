"""The logs of votes of one simulated peer: the real ones, on whatever disk it has."""

from collections.abc import Sequence
from itertools import count

from bftcluster.ids import ClusterId, PeerId, ReplicaId
from bftcluster.pbft import birth_records
from bftcluster.storage.wal import Wal
from bftcluster_sim.cluster.peers.disks import SimDisk


class VoteLogs:
    """Makes, opens and replaces them, each time with another nonce."""

    def __init__(self, cluster_id: ClusterId, key: ReplicaId) -> None:
        self._cluster_id = cluster_id
        self._key = key
        self._nonces = (number.to_bytes(16, "big") for number in count(1))

    def create(self, disk: SimDisk, *, is_born: bool) -> None:
        """Put an empty log on ``disk``, or the first one of a key that is new."""
        wal = Wal.create(disk, cluster=self._cluster_id, peer=PeerId(self._key), nonce=self.nonce())
        if is_born:
            wal.append(birth_records(self._cluster_id, self._key))
        wal.close()

    def open(self, disk: SimDisk) -> tuple[Wal, Sequence[bytes]]:
        """Open the log on ``disk``; return it and what is in it."""
        wal, recovery = Wal.open(
            disk, cluster=self._cluster_id, peer=PeerId(self._key), nonce=self.nonce()
        )
        return wal, recovery.records

    def replace(self, disk: SimDisk, records: Sequence[bytes]) -> None:
        """Have the log on ``disk`` hold ``records`` and nothing else."""
        wal, _ = self.open(disk)
        wal.rewrite(records, nonce=self.nonce())
        wal.close()

    def nonce(self) -> bytes:
        """Return what tells one rewriting of a log from another."""
        return next(self._nonces)

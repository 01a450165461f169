"""The files of the story: made, added and pinned all the time, and read back in the end."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bftcluster.errors import ClusterError
from bftcluster_cli.client import Client
from bftcluster_cli.content.upload_requests import upload
from bftcluster_cli.demo.cluster import DemoCluster
from bftcluster_cli.demo.processes import PeerProcess
from bftcluster_cli.demo.volunteers.maintainers import Desk
from bftcluster_cli.framework import GlobalOptions
from bftcluster_cli.pin_options import PinChoice
from bftcluster_cli.proposals import now_ms

FILE_SIZE_BYTES: Final = 100_000


@dataclass(slots=True, kw_only=True)
class Library:
    """All files that were pinned."""

    cluster: DemoCluster
    desk: Desk
    directory: Path
    digests: dict[str, bytes] = field(default_factory=dict)
    """SHA-256 of each file's bytes, by its CID."""

    def add(self, count: int, *, at: PeerProcess) -> None:
        """Make so many files, and have each pinned by approval.

        Raises:
            ClusterError: One was refused.
        """
        self.directory.mkdir(exist_ok=True)
        with self.cluster.client(at) as client:
            for _ in range(count):
                self._add_one(client)

    def _add_one(self, client: Client) -> None:
        from bftcluster.blocks.formats.layout import Layout

        path = self.directory / f"file {len(self.digests) + 1}"
        data = os.urandom(FILE_SIZE_BYTES)
        path.write_bytes(data)
        settings = GlobalOptions(is_json=True)
        added, contents = upload(
            client, settings, [path], layout=Layout(), is_wrapped=False, hidden=False
        )
        cid = str(added[-1]["cid"])
        operation = PinChoice(name=path.name).operation(cid, now_ms=now_ms(), contents=contents)
        self.desk.decide_with(client, operation)
        self.digests[cid] = hashlib.sha256(data).digest()

    def lost(self, *, at: PeerProcess) -> list[str]:
        """Return the CIDs of which a peer does not give the bytes back that were added."""
        with self.cluster.client(at) as client:
            return [cid for cid in self.digests if not self._comes_back(client, cid)]

    def _comes_back(self, client: Client, cid: str) -> bool:
        digest = hashlib.sha256()
        try:
            with client.stream("GET", f"/content/{cid}") as response:
                for piece in response.iter_bytes():
                    digest.update(piece)
        except ClusterError:
            return False
        return digest.digest() == self.digests[cid]

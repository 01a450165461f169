"""A live cluster of four, and what must hold of it whatever anybody does to it.

After each attack: every peer lives and answers, a pin that enough maintainers signed is ordered
within a second, no peer has grown by 100 MB, nothing is pinned that fewer signed, and nothing lies
outside the peers' directories.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bftcluster import cid as cids
from bftcluster.cid import Cid
from bftcluster.ids import PeerId
from bftcluster.signing.keys import parse_peer_id
from tests.e2e.cluster import Cluster, made
from tests.e2e.processes import Peer

ANSWER_MAX_S = 1.0
ORDER_MAX_S = 1.0
GROWTH_MAX_BYTES = 100 * 10**6
QUOTA_BYTES = 256 * 10**6
SETTLE_S = 30.0


class BrokeError(Exception):
    """Something that must hold did not."""


@dataclass(slots=True)
class Arena:
    """The cluster under attack."""

    cluster: Cluster
    forbidden: set[str] = field(default_factory=set)
    """Contents that fewer than enough maintainers approved."""
    down: set[int] = field(default_factory=set)
    """Peers whose place an attacker has taken."""
    number: int = 0

    @property
    def standing(self) -> list[Peer]:
        """The peers that nobody has taken over."""
        return [peer for peer in self.cluster.peers if peer.index not in self.down]

    def identity(self, index: int) -> PeerId:
        """Return who a peer is."""
        return parse_peer_id(str(self.cluster.peers[index].status()["peer"]))

    def fresh(self, label: str = "fresh") -> Cid:
        """Return a content that nobody has asked for yet."""
        self.number += 1
        return cids.of_block(f"{label} {self.number}".encode())

    def forbid(self, label: str = "forbidden") -> Cid:
        """Return a content that must never be pinned."""
        cid = self.fresh(label)
        self.forbidden.add(cids.text(cid))
        return cid

    def order(self, at: int = 0) -> float:
        """Have one pin with enough approvals ordered; return how long that took.

        Raises:
            BrokeError: It was not.
        """
        request = self.cluster.pin(self.fresh("probe"))
        begin_s = time.monotonic()
        try:
            code = self.cluster.submit(request, at=at, timeout_s=20)["code"]
        except (httpx.HTTPError, OSError) as exc:
            raise BrokeError(f"ordering at peer {at}: {exc!r}") from exc
        taken_s = time.monotonic() - begin_s
        if code != "committed":
            raise BrokeError(f"ordering at peer {at} ended with {code!r} after {taken_s:.1f} s")
        return taken_s

    def settle(self) -> None:
        """Return when pins are ordered in time again: a peer was just taken over, or came back."""
        end_s = time.monotonic() + SETTLE_S
        quick = 0
        while quick < 5:
            quick = quick + 1 if self.order(self.standing[0].index) <= ORDER_MAX_S else 0
            if time.monotonic() > end_s:
                raise BrokeError(f"ordering did not settle in {SETTLE_S:.0f} s")

    def resident_bytes(self) -> dict[int, int]:
        """Return what each standing peer holds in memory."""
        return {peer.index: _resident_bytes(peer) for peer in self.standing}

    def check_alive(self) -> float:
        """Return the slowest answer to ``/status``.

        Raises:
            BrokeError: A peer ended, does not answer, or takes too long.
        """
        slowest_s = 0.0
        for peer in self.standing:
            if peer.process is None or peer.process.poll() is not None:
                raise BrokeError(f"peer {peer.index} ended:\n{peer.log[-1500:]}")
            begin_s = time.monotonic()
            try:
                peer.status()
            except (httpx.HTTPError, OSError) as exc:
                raise BrokeError(f"peer {peer.index} does not answer: {exc!r}") from exc
            slowest_s = max(slowest_s, time.monotonic() - begin_s)
        if slowest_s > ANSWER_MAX_S:
            raise BrokeError(f"/status took {slowest_s:.2f} s")
        return slowest_s

    def check_pinsets(self) -> None:
        """Raise ``BrokeError`` if anything is pinned under the threshold."""
        if not self.forbidden:
            return
        for peer in self.standing:
            pinned = peer.pinned() & self.forbidden
            if pinned:
                raise BrokeError(f"peer {peer.index} has pinned {min(pinned)}")

    def outside(self) -> set[str]:
        """Return what lies beside the peers' directories, and above."""
        top = self.cluster.directory
        inside = {peer.directory.name for peer in self.cluster.peers}
        found = {str(path) for path in top.iterdir() if path.name not in inside}
        return found | {str(path) for path in top.parent.iterdir()}


def _resident_bytes(peer: Peer) -> int:
    assert peer.process is not None, "it runs"
    with suppress(OSError):  # it has just ended: whoever looks whether it lives will tell
        for line in Path(f"/proc/{peer.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


@contextmanager
def arena(directory: Path) -> Iterator[Arena]:
    """Run a cluster to attack; whatever is left of it in the end is killed."""
    home = directory / "cluster"
    home.mkdir()
    with made(home, quota=str(QUOTA_BYTES)) as cluster:
        cluster.start()
        one = Arena(cluster)
        one.settle()
        yield one


def random_bytes(size: int) -> bytes:
    """Return bytes that mean nothing."""
    return os.urandom(size)

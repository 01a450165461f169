"""The volunteers: who they are, how much each lends, and how they come in."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from bftcluster_cli.client import Record
from bftcluster_cli.demo.cluster import DemoCluster, descriptor, last
from bftcluster_cli.demo.ports import free_ports
from bftcluster_cli.demo.processes import PeerProcess
from bftcluster_cli.demo.volunteers.maintainers import Desk
from bftcluster_cli.descriptors import parse_descriptor
from bftcluster_cli.loans.newcomer import QUOTA_MIN_BYTES, blocks_bytes_of

_SMALLEST_BYTES: Final = 34_000_000
"""A store of blocks has 32 MiB at least."""
_RATIO: Final = 2_000
_DISK_PART: Final = 0.97
"""Whoever keeps the ledger lends only what the disk has room for, though the story fills little."""
_LIGHT_PARTS: Final = (1, 10, 10, 100, _RATIO, 10, 100, _RATIO)
"""Of the largest quota, what light peers have, in turn."""
_FOLLOWERS_HONEST: Final = 2
_DISK_BLOCK_BYTES: Final = 512


class Role(Enum):
    """What a volunteer does."""

    HONEST = "honest"
    DELETES = "deletes"
    LIES = "lies"
    FLAPS = "flaps"
    EQUIVOCATES = "equivocates"
    LEAVES = "leaves"

    @property
    def is_dishonest(self) -> bool:
        """Whether it is to be found out."""
        return self not in {Role.HONEST, Role.LEAVES}


@dataclass(slots=True, kw_only=True)
class Volunteer:
    """One of them."""

    name: str
    role: Role
    quota_bytes: int
    """For blocks."""
    lent_bytes: int
    """All that its directory may take; of one that is admitted by name, what its blocks may."""
    is_invited: bool
    """Whether it comes by the invitation: `lend` takes a gigabyte at least, and has to have it."""
    peer: PeerProcess
    is_light: bool
    id: str = ""
    """As the API names it, once it was let in."""

    @property
    def taken_bytes(self) -> int:
        """What of what is lent the disk says is taken."""
        directory = self.peer.directory
        return taken_in(directory if self.is_invited else directory / "blocks")


def new_crowd(directory: Path, count: int) -> list[Volunteer]:
    """Return volunteers that have neither identity nor process yet."""
    followers = [Role.DELETES, Role.LIES, Role.EQUIVOCATES, Role.LEAVES]
    followers += [Role.HONEST] * (_FOLLOWERS_HONEST if count > 2 * len(followers) else 1)
    lights = [Role.FLAPS] + [Role.HONEST] * (count - len(followers) - 1)
    ports = free_ports(2 * count)
    largest, reserve = _RATIO * _SMALLEST_BYTES, -blocks_bytes_of(0, is_light=True)
    most = int(shutil.disk_usage(directory).free * _DISK_PART)
    crowd = []
    for number, role in enumerate((*followers, *lights)):
        name, index = f"v{number + 1:02}", number - len(followers)
        is_light = index >= 0
        part = _LIGHT_PARTS[(index + 1) % len(_LIGHT_PARTS)] if is_light else 1
        quota = largest // part
        lent = quota + reserve if is_light else min(largest, most)
        is_invited = not is_light or QUOTA_MIN_BYTES <= lent <= most
        if not is_light:
            quota = blocks_bytes_of(lent, is_light=False)
        place = directory / name
        listen, api = ports[2 * number], ports[2 * number + 1]
        crowd.append(
            Volunteer(
                name=name,
                role=role,
                quota_bytes=quota,
                lent_bytes=lent if is_invited else quota,
                peer=PeerProcess(name, place, listen, api, noun="light"),
                is_light=is_light,
                is_invited=is_invited,
            )
        )
    return crowd


def invite(cluster: DemoCluster, at: PeerProcess, guests: Sequence[Volunteer]) -> str:
    """Have an invitation approved that lets in so many, and what they lend; return the word."""
    largest = max(each.quota_bytes for each in guests)
    kind = ["--light"] if guests[0].is_light else []
    made = last(
        cluster.run(
            "invite", "new", "--capacity", f"{largest}B", "--uses", str(len(guests)), *kind,
            "--yes", by="alice", at=at,
        )
    )  # fmt: skip
    cluster.run("pin", "approve", str(made["proposal"])[:16], "--yes", by="bob", at=at)
    return str(made["invitation"])


def lend(cluster: DemoCluster, volunteer: Volunteer, word: str) -> None:
    """Start ``bftcluster lend`` with an invitation; the same line goes on after a stop."""
    peer, quota = volunteer.peer, f"{volunteer.lent_bytes}B"
    address = [] if volunteer.is_light else ["--address", peer.listen]
    cluster.narrator.show_command(["lend", f"{word[:12]}…", "--quota", quota, "--dir", peer.name])
    peer.directory.mkdir(mode=0o700)
    peer.words = (
        "lend", word, "--quota", quota, "--dir", str(peer.directory),
        "--name", peer.name, "--listen", peer.listen, *address,
        "--api", f"127.0.0.1:{peer.api_port}",
    )  # fmt: skip
    peer.start()


def come_light(
    cluster: DemoCluster, desk: Desk, volunteer: Volunteer, relays: Sequence[PeerProcess]
) -> None:
    """Make a light peer that dials relays, have it admitted, and start it."""
    options = ["--genesis", str(cluster.genesis)]
    for relay in relays:
        options += ["--bootstrap", descriptor(relay, "")]
    peer = volunteer.peer
    cluster.run(
        "peer", "init", str(peer.directory), "--name", peer.name, "--listen", peer.listen,
        "--api", f"127.0.0.1:{peer.api_port}", "--quota", f"{volunteer.quota_bytes}B", *options,
        shown=False,
    )  # fmt: skip
    line = parse_descriptor(descriptor(peer, "")).with_choice(light=True)
    desk.decide(line.admission(votes=False), at=cluster.peers[0])
    peer.start()


def members_by_name(cluster: DemoCluster, at: PeerProcess) -> dict[str, Record]:
    """Return what a peer knows of the admitted peers, by name."""
    with cluster.client(at) as client:
        return {str(each["name"]): each for each in client.list("/members")}


def taken_in(directory: Path) -> int:
    """Return what the files in a directory take of the disk."""
    taken = 0
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                taken += Path(root, name).lstat().st_blocks * _DISK_BLOCK_BYTES
            except FileNotFoundError:
                continue  # it was removed meanwhile
    return taken

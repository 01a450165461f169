"""A demonstration's cluster: keys, genesis, peers, and the command as each person types it."""

import io
import json
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Final

from bftcluster.errors import ClusterError, NotReachedError
from bftcluster_cli.client import Client, Record
from bftcluster_cli.demo.narrator import Narrator
from bftcluster_cli.demo.ports import free_ports
from bftcluster_cli.demo.processes import PeerFailedError, PeerProcess
from bftcluster_cli.exits import EXIT_INTERRUPTED
from bftcluster_cli.framework import GlobalOptions

PEERS: Final = 4
MAINTAINERS: Final = ("alice", "bob", "carol")
THRESHOLD: Final = 2
_QUOTA: Final = "100GB"
_POLL_S: Final = 0.05


class CommandFailedError(ClusterError):
    """A command of the story failed."""


@dataclass(slots=True, kw_only=True)
class DemoCluster:
    """Everything the story needs, in one directory."""

    directory: Path
    peers: tuple[PeerProcess, ...]
    narrator: Narrator
    timeout_s: float
    command: Callable[[Sequence[str]], int]
    """Runs ``bftcluster`` with these words, and returns its exit code."""

    @property
    def genesis(self) -> Path:
        """The genesis that all peers and maintainers have."""
        return self.directory / "genesis.cbor"

    @property
    def alive(self) -> list[PeerProcess]:
        """The peers that run."""
        return [peer for peer in self.peers if peer.process is not None]

    def key(self, maintainer: str) -> Path:
        """Return where a maintainer's key file is."""
        return self.directory / "maintainers" / f"{maintainer}.key"

    @property
    def passphrase(self) -> Path:
        """The passphrase of all three: nobody is there to type it."""
        return self.directory / "maintainers" / "passphrase"

    def run(
        self, *words: str, by: str = "", at: PeerProcess | None = None, shown: bool = True
    ) -> list[Record]:
        """Run one bftcluster command; return its JSON.

        Args:
            words: As typed.
            by: The maintainer who types it.
            at: The peer it talks to.
            shown: Whether the story shows the line.

        Raises:
            CommandFailedError: It did not end with 0.
        """
        line = [*words, *(["--key", str(self.key(by))] if by else [])]
        line += ["--api", at.api] if at else []
        if shown:
            self.narrator.show_command([_shortened(word, self.directory) for word in line])
        line += ["--json", "--timeout", str(self.timeout_s)]
        line += ["--passphrase-file", str(self.passphrase)]
        line += ["--genesis", str(self.genesis)] if at else []
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = self.command(line)
        if code == EXIT_INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise CommandFailedError(
                f"`bftcluster {' '.join(words)}` ended with {code}: {err.getvalue().strip()}"
            )
        return [json.loads(each) for each in out.getvalue().splitlines()]

    def client(self, peer: PeerProcess) -> Client:
        """Return a client of one peer."""
        return Client(GlobalOptions(api=peer.api, genesis=self.genesis, timeout_s=self.timeout_s))

    def status(self, peer: PeerProcess) -> Record:
        """Return a peer's ``/status``."""
        with self.client(peer) as client:
            return client.get("/status")

    def wait_for(
        self, what: str, peer: PeerProcess, is_done: Callable[[], bool], *, timeout_s: float = 0.0
    ) -> None:
        """Return once ``is_done``, asked again and again.

        Raises:
            PeerFailedError: ``peer`` ended, or it takes too long.
        """
        end_s = time.monotonic() + (timeout_s or self.timeout_s)
        while True:
            peer.check()
            try:
                if is_done():
                    return
            except NotReachedError:
                pass  # it may still be starting
            if time.monotonic() > end_s:
                raise PeerFailedError(f"{what}: {peer.name} took too long", peer)
            time.sleep(_POLL_S)  # between two questions; `is_done` or `end_s` ends the wait


def new_cluster(
    directory: Path,
    narrator: Narrator,
    timeout_s: float,
    command: Callable[[Sequence[str]], int],
) -> DemoCluster:
    """Return a cluster of peers that have neither identity nor process yet."""
    ports = free_ports(2 * PEERS)
    peers = tuple(
        PeerProcess(f"peer{i + 1}", directory / f"peer{i + 1}", ports[2 * i], ports[2 * i + 1])
        for i in range(PEERS)
    )
    return DemoCluster(
        directory=directory, peers=peers, narrator=narrator, timeout_s=timeout_s, command=command
    )


def set_up(cluster: DemoCluster, *options: str, capacity: str = "") -> None:
    """Make three keys, the peers, and the genesis that names them.

    Args:
        cluster: Of which nothing is there yet.
        options: More words for ``cluster init``.
        capacity: What may rest on each peer; empty: its quota.
    """
    cluster.passphrase.parent.mkdir(mode=0o700)
    cluster.passphrase.write_text("correct horse battery staple\n")
    cluster.passphrase.chmod(0o600)
    for name in MAINTAINERS:
        cluster.run(
            "key", "new", name, "--output", str(cluster.key(name)), "--strength", "interactive"
        )
    for peer in cluster.peers:
        cluster.run(
            "peer", "init", str(peer.directory), "--name", peer.name, "--listen", peer.listen,
            "--api", f"127.0.0.1:{peer.api_port}", "--quota", _QUOTA,
        )  # fmt: skip
    people = [("--maintainer", str(cluster.key(name).with_suffix(".pub"))) for name in MAINTAINERS]
    machines = [("--peer", descriptor(peer, capacity)) for peer in cluster.peers]
    cluster.run(
        "cluster", "init", "--name", "demo", "--threshold", str(THRESHOLD),
        *_flat(people), *_flat(machines), *options,
        "--output", str(cluster.genesis),
    )  # fmt: skip
    for peer in cluster.peers:
        cluster.run(
            "peer", "init", str(peer.directory), "--genesis", str(cluster.genesis), shown=False
        )


def descriptor(peer: PeerProcess, capacity: str) -> str:
    """Return the file with the line about a peer, or a line in which it asks for ``capacity``."""
    path = peer.directory / "peer.txt"
    if not capacity:
        return str(path)
    who, _, _ = path.read_text("utf-8").strip().partition(";")
    return f"{who};capacity={capacity}"


def start(cluster: DemoCluster) -> None:
    """Start all peers, and wait until each serves, sees the others, and knows what they offer.

    Raises:
        PeerFailedError: One does not.
    """
    for peer in cluster.peers:
        cluster.narrator.show_command(["peer", "run", peer.name])
        peer.start()
    for peer in cluster.peers:
        cluster.wait_for("starting", peer, lambda peer=peer: is_ready(cluster, peer))  # type: ignore[misc]


def is_ready(cluster: DemoCluster, peer: PeerProcess) -> bool:
    """Return whether a peer serves, sees all the others, and knows what everybody offers."""
    with cluster.client(peer) as client:
        if not client.is_healthy():
            return False
        links = client.get("/status").get("links") or []
        offers = client.list("/monitor/metrics/freespace")
    is_connected = sum(bool(link.get("connected")) for link in links) >= PEERS - 1
    return is_connected and sum(int(offer.get("value") or 0) > 0 for offer in offers) >= PEERS


def how_to_go_on(cluster: DemoCluster) -> str:
    """Return the lines that start a cluster again which was kept; empty if there is none."""
    if not cluster.genesis.exists():
        return ""
    peers = [(str(peer.directory), str(peer.log_path)) for peer in cluster.peers]
    variables = {
        "BFTCLUSTER_API": cluster.peers[0].api,
        "BFTCLUSTER_GENESIS": str(cluster.genesis),
        "BFTCLUSTER_PASSPHRASE_FILE": str(cluster.passphrase),
    }
    lines = [
        "its peers were stopped; to go on with it:",
        *(f"  bftcluster peer run {quote(path)} 2>> {quote(log)} &" for path, log in peers),
        *(f"  export {name}={quote(value)}" for name, value in variables.items()),
        "  bftcluster peer status",
        "  bftcluster pin ls",
        f"  bftcluster add PATH --key {quote(str(cluster.key('alice')))}    # bob, carol likewise",
    ]
    return "\n".join(lines)


def _flat(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [word for pair in pairs for word in pair]


def _shortened(word: str, directory: Path) -> str:
    return word.replace(f"{directory}/", "")


def last(records: list[Record]) -> dict[str, Any]:
    """Return a command's last answer, which is its result."""
    assert records, "the command answered"
    return records[-1]

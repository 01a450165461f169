"""One process: opens a peer's parts, runs it, and opens it again when it asks for that."""

from pathlib import Path

import trio

from bftcluster.errors import ClusterError, first_error, require_assertions
from bftcluster.node.parts import open_parts
from bftcluster.node.peer import Peer
from bftcluster.node.process.config import Config
from bftcluster.node.process.interpreter import tune_process
from bftcluster.node.process.logs import configure_logs, log_for
from bftcluster.node.recovery import take_over

_log = log_for("node")


def run_peer(directory: Path) -> None:
    """Run the peer that lives in ``directory`` until SIGINT or SIGTERM.

    Raises:
        ClusterError: It cannot start, or cannot go on.
    """
    require_assertions()
    config = Config.load(directory)
    configure_logs(level=config.log.level, levels=config.log.levels, format=config.log.format)
    while _run_once(config):
        _log.info("opening again, to install the state that was fetched")


def _run_once(config: Config) -> bool:
    """Run a peer; return whether it wants to be opened again."""
    with open_parts(config) as parts:
        peer = Peer(parts)
        tune_process()
        try:
            trio.run(peer.run)
        except* ClusterError as group:
            raise first_error(group) from group
    if peer.recovery is not None:
        take_over(config, peer.recovery)
    return peer.opens_again

"""``bftcluster light``: run a peer that keeps no ledger, and dials relays."""

from pathlib import Path
from typing import Annotated

import typer

from bftcluster_cli.framework import noun, verb

app = noun("light", "Lend disk without a ledger, an inbound port, or a vote.")


@verb(
    app,
    "run",
    "bftcluster peer init ./lent --genesis genesis.cbor --quota 50GB \\",
    "    --bootstrap relay1/peer.txt --bootstrap relay2/peer.txt",
    "bftcluster light run ./lent",
)
def run(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Made by `peer init`.")],
) -> None:
    """Run the light peer in DIR until it is told to stop (Ctrl-C or SIGTERM).

    It dials the peers that --bootstrap named, which must be relays (`network.relay` in their
    config); two of different people are best. It must be admitted: `cluster admit --light`.
    """
    run_light_peer(directory)


def run_light_peer(directory: Path) -> None:
    """Run the light peer in ``directory`` until it is told to stop."""
    from bftcluster.node.light.light_daemon import run_light
    from bftcluster.node.light.light_settings import LightConfig
    from bftcluster.node.process.config import Config
    from bftcluster.node.process.logs import configure_logs

    config = Config.load(directory)
    configure_logs(level=config.log.level, levels=config.log.levels, format=config.log.format)
    run_light(LightConfig.of(config))

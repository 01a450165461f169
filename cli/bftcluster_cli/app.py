"""The tree of commands. Nothing heavy is imported here: commands import what they need."""

from pathlib import Path
from typing import Annotated

import typer

from bftcluster import __version__, core_form
from bftcluster_cli.commands import audits as audit_commands
from bftcluster_cli.commands import cluster as cluster_commands
from bftcluster_cli.commands import config as config_commands
from bftcluster_cli.commands import content as content_commands
from bftcluster_cli.commands import demo as demo_command
from bftcluster_cli.commands import health as health_commands
from bftcluster_cli.commands import invites as invite_commands
from bftcluster_cli.commands import keys as key_commands
from bftcluster_cli.commands import lend as lend_commands
from bftcluster_cli.commands import light as light_commands
from bftcluster_cli.commands import members as member_commands
from bftcluster_cli.commands import offline as offline_commands
from bftcluster_cli.commands import peers as peer_commands
from bftcluster_cli.commands import pins as pin_commands
from bftcluster_cli.commands import recovery as recovery_commands
from bftcluster_cli.commands import repair as repair_commands
from bftcluster_cli.commands import reputations as reputation_commands
from bftcluster_cli.commands import sim as sim_commands
from bftcluster_cli.framework import (
    API_DEFAULT,
    TIMEOUT_DEFAULT_S,
    GlobalOptions,
    checked_timeout,
    settings_of,
    verb,
)
from bftcluster_cli.output import emit

app = typer.Typer(
    name="bftcluster",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
)
content_commands.register(app)
member_commands.register(cluster_commands.app, peer_commands.app)
offline_commands.register(pin_commands.app)
health_commands.register(cluster_commands.app)
recovery_commands.register(peer_commands.app, cluster_commands.app)
for group in (
    demo_command,
    key_commands,
    cluster_commands,
    peer_commands,
    invite_commands,
    lend_commands,
    light_commands,
    pin_commands,
    reputation_commands,
    repair_commands,
    audit_commands,
    config_commands,
    sim_commands,
):
    app.add_typer(group.app)


_START_HERE = """\b
Start here:
  bftcluster demo                  four peers on this machine, and a pin from end to end
  bftcluster key new alice         make a maintainer's key
  bftcluster peer init ./peer1     make a peer
  bftcluster cluster init --help   bring maintainers and peers together
"""


@app.callback(epilog=_START_HERE)
def options(
    ctx: typer.Context,
    *,
    api: Annotated[
        str, typer.Option(metavar="URL", envvar="BFTCLUSTER_API", help="The peer to talk to.")
    ] = API_DEFAULT,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="BFTCLUSTER_KEY", help="Your maintainer key file."),
    ] = None,
    passphrase_file: Annotated[
        str,
        typer.Option(
            metavar="FILE|prompt",
            envvar="BFTCLUSTER_PASSPHRASE_FILE",
            help="Holds the key file's passphrase; else BFTCLUSTER_PASSPHRASE, else you are asked.",
        ),
    ] = "",
    genesis: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="BFTCLUSTER_GENESIS",
            help="Only talk to a peer of the cluster of this genesis.",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait for an answer.")
    ] = TIMEOUT_DEFAULT_S,
    is_json: Annotated[
        bool, typer.Option("--json", help="Write JSON to stdout, one object or one a line.")
    ] = False,
) -> None:
    """Keep IPFS content pinned on a cluster whose members need not trust each other.

    A pin happens when enough maintainers have signed it; the peers agree on the order with PBFT.

    Exit codes: 0 done, 1 refused, 2 wrong usage, 3 not reached (timeout, no quorum, no peer),
    4 stopped because more than f replicas are faulty, 70 bug, 130 interrupted.
    """
    ctx.obj = GlobalOptions(
        api=api,
        key=key,
        passphrase_file=passphrase_file,
        genesis=genesis,
        timeout_s=checked_timeout(timeout),
        is_json=is_json,
    )


@verb(app, "version", "bftcluster version --json")
def version(ctx: typer.Context) -> None:
    """Show the version of this program, and whether its core is compiled."""
    core = core_form()
    emit(settings_of(ctx), {"version": __version__, "core": core}, f"{__version__} (core {core})")

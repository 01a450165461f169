"""``bftcluster lend``: lend room of this machine to a cluster, by an invitation."""

import os
import shutil
import socket
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bftcluster.errors import ConfigError, UsageError
from bftcluster_cli.descriptors import check_place, parse_size
from bftcluster_cli.files import replace_file, write_new
from bftcluster_cli.framework import DefaultGroup, GlobalOptions, settings_of, verb
from bftcluster_cli.keys.key_files import check_name
from bftcluster_cli.loans.loan_status import status_of
from bftcluster_cli.loans.newcomer import (
    CONFIG_FILE,
    GENESIS_FILE,
    Offer,
    check_disk,
    come_in,
)
from bftcluster_cli.output import emit, say, size_text

if TYPE_CHECKING:
    from bftcluster.node.process.loan_file import LoanChoice

_LISTEN_DEFAULT: Final = "/ip4/0.0.0.0/tcp/9096"
_API_DEFAULT: Final = "127.0.0.1:9094"
_START: Final = "start"
_UNIT_FILE: Final = "bftcluster-lend.service"


class LendGroup(DefaultGroup):
    """Takes an invitation where a verb may stand: ``bftcluster lend bftc1…``."""

    default = _START


app = typer.Typer(
    name="lend",
    help="Lend room of this machine to a cluster: bftcluster lend INVITE --quota 500GB.",
    cls=LendGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

DayUp = Annotated[
    str, typer.Option("--day-up", metavar="SIZE", help="Blocks sent in a day, at most; 0: any.")
]
DayDown = Annotated[
    str, typer.Option("--day-down", metavar="SIZE", help="Blocks received in a day, at most.")
]
MonthUp = Annotated[
    str, typer.Option("--month-up", metavar="SIZE", help="Blocks sent in 30 days, at most.")
]
MonthDown = Annotated[
    str, typer.Option("--month-down", metavar="SIZE", help="Blocks received in 30 days, at most.")
]
Directory = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="Where all of it lies; in your home by default."),
]


@verb(
    app,
    _START,
    "bftcluster lend bftc1… --quota 500GB",
    "bftcluster lend bftc1… --quota 500GB --dir /mnt/disk/lend --domain cellar",
    "bftcluster lend start",
)
def start(
    ctx: typer.Context,
    *,
    invite: Annotated[
        str, typer.Argument(metavar="[INVITE]", help="The word you were sent; once is enough.")
    ] = "",
    quota: Annotated[
        str, typer.Option(metavar="SIZE", help="Disk that all of it may take: 500GB, 2TB.")
    ] = "",
    directory: Directory = None,
    name: Annotated[str, typer.Option(help="What people call it; this machine's name.")] = "",
    domain: Annotated[
        str, typer.Option(help="What it may fail together with, if the invitation asks you.")
    ] = "",
    operator: Annotated[str, typer.Option(help="Who looks after it, likewise.")] = "",
    listen: Annotated[
        str, typer.Option(metavar="MULTIADDR", help="Where it listens for other peers.")
    ] = _LISTEN_DEFAULT,
    address: Annotated[
        list[str] | None,
        typer.Option(metavar="MULTIADDR", help="Where others reach it, if they do; repeatable."),
    ] = None,
    api: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where its HTTP API listens. It has no login.")
    ] = _API_DEFAULT,
    day_up: DayUp = "",
    day_down: DayDown = "",
    month_up: MonthUp = "",
    month_down: MonthDown = "",
) -> None:
    """Lend room: come in by an invitation, and keep what the cluster asks for, until stopped.

    Run it again, without the invitation, to go on. It asks nothing.
    """
    from bftcluster.ledger.wire.invitation_text import invitation_from_text

    settings, place = settings_of(ctx), _directory(directory)
    if invite and not _belongs(place, invite):
        if not quota:
            raise UsageError("how much is to be lent?", hint="say it with --quota 500GB")
        offer = Offer(
            directory=place,
            quota_bytes=parse_size(quota),
            name=check_name(name or socket.gethostname().split(".")[0] or "volunteer"),
            listen=listen,
            api=api,
            addresses=tuple(address or ()),
            domain=check_place(domain, "a domain"),
            operator=check_place(operator, "an operator"),
            is_light=invitation_from_text(invite).is_light,
        )
        _come(settings, invite, offer)
    _write_choice(place, _traffic_changes(day_up, day_down, month_up, month_down))
    choice = _choice(place)
    if choice.has_left:
        raise ConfigError(
            f"the peer in {place} has left the cluster",
            hint="to lend again, take another directory with --dir",
        )
    if choice.leaves:
        _tell(
            settings,
            "leaving",
            "this peer leaves, or has left: to lend again, take another directory with --dir",
        )
    _tell(settings, "running", f"lending {size_text(choice.quota_bytes)} in {place}; Ctrl-C stops")
    _run(place)


def _run(place: Path) -> None:
    """Run the peer that lends, in the foreground."""
    if _choice(place).is_light:
        from bftcluster_cli.commands.light import run_light_peer

        run_light_peer(place)
    else:
        from bftcluster.node.daemon import run_peer

        run_peer(place)


def _come(settings: GlobalOptions, invite: str, offer: Offer) -> None:
    from bftcluster.ledger.wire.invitation_text import invitation_from_text

    invitation = invitation_from_text(invite)
    come_in(
        invitation,
        offer,
        lambda step, text: _tell(settings, step, text),
        timeout_s=settings.timeout_s,
    )


def _belongs(place: Path, invite: str) -> bool:
    """Return whether a directory is of the invitation's cluster already.

    Raises:
        ConfigError: It is of another.
    """
    from bftcluster.ledger.wire.invitation_text import invitation_from_text
    from bftcluster_cli.clusters import read_genesis

    invitation = invitation_from_text(invite)
    if not (place / GENESIS_FILE).exists():
        return False
    if read_genesis(place / GENESIS_FILE).cluster_id != invitation.cluster_id:
        raise ConfigError(
            f"{place} is lent to another cluster already",
            hint="lend to this one from another directory, with --dir",
        )
    return True


def _tell(settings: GlobalOptions, step: str, text: str) -> None:
    if settings.is_json:
        emit(settings, {"step": step, "detail": text}, text)
    else:
        say(text)


@verb(app, "status", "bftcluster lend status", "bftcluster lend status --json")
def status(ctx: typer.Context, *, directory: Directory = None) -> None:
    """Show what is lent, and how the peer is doing."""
    place, settings = _directory(directory), settings_of(ctx)
    emit(settings, *status_of(place, _choice(place), settings, api=_api_of(place)))


@verb(app, "pause", "bftcluster lend pause")
def pause(ctx: typer.Context, *, directory: Directory = None) -> None:
    """Take nothing new; what is here is served as before."""
    _choose(ctx, directory, "paused: nothing new is taken", is_paused=True)


@verb(app, "resume", "bftcluster lend resume")
def resume(ctx: typer.Context, *, directory: Directory = None) -> None:
    """Take new data again."""
    _choose(ctx, directory, "resumed", is_paused=False)


@verb(app, "limits", "bftcluster lend limits --quota 800GB --day-up 50GB")
def limits(
    ctx: typer.Context,
    *,
    quota: Annotated[
        str, typer.Option(metavar="SIZE", help="Disk that all of it may take, from the next start.")
    ] = "",
    day_up: DayUp = "",
    day_down: DayDown = "",
    month_up: MonthUp = "",
    month_down: MonthDown = "",
    directory: Directory = None,
) -> None:
    """Show or change what is lent. Of the disk counts what was approved, whatever is lent.

    Traffic is that of blocks, where a peer that has used up a bound says that it is busy. What the
    order needs goes on: it is little, and this peer is of no use without.
    """
    changes: dict[str, Any] = _traffic_changes(day_up, day_down, month_up, month_down)
    if quota:
        changes["quota_bytes"] = parse_size(quota)
        _set_quota(_directory(directory), changes["quota_bytes"])
    place = _directory(directory)
    _write_choice(place, changes)
    choice = _choice(place)
    emit(settings_of(ctx), asdict(choice), _limits_text(choice))


def _limits_text(choice: "LoanChoice") -> str:
    bounds = [
        f"{name.replace('_', ' ')} {size_text(size)}"
        for name, size in choice.traffic.items()
        if size
    ]
    traffic = ", ".join(bounds) or "no bound on traffic"
    return f"disk {size_text(choice.quota_bytes)}; blocks: {traffic}"


def _traffic_changes(*texts: str) -> dict[str, int]:
    """Return the bounds that were said, of those in their order."""
    names = ("day_up_bytes", "day_down_bytes", "month_up_bytes", "month_down_bytes")
    return {name: parse_size(text) for name, text in zip(names, texts, strict=True) if text}


def _set_quota(place: Path, quota_bytes: int) -> None:
    """Write how much of a quota is for blocks into the configuration."""
    is_light = _choice(place).is_light
    offer = Offer(
        directory=place, quota_bytes=quota_bytes, name="", listen="", api="", is_light=is_light
    )
    check_disk(offer)
    path = place / CONFIG_FILE
    lines = path.read_text(encoding="utf-8").splitlines()
    changed = [
        f'quota = "{offer.blocks_bytes}B"' if line.startswith("quota = ") else line
        for line in lines
    ]
    replace_file(path, ("\n".join(changed) + "\n").encode())


@verb(app, "leave", "bftcluster lend leave", "bftcluster lend leave --now")
def leave(
    ctx: typer.Context,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="Do not wait until others hold what is here.")
    ] = False,
    directory: Directory = None,
) -> None:
    """Leave the cluster: others are given what is here first, then the peer ends.

    It has to run meanwhile, for a week at most. Its directory is yours to remove afterwards.
    """
    text = (
        "the peer leaves" if now else "the peer leaves when others hold what is here; it has to run"
    )
    _choose(ctx, directory, text, leaves=True, leaves_now=now)


@verb(app, "install", "bftcluster lend install")
def install(ctx: typer.Context, *, directory: Directory = None) -> None:
    """Write a unit for systemd that runs the peer for you, and say how to start it."""
    place = _directory(directory)
    _choice(place)
    base = os.environ.get("XDG_CONFIG_HOME", "")
    units = (Path(base) if base else Path.home() / ".config") / "systemd" / "user"
    program = shutil.which("bftcluster") or "bftcluster"
    units.mkdir(parents=True, exist_ok=True)
    path = units / _UNIT_FILE
    write_new(path, unit_text(program, place).encode())
    emit(settings_of(ctx), {"unit": str(path)}, str(path))
    say(
        f"start it:            systemctl --user enable --now {_UNIT_FILE}\n"
        "while you are away:  loginctl enable-linger"
    )


def unit_text(program: str, place: Path) -> str:
    """Return the unit: it is started again after failures and sleep, and waits for the network."""
    return f"""[Unit]
Description=Lends room to a bftcluster
Wants=network-online.target
After=network-online.target

[Service]
ExecStart="{program}" lend start --dir "{place}"
Restart=on-failure
RestartSec=30
KillSignal=SIGTERM
TimeoutStopSec=60
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"""


def _choose(ctx: typer.Context, directory: Path | None, text: str, **changes: Any) -> None:  # noqa: ANN401 - of the choice's fields
    place = _directory(directory)
    _write_choice(place, changes)
    emit(settings_of(ctx), {"directory": str(place), **changes}, text)


def _write_choice(place: Path, changes: dict[str, Any]) -> None:
    from bftcluster.node.process.loan_file import LOAN_FILE

    choice = replace(_choice(place), **changes)
    replace_file(place / LOAN_FILE, choice.to_bytes())


def _choice(place: Path) -> "LoanChoice":
    """Return what was chosen for a directory from which room is lent.

    Raises:
        ConfigError: From this one none is.
    """
    from bftcluster.node.process.loan_file import LoanChoice

    choice = LoanChoice.load(place)
    if choice is None or not (place / GENESIS_FILE).exists():
        raise ConfigError(
            f"nothing is lent from {place}", hint="bftcluster lend INVITE --quota 500GB"
        )
    return choice


def _api_of(place: Path) -> str:
    from bftcluster.node.process.config import Config

    return next(iter(Config.load(place).api.listen), _API_DEFAULT)


def _directory(directory: Path | None) -> Path:
    if directory is not None:
        return directory.resolve()
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "share") / "bftcluster" / "lend"

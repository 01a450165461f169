"""``bftcluster demo``: a whole cluster on this machine, from keys to content that survives."""

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from bftcluster.errors import ClusterError, UsageError
from bftcluster_cli.exits import run
from bftcluster_cli.framework import DefaultGroup, GlobalOptions, settings_of, verb
from bftcluster_cli.output import complain, emit, say

if TYPE_CHECKING:
    from bftcluster_cli.demo.processes import PeerProcess

_BYTES_PER_SECOND_MIN: Final = 2_000_000
"""What even a busy machine replicates: waits grow with the content."""


_PIN: Final = "pin"


class DemoGroup(DefaultGroup):
    """Tells the story of a pin where none is named: ``bftcluster demo``."""

    default = _PIN

    def is_meant(self, args: list[str]) -> bool:
        """Return whether no story is named."""
        return not args or super().is_meant(args)


app = typer.Typer(
    name="demo",
    help="Run a whole cluster on this machine, and show what it does.",
    cls=DemoGroup,
    rich_markup_mode=None,
    add_completion=False,
)

Keep = Annotated[
    bool, typer.Option("--keep", help="Keep the keys, peers and logs for a look around.")
]
Workdir = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where to work; the system's default if not.")
]


@verb(
    app,
    "volunteers",
    "bftcluster demo volunteers",
    "bftcluster demo volunteers --volunteers 40 --json",
)
def volunteers(
    ctx: typer.Context,
    *,
    count: Annotated[
        int,
        typer.Option("--volunteers", metavar="N", min=8, max=100, help="How many lend room."),
    ] = 24,
    is_brief: Annotated[
        bool,
        typer.Option(
            "--brief", help="Leave out what takes audits, or two weeks of the cluster's time."
        ),
    ] = False,
    keep: Keep = False,
    workdir: Workdir = None,
) -> None:
    """Run replicas, relays and volunteers, some of whom lie, and show how they are found out.

    One deletes blocks, one lies in reports, one comes and goes, one votes twice, one leaves, and a
    quarter of all drop out at once. Nothing is lost. It takes six minutes on two cores.
    """
    with _work_directory(_checked(workdir), keep=keep) as directory, _terminated_as_interrupted():
        command = partial(run, ctx.find_root().command)
        is_good = _tell_of_volunteers(
            settings_of(ctx), directory, command, count=count, is_brief=is_brief, keep=keep
        )
    if not is_good:
        raise typer.Exit(1)


def _tell_of_volunteers(
    settings: GlobalOptions,
    directory: Path,
    command: Callable[[Sequence[str]], int],
    *,
    count: int,
    is_brief: bool,
    keep: bool,
) -> bool:
    """Run the story of volunteers, as ``_tell`` the one of a pin."""
    from bftcluster_cli.demo.cluster import new_cluster
    from bftcluster_cli.demo.narrator import Narrator
    from bftcluster_cli.demo.processes import stop_all
    from bftcluster_cli.demo.volunteers.story import VolunteersStory

    narrator = Narrator()
    cluster = new_cluster(directory, narrator, settings.timeout_s, command)
    story = VolunteersStory.new(cluster, count, is_brief=is_brief)
    try:
        story.tell()
    except ClusterError as exc:
        _show_logs(cluster.peers, exc)
        complain(str(exc), exc.hint)
    finally:
        stop_all(story.everybody)
    report = story.report
    report.minutes = round(narrator.elapsed_s / 60, 2)
    report.chapters_s = narrator.chapters
    report.directory = str(directory) if keep else ""
    say("")
    if keep:
        say(f"everything is kept in {directory}")
    emit(settings, report.record(), report.text())
    return report.is_good


@verb(
    app,
    _PIN,
    "bftcluster demo",
    "bftcluster demo --path ~/photos --json",
    "bftcluster demo pin --keep --workdir /var/tmp",
)
def demo(
    ctx: typer.Context,
    path: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pin this directory instead of a sample.")
    ] = None,
    keep: Keep = False,
    workdir: Workdir = None,
) -> None:
    """Run four peers and three maintainers on this machine, and show what a pin goes through.

    A signature too few, two that are enough, a peer killed, its return, and the content read back.
    """
    settings = settings_of(ctx)
    if path is not None:
        _check_source(path)
    with _work_directory(_checked(workdir), keep=keep) as directory, _terminated_as_interrupted():
        command = partial(run, ctx.find_root().command)
        is_good = _tell(settings, directory, path, command, keep=keep)
    if not is_good:
        raise typer.Exit(1)


def _tell(
    settings: GlobalOptions,
    directory: Path,
    path: Path | None,
    command: Callable[[Sequence[str]], int],
    *,
    keep: bool,
) -> bool:
    """Run the story, end every process, and write the report; return whether all went well."""
    from bftcluster_cli.demo import content
    from bftcluster_cli.demo.cluster import (
        MAINTAINERS,
        PEERS,
        THRESHOLD,
        how_to_go_on,
        new_cluster,
    )
    from bftcluster_cli.demo.narrator import Narrator
    from bftcluster_cli.demo.processes import stop_all
    from bftcluster_cli.demo.report import DemoReport
    from bftcluster_cli.demo.story import Story

    narrator = Narrator()
    source = path or directory / "source"
    if path is None:
        content.make_sample(source)
    _, size_bytes = content.measure(source)
    timeout_s = settings.timeout_s + size_bytes / _BYTES_PER_SECOND_MIN
    report = DemoReport(peers=PEERS, threshold=THRESHOLD, maintainers=len(MAINTAINERS))
    cluster = new_cluster(directory, narrator, timeout_s, command)
    try:
        Story(cluster=cluster, source=source, report=report).tell()
    except ClusterError as exc:
        _show_logs(cluster.peers, exc)
        complain(str(exc), exc.hint)
    finally:
        stop_all(cluster.peers)
    report.elapsed_s = round(narrator.elapsed_s, 2)
    report.chapters_s = narrator.chapters
    report.directory = str(directory) if keep else ""
    say("")
    if keep:
        say(f"everything is kept in {directory}")
        say(how_to_go_on(cluster))
    emit(settings, report.record(), report.text())
    return report.is_good


def _checked(workdir: Path | None) -> Path | None:
    if workdir is not None and not workdir.is_dir():
        raise UsageError(f"there is no directory {workdir}", hint=f"mkdir -p {workdir}")
    return workdir


def _check_source(path: Path) -> None:
    """Refuse what the story could not end well with."""
    from bftcluster_cli.demo.content import first_link_outside

    if not path.is_dir():
        raise UsageError(f"{path} is not a directory")
    if link := first_link_outside(path):
        raise UsageError(
            f"{link} leads outside of {path}",
            hint="such links can be pinned, but are not written when content is read back",
        )


def _show_logs(peers: "Sequence[PeerProcess]", error: ClusterError) -> None:
    """Show the last words of the peer that failed, or of these if it is not known which."""
    log = getattr(error, "log", None)
    if log is not None:
        say(f"\nthe last lines of its log:\n{log}\n")
        return
    for peer in peers:
        if tail := peer.log_tail():
            say(f"\nthe last lines of {peer.name}'s log:\n{tail}\n")


@contextmanager
def _work_directory(parent: Path | None, *, keep: bool) -> Iterator[Path]:
    if keep:
        yield Path(tempfile.mkdtemp(prefix="bftcluster-demo-", dir=parent)).resolve()
        return
    with tempfile.TemporaryDirectory(
        prefix="bftcluster-demo-", dir=parent, ignore_cleanup_errors=True
    ) as directory:
        yield Path(directory).resolve()


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """End as on Ctrl-C, tidily, when told to stop or when the terminal goes away."""
    if sys.platform == "win32":
        yield
        return
    wanted = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _interrupt) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt

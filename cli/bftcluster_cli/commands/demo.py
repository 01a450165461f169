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
from bftcluster_cli.framework import GlobalOptions, settings_of, verb
from bftcluster_cli.output import complain, emit, say

if TYPE_CHECKING:
    from bftcluster_cli.demo.cluster import DemoCluster

_BYTES_PER_SECOND_MIN: Final = 2_000_000
"""What even a busy machine replicates: waits grow with the content."""


def register(app: typer.Typer) -> None:
    """Add the command to the top level."""
    verb(
        app,
        "demo",
        "bftcluster demo",
        "bftcluster demo --path ~/photos --json",
        "bftcluster demo --keep --workdir /var/tmp",
    )(demo)


def demo(
    ctx: typer.Context,
    path: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pin this directory instead of a sample.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the keys, peers and logs for a look around.")
    ] = False,
    workdir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to work; the system's default if not.")
    ] = None,
) -> None:
    """Run four peers and three maintainers on this machine, and show what a pin goes through.

    A signature too few, two that are enough, a peer killed, its return, and the content read back.
    """
    settings = settings_of(ctx)
    if path is not None:
        _check_source(path)
    if workdir is not None and not workdir.is_dir():
        raise UsageError(f"there is no directory {workdir}", hint=f"mkdir -p {workdir}")
    with _work_directory(workdir, keep=keep) as directory, _terminated_as_interrupted():
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
        _show_logs(cluster, exc)
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


def _show_logs(cluster: "DemoCluster", error: ClusterError) -> None:
    """Show the last words of the peer that failed, or of all if it is not known which."""
    log = getattr(error, "log", None)
    if log is not None:
        say(f"\nthe last lines of its log:\n{log}\n")
        return
    for peer in cluster.peers:
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

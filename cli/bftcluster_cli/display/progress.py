"""Progress bars on stderr; nothing at all where nobody watches, or with ``--json``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bftcluster_cli.framework import GlobalOptions

if TYPE_CHECKING:
    from bftcluster_cli.display.pin_lines import PinProgress


@contextmanager
def bytes_bar(
    settings: GlobalOptions, label: str, total_bytes: int | None
) -> Iterator[Callable[[int], None]]:
    """Show how many bytes went by; yields a function that takes how many more."""
    if not is_watched(settings):
        yield _ignore
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total_bytes)
        yield lambda more: progress.advance(task, more)


@contextmanager
def replication_bar(settings: GlobalOptions) -> Iterator[Callable[["PinProgress"], None]]:
    """Show how many of the peers hold a pin; yields a function that takes each answer."""
    if not is_watched(settings):
        yield _ignore
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("replicated"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def show(pin: "PinProgress") -> None:
            behind = "; ".join(holder.text for holder in pin.behind)
            progress.update(task, total=pin.wanted, completed=pin.replicated, description=behind)

        yield show


def is_watched(settings: GlobalOptions) -> bool:
    """Return whether somebody looks at stderr."""
    return sys.stderr.isatty() and not settings.is_json


def _ignore(_: object) -> None:
    """Show nothing."""

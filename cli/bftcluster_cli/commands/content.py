"""``bftcluster add``, ``get`` and ``id``: content in, content out, and who is there."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bftcluster.errors import UsageError
from bftcluster_cli import pin_options as options
from bftcluster_cli.client import Client
from bftcluster_cli.framework import GlobalOptions, settings_of, verb
from bftcluster_cli.output import emit, plural, say, size_text
from bftcluster_cli.untrusted_text import label

if TYPE_CHECKING:
    from bftcluster.blocks.formats.layout import Layout


def register(app: typer.Typer) -> None:
    """Add the commands to the top level."""
    verb(
        app,
        "add",
        "bftcluster add photos/ --name holidays --key alice.key",
        "bftcluster add thesis.pdf --no-pin --json",
        "bftcluster add a.txt b.txt --wrap --rmin 2 --rmax 3 --wait",
    )(add)
    verb(
        app,
        "get",
        "bftcluster get bafy… --output photos",
        "bftcluster get bafy… --output - | less",
        "bftcluster get bafy… --car --output photos.car",
    )(get)
    verb(app, "id", "bftcluster id", "bftcluster id --json")(show_id)


def add(
    ctx: typer.Context,
    *,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and directories.")],
    name: options.Name = "",
    least: options.Least = None,
    most: options.Most = None,
    expire_in: options.ExpireIn = "",
    place: options.Place = None,
    metadata: options.Metadata = None,
    allocations: options.Allocations = "",
    wrap: Annotated[
        bool,
        typer.Option("--wrap", "--wrap-with-directory", help="Put everything in one directory."),
    ] = False,
    hidden: Annotated[
        bool, typer.Option("--hidden", "-H", help="Also take names that start with a dot.")
    ] = False,
    chunker: Annotated[
        str, typer.Option(metavar="size-N", help="Cut files into chunks of N bytes.")
    ] = "",
    cid_version: Annotated[
        int, typer.Option(min=0, max=1, help="0 gives Qm… as Kubo does, 1 gives bafy….")
    ] = 1,
    raw_leaves: Annotated[
        bool | None,
        typer.Option(help="File chunks without an envelope; the default with CIDs of version 1."),
    ] = None,
    no_pin: Annotated[
        bool, typer.Option("--no-pin", help="Only bring the content to the peer.")
    ] = False,
    quieter: Annotated[
        bool, typer.Option("--quieter", "-Q", help="Write the last CID only, and nothing else.")
    ] = False,
    valid_for: options.ValidFor = "14d",
    wait: options.Wait = False,
    yes: options.Yes = False,
) -> None:
    """Bring files to a peer, and propose to pin them in your name."""
    from bftcluster_cli.commands.pins import propose_operation, report_outcome
    from bftcluster_cli.content.upload_requests import upload
    from bftcluster_cli.proposals import now_ms

    settings = settings_of(ctx)
    choice = options.PinChoice(
        name=name or (paths[0].resolve().name if len(paths) == 1 else ""),
        least=least,
        most=most,
        expire_in=expire_in,
        place=tuple(place or ()),
        metadata=tuple(metadata or ()),
        allocations=allocations,
    )
    layout = _layout(chunker, cid_version, raw_leaves)
    is_wrapped = wrap or len(paths) > 1
    if not no_pin:
        _check_signing(settings, yes=yes)
    with Client(settings) as client:
        added, contents = upload(
            client, settings, paths, layout=layout, is_wrapped=is_wrapped, hidden=hidden
        )
        root = str(added[-1]["cid"])
        for record in () if quieter else added:
            emit(settings, record, f"added {record['cid']} {label(str(record['name']))}")
        if quieter and not settings.is_json:
            typer.echo(root)
        if no_pin:
            return
        if contents is None:
            say("it has more blocks than a pin can name: this pin tells nobody its size")
        operation = choice.operation(root, now_ms=now_ms(), contents=contents)
        outcome = propose_operation(client, settings, operation, valid_for=valid_for, yes=yes)
        if not quieter or settings.is_json:
            report_outcome(client, settings, outcome, wait=wait)


def get(
    ctx: typer.Context,
    cid: Annotated[str, typer.Argument(metavar="CID", help="What to fetch.")],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="PATH", help="Where to; - writes a file to stdout."),
    ] = "",
    car: Annotated[
        bool, typer.Option("--car", help="Write the blocks as a CAR, whatever they are.")
    ] = False,
) -> None:
    """Fetch a file or a directory from the cluster. Every block is verified on this machine."""
    from bftcluster.cid import parse, text
    from bftcluster_cli.content import downloads

    settings = settings_of(ctx)
    wanted = parse(cid)
    path = Path(output or f"{text(wanted)}{'.car' if car else ''}")
    with Client(settings) as client:
        if output == "-":
            downloads.fetch_to_stdout(client, settings, wanted, is_car=car)
            return
        bring = downloads.fetch_car if car else downloads.fetch
        fetched = bring(client, settings, wanted, path)
    record = {
        "cid": text(wanted),
        "path": str(fetched.path),
        "files": fetched.files,
        "size_bytes": fetched.size_bytes,
    }
    emit(settings, record, str(fetched.path))
    say(f"{plural(fetched.files, 'file')}, {size_text(fetched.size_bytes)}, verified")


def show_id(ctx: typer.Context) -> None:
    """Show which peer answers, and whom it sees."""
    settings = settings_of(ctx)
    with Client(settings) as client:
        record = client.get("/id")
    lines = [
        f"{label(str(record.get('id')), columns=64)}  {label(str(record.get('peername', '')))}  "
        f"sees {plural(max(len(record.get('cluster_peers') or ()) - 1, 0), 'other peer')}  "
        f"version {label(str(record.get('version')))}",
        *(f"  {label(str(address), columns=96)}" for address in record.get("addresses") or ()),
    ]
    emit(settings, record, "\n".join(lines))


def _layout(chunker: str, cid_version: int, raw_leaves: bool | None) -> "Layout":
    from bftcluster.blocks.formats.layout import Layout

    match = re.fullmatch(r"size-([0-9]{1,9})", chunker or "size-262144")
    if match is None:
        raise UsageError(f"not a chunker: {chunker!r}", hint="chunks of one size, as size-262144")
    return Layout(
        chunk_size_bytes=int(match[1]),
        cid_version=cid_version,
        raw_leaves=cid_version > 0 if raw_leaves is None else raw_leaves,
    )


def _check_signing(settings: GlobalOptions, *, yes: bool) -> None:
    """Find out before the upload, rather than after it, that nobody could sign."""
    from bftcluster_cli.display.wording import check_consent_possible
    from bftcluster_cli.keys.key_files import open_maintainer_key

    check_consent_possible(yes=yes)

    if settings.key is None:
        open_maintainer_key(settings)

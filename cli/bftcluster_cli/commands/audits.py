"""``bftcluster audit``: which peers were asked for which blocks, and what came of it."""

from typing import Annotated, Any

import typer

from bftcluster_cli.client import Client, Limit, Record, list_lines
from bftcluster_cli.framework import noun, settings_of, verb
from bftcluster_cli.output import emit
from bftcluster_cli.untrusted_text import label, message

app = noun("audit", "See which peers were asked for which blocks, and what came of it.")


@verb(app, "ls", "bftcluster audit ls", "bftcluster audit ls --limit 20 --json")
def ls(ctx: typer.Context, *, limit: Limit = 1000) -> None:
    """List the last audits that something is kept of, the newest first."""
    list_lines(ctx, f"/audits?limit={limit}", audit_line, "nothing is kept of any audit")


@verb(app, "show", "bftcluster audit show 17", "bftcluster audit show 17 --json")
def show(
    ctx: typer.Context,
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=0, help="As `audit ls` says.")],
) -> None:
    """Show who was asked, what each said and what voters saw, with the batches of the log."""
    settings = settings_of(ctx)
    with Client(settings) as client:
        record = client.get(f"/audits/{number}")
    emit(settings, record, audit_text(record))


def audit_line(record: Record) -> str:
    """Return an audit in one line, by the peer's word."""
    peers = "  ".join(f"{_name(each)}: {_fate(each)}" for each in _records(record, "peers"))
    shown = {key: message(str(record.get(key, ""))) for key in ("number", "phase", "cid")}
    return f"{shown['number']}  {shown['phase']}  {shown['cid']}  {peers}"


def audit_text(record: Record) -> str:
    """Return ``/audits/{number}`` for people."""
    lines = [
        f"audit   {message(str(record.get('number')))}, drawn in period "
        f"{message(str(record.get('period')))}",
        f"pin     {message(str(record.get('cid')))}",
        f"phase   {message(str(record.get('phase')))}",
    ]
    if record.get("until"):
        lines.append(f"until   {message(str(record.get('until')))}")
    if record.get("seed"):
        lines.append(f"seed    {message(str(record.get('seed')))}")
    for peer in _records(record, "peers"):
        lines.append(f"{_name(peer)}: {message(str(peer.get('state')))}")
        if peer.get("word"):
            lines.append(f"  its last word: batch {message(str(peer.get('word_seq')))}")
        lines += [_verdict_line(each) for each in _records(peer, "verdicts")]
    return "\n".join(lines)


def _verdict_line(verdict: Record) -> str:
    what = f"{message(str(verdict.get('outcome')))} by {message(str(verdict.get('grounds')))}"
    where = f"batch {message(str(verdict.get('seq')))}"
    return f"  {what}, {where}, {message(str(verdict.get('voters')))} voters looked"


def _fate(peer: Record) -> str:
    verdicts = _records(peer, "verdicts")
    return message(str((verdicts[-1] if verdicts else peer).get("outcome", peer.get("state"))))


def _name(peer: Record) -> str:
    return label(str(peer.get("name") or peer.get("id")))


def _records(record: Record, key: str) -> list[Any]:
    found = record.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

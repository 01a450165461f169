"""``bftcluster repair``: which pins lost holders and wait for others."""

import typer

from bftcluster_cli.client import Limit, Record, list_lines
from bftcluster_cli.framework import noun, verb
from bftcluster_cli.untrusted_text import label, message

app = noun("repair", "Show which pins lost holders and wait for others.")


@verb(app, "ls", "bftcluster repair ls", "bftcluster repair ls --limit 20 --json")
def ls(ctx: typer.Context, *, limit: Limit = 1000) -> None:
    """List the pins that have too few live copies, the most endangered first."""
    list_lines(ctx, f"/repairs?limit={limit}", repair_line, "nothing waits for repair")


def repair_line(record: Record) -> str:
    """Return a pin in one line, by the peer's word: how many copies live of those it needs."""
    name = f"  {label(str(record['name']))}" if record.get("name") else ""
    shown = {key: message(str(record.get(key, ""))) for key in ("cid", "live", "needed")}
    haste = "; suspended peers have the others" if record.get("urgent") is False else ""
    return f"{shown['cid']}{name}  {shown['live']} of {shown['needed']} copies live{haste}"

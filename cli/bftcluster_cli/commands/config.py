"""``bftcluster config``: what a peer is set to."""

import re
from pathlib import Path
from typing import Annotated

import typer

from bftcluster_cli.framework import noun, settings_of, verb
from bftcluster_cli.output import emit

app = noun("config", "Show what a peer is set to.")


@verb(app, "show", "bftcluster config show ./peer1", "bftcluster config show ./peer1 --json")
def show(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The peer's directory.")],
) -> None:
    """Show every setting of the peer in DIR, those left at their default marked, secrets hidden."""
    from bftcluster.node.process.config import Config
    from bftcluster.node.process.config_text import in_force, toml_text

    rows = [
        (name, _without_secret(value), is_default, doc)
        for name, value, is_default, doc in in_force(Config.load(directory))
    ]
    lines = [(f"{name} = {toml_text(value)}", is_default) for name, value, is_default, _ in rows]
    width = max(len(line) for line, _ in lines)
    text = "\n".join(line.ljust(width) + "  # default" if mark else line for line, mark in lines)
    record = {
        name: {"value": value, "default": is_default, "about": doc}
        for name, value, is_default, doc in rows
    }
    emit(settings_of(ctx), record, text)


def _without_secret(value: object) -> object:
    """Return a value with the password of a URL hidden."""
    if isinstance(value, str):
        return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", value)
    return value

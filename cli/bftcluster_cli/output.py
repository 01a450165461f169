"""What a command says: data on stdout, talk on stderr, and nothing lost without colour."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import typer

from bftcluster.visible import visible
from bftcluster_cli.framework import GlobalOptions


def emit(settings: GlobalOptions, record: Mapping[str, object], text: str) -> None:
    """Write one result to stdout: a line of JSON with ``--json``, else ``text``."""
    typer.echo(json_text(record) if settings.is_json else _lines(text))


def emit_all(
    settings: GlobalOptions,
    records: Iterable[dict[str, Any]],
    line_of: Callable[[dict[str, Any]], str],
    nothing: str,
) -> None:
    """Write each of some results, as they come; if there is none, say ``nothing``."""
    count = 0
    for record in records:
        emit(settings, record, line_of(record))
        count += 1
    if not count:
        say(nothing)


def json_text(value: object) -> str:
    """Return JSON in which nothing moves a terminal's cursor: it is ASCII, without controls."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def say(text: str) -> None:
    """Tell the person something; never part of the result."""
    typer.echo(_lines(text), err=True)


def murmur(text: str) -> None:
    """Say what matters less: dim, where the terminal can."""
    is_plain = bool(os.environ.get("NO_COLOR"))
    typer.echo(_lines(text) if is_plain else typer.style(_lines(text), dim=True), err=True)


def ask(question: str) -> None:
    """Put a question to the person, who answers on the same line."""
    typer.echo(visible(question), err=True, nl=False)


def warn(text: str) -> None:
    """Tell the person what they should know before it hurts."""
    typer.echo(f"{styled('warning:', 'yellow')} {_paragraph(text)}", err=True)


def complain(message: str, hint: str = "") -> None:
    """Report a failure and what can be done about it."""
    typer.echo(f"{styled('error:', 'red')} {_paragraph(message)}", err=True)
    if hint:
        suggest(hint)


def suggest(hint: str) -> None:
    """Tell the person what can be done about what they have just read."""
    typer.echo(f"\n{styled('hint:', 'cyan')} {_paragraph(hint)}", err=True)


def _lines(text: str) -> str:
    """Return lines of ours, even if something in them was not looked at before."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _paragraph(text: str) -> str:
    """Return lines of which none but the first begins where ours do."""
    return _lines(text).replace("\n", "\n  ")


def styled(text: str, colour: str) -> str:
    """Return ``text`` in colour for stderr, where that is wanted and possible."""
    if os.environ.get("NO_COLOR") or not sys.stderr.isatty():
        return text
    return typer.style(text, fg=colour, bold=True)


def size_text(size_bytes: int) -> str:
    """Return a size for people: ``1.5 MB``, in powers of 1000 as disks are sold."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the last unit takes everything")


def plural(count: int, word: str, words: str = "") -> str:
    """Return ``3 peers``, ``1 peer``; or ``3 batches``, if told how."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {words or word + 's'}"

"""What a command says: data on stdout, talk on stderr, and nothing lost without colour."""

import json
import os
import sys
from collections.abc import Mapping

import typer

from bftcluster_cli.framework import Settings


def emit(settings: Settings, record: Mapping[str, object], text: str) -> None:
    """Write one result to stdout: a line of JSON with ``--json``, else ``text``."""
    typer.echo(json.dumps(record, ensure_ascii=False) if settings.is_json else text)


def say(text: str) -> None:
    """Tell the person something; never part of the result."""
    typer.echo(text, err=True)


def ask(question: str) -> None:
    """Put a question to the person, who answers on the same line."""
    typer.echo(question, err=True, nl=False)


def warn(text: str) -> None:
    """Tell the person what they should know before it hurts."""
    say(f"{styled('warning:', 'yellow')} {text}")


def complain(message: str, hint: str = "") -> None:
    """Report a failure and what can be done about it."""
    say(f"{styled('error:', 'red')} {message}")
    if hint:
        say(f"\n{styled('hint:', 'cyan')} {hint}")


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

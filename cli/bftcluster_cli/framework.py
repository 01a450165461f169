"""What every command shares: global options in any place on the line, and help with examples."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from bftcluster.errors import UsageError

API_DEFAULT: Final = "http://127.0.0.1:9094"
TIMEOUT_DEFAULT_S: Final = 60.0
TIMEOUT_MAX_S: Final = 86_400
_F = TypeVar("_F", bound=Callable[..., Any])

GLOBAL_OPTIONS_HELP: Final = (
    "Global options (--api, --key, --json, …) may stand anywhere: see `bftcluster --help`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions:
    """The global options."""

    api: str = API_DEFAULT
    """Base URL of the peer to talk to."""
    key: Path | None = None
    """The maintainer's key file."""
    passphrase_file: str = ""
    """A file whose first line opens the key file, or ``prompt``."""
    genesis: Path | None = None
    """The genesis that the peer must be of."""
    timeout_s: float = TIMEOUT_DEFAULT_S
    is_json: bool = False


def checked_timeout(timeout_s: float) -> float:
    """Return ``timeout_s`` if it is a time to wait.

    Raises:
        UsageError: Not positive, or more than a day.
    """
    if not 0 < timeout_s <= TIMEOUT_MAX_S:
        raise UsageError(f"--timeout takes seconds, more than 0 and at most {TIMEOUT_MAX_S}")
    return timeout_s


def _seconds(text: str) -> float:
    try:
        return checked_timeout(float(text))
    except ValueError:
        raise UsageError(f"--timeout takes seconds, not {text!r}") from None


_WITH_VALUE: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "--api": lambda text: {"api": text},
    "--key": lambda text: {"key": Path(text)},
    "--passphrase-file": lambda text: {"passphrase_file": text},
    "--genesis": lambda text: {"genesis": Path(text)},
    "--timeout": lambda text: {"timeout_s": _seconds(text)},
}


class DefaultGroup(TyperGroup):
    """A group in which one verb is meant where none stands; a subclass names it."""

    default: ClassVar[str]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own type
        """Parse, with the verb that is meant where none stands."""
        if self.is_meant(args):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def is_meant(self, args: list[str]) -> bool:
        """Return whether these words go to the verb that is not named."""
        return bool(args) and args[0] not in {*self.commands, "--help", "-h"}


class Command(TyperCommand):
    """A command that also takes the global options, unless it has one of that name itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own type
        """Take the global options out of ``args``, then parse the rest."""
        own = {name for param in self.params for name in param.opts}
        rest: list[str] = []
        changes: dict[str, Any] = {}
        pending = iter(args)
        for word in pending:
            name, separator, value = word.partition("=")
            if word == "--":
                rest += [word, *pending]
            elif word == "--json" and word not in own:
                changes["is_json"] = True
            elif name in _WITH_VALUE and name not in own:
                changes |= _WITH_VALUE[name](
                    value if separator else _value_of(name, next(pending, None))
                )
            else:
                rest.append(word)
        ctx.obj = replace(ctx.obj or GlobalOptions(), **changes)
        return super().parse_args(ctx, rest)


def _value_of(name: str, value: str | None) -> str:
    if value is None:
        raise UsageError(f"{name} needs a value")
    return value


def settings_of(ctx: typer.Context) -> GlobalOptions:
    """Return the global options of this run."""
    settings = ctx.obj
    assert isinstance(settings, GlobalOptions), "every command is a framework.Command"
    return settings


def verb(app: typer.Typer, name: str, *examples: str) -> Callable[[_F], _F]:
    """Return what makes a function the command ``name``, whose help shows ``examples`` as typed."""
    lines = "\n".join(f"  {line}" for line in examples)
    epilog = f"\b\nExamples:\n{lines}\n\n{GLOBAL_OPTIONS_HELP}"
    return app.command(name, cls=Command, epilog=epilog)


def noun(name: str, text: str) -> typer.Typer:
    """Return the empty group of commands about one noun."""
    return typer.Typer(
        name=name, help=text, no_args_is_help=True, rich_markup_mode=None, add_completion=False
    )

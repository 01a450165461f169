"""How a command ends: the only place where an error becomes words and an exit code."""

import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final

import typer

from bftcluster.errors import (
    ClusterError,
    ConfigError,
    HaltedError,
    NotReachedError,
    TransportError,
    UsageError,
    require_assertions,
)
from bftcluster_cli.output import complain

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOT_REACHED: Final = 3
EXIT_HALTED: Final = 4
EXIT_BUG: Final = 70
EXIT_INTERRUPTED: Final = 130

_WRONG_LINE: Final[type[Exception]] = typer.BadParameter.__bases__[0]
"""typer's own complaint about a command line; typer does not export it."""


def run(command: Callable[..., object], line: Sequence[str]) -> int:
    """Run ``bftcluster`` with the words of ``line``, and return its exit code.

    Args:
        command: The whole of it, as typer makes it.
        line: What was typed behind its name.
    """
    try:
        require_assertions()
        code = command(args=list(line), prog_name="bftcluster", standalone_mode=False)
    except _WRONG_LINE as exc:
        return _complain_of_line(exc)
    except ClusterError as exc:
        complain(str(exc), exc.hint)
        return exit_code_of(exc)
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except OSError as exc:
        complain(str(exc))
        return EXIT_REFUSED
    except Exception as exc:  # noqa: BLE001 - a bug must still end in words
        return _complain_of_bug(exc)
    return code if isinstance(code, int) else 0


def exit_code_of(error: ClusterError) -> int:
    """Return what the shell is told about an expected failure."""
    if isinstance(error, UsageError | ConfigError):
        return EXIT_USAGE
    if isinstance(error, NotReachedError | TransportError):
        return EXIT_NOT_REACHED
    if isinstance(error, HaltedError):
        return EXIT_HALTED
    return EXIT_REFUSED


def _complain_of_line(error: Any) -> int:  # noqa: ANN401 - a type that typer does not export
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.ctx.get_help(), err=True)
        return EXIT_USAGE
    where = error.ctx.command_path if error.ctx is not None else "bftcluster"
    complain(error.format_message().rstrip("."), f"see `{where} --help`")
    return EXIT_USAGE


def _complain_of_bug(error: Exception) -> int:
    if os.environ.get("BFTCLUSTER_DEBUG") == "1":
        traceback.print_exception(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    complain(
        f"a bug in bftcluster: {type(error).__name__} in {where.name} "
        f"({os.path.basename(where.filename)}:{where.lineno}): {error}",  # noqa: PTH119 - no pathlib needed
        "please report it with the output of the same command under BFTCLUSTER_DEBUG=1",
    )
    return EXIT_BUG

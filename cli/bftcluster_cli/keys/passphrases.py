"""Where a passphrase comes from: a file, the environment, or the person at the terminal.

It is never taken from the command line, where every process on the machine can read it.
"""

import os
import sys
from pathlib import Path
from typing import Final

from bftcluster.errors import UsageError
from bftcluster_cli.files import read_bounded
from bftcluster_cli.framework import GlobalOptions
from bftcluster_cli.output import complain

VARIABLE: Final = "BFTCLUSTER_PASSPHRASE"
PROMPT: Final = "prompt"
_SIZE_MAX_BYTES: Final = 1024
_TRIES: Final = 3


def new_passphrase(settings: GlobalOptions) -> bytes:
    """Return the passphrase for a new key file; whoever types it types it twice.

    Raises:
        UsageError: There is nowhere to take it from, or two tries differ every time.
    """
    given = given_passphrase(settings)
    if given is not None:
        return given
    for _ in range(_TRIES):
        first = ask_passphrase("new passphrase: ")
        if first and first == ask_passphrase("the same again: "):
            return first
        complain("the two differ" if first else "an empty passphrase; use --no-passphrase for none")
    raise UsageError("no passphrase")


def given_passphrase(settings: GlobalOptions) -> bytes | None:
    """Return the passphrase from a file or the environment; None if the person is to be asked.

    Raises:
        UsageError: The file cannot be read.
    """
    if settings.passphrase_file == PROMPT:
        return None
    if settings.passphrase_file:
        path = Path(settings.passphrase_file)
        data = read_bounded(path, size_max_bytes=_SIZE_MAX_BYTES, what="passphrase file")
        return data.split(b"\n", 1)[0].rstrip(b"\r")
    if VARIABLE in os.environ:
        return os.environb[VARIABLE.encode()]
    return None


def ask_passphrase(question: str) -> bytes:
    """Return what the person types.

    Raises:
        UsageError: There is no terminal to ask at.
    """
    import getpass

    if not sys.stdin.isatty():
        raise UsageError(
            "the key file has a passphrase, and there is no terminal to ask for it",
            hint=f"pass --passphrase-file FILE or set {VARIABLE}",
        )
    try:
        return getpass.getpass(question, stream=sys.stderr).encode()
    except EOFError:
        raise UsageError("no passphrase") from None

"""The entry point."""

import sys
from collections.abc import Sequence

from bftcluster_cli.app import app
from bftcluster_cli.exits import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return run(app, sys.argv[1:] if arguments is None else arguments)

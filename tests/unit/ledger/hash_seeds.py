"""Runs a function in a process of its own, in which sets and dictionaries have another order."""

import os
import subprocess
import sys
from collections.abc import Callable


def printed_with(seed: str, function: Callable[[], str]) -> str:
    """Return what a module's function returns where hash tables have ``seed``."""
    name = function.__name__
    done = subprocess.run(
        [sys.executable, "-c", f"from {function.__module__} import {name}; print({name}())"],
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()

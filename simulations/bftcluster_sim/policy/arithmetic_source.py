"""The arithmetic of reputation, loaded from its source: as it is, or compiled by numba.

The import system would give the module that mypyc compiled, where there is one, and numba cannot
look into that.
"""

import importlib.util
import inspect
from collections.abc import Callable
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import bftcluster.reputation
from bftcluster.errors import ConfigError


def interpreted_arithmetic(name: str = "interpreted_arithmetic") -> ModuleType:
    """Return a new module ``name`` from the source of `bftcluster.reputation.arithmetic`."""
    path = Path(next(iter(bftcluster.reputation.__path__))) / "arithmetic.py"
    loader = SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None, "a loader that is given has a spec"
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@cache
def fast_arithmetic() -> ModuleType:
    """Return the one module whose functions are numba's, of 64-bit integers and arrays.

    Each is compiled when it is first called, in some tenths of a second.

    Raises:
        ConfigError: numba or NumPy is not installed.
    """
    njit = _njit()
    module = interpreted_arithmetic("fast_arithmetic")
    for name, value in list(vars(module).items()):
        if inspect.isfunction(value) and value.__module__ == module.__name__:
            setattr(module, name, njit(value))
    return module


def _njit() -> Callable[..., Any]:
    try:
        import numba
    except ImportError as exc:
        raise ConfigError(
            f"the fast simulator needs numba and NumPy: {exc}",
            hint="install them: pip install 'bftcluster[sim]'",
        ) from None
    return numba.njit

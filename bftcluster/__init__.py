"""bftcluster: IPFS content pinned by a cluster whose members do not trust each other."""

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from typing import Final

__version__: Final = "0.1.0"


def core_form() -> str:
    """Return "compiled" or "interpreted": how the core runs here. Both do the same."""
    spec = find_spec("bftcluster.codec")
    assert spec is not None, "the core is part of this package"
    is_compiled = (spec.origin or "").endswith(tuple(EXTENSION_SUFFIXES))
    return "compiled" if is_compiled else "interpreted"

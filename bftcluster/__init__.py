"""bftcluster: IPFS content pinned by a cluster whose members do not trust each other."""

from typing import Final

__version__: Final = "0.1.0"

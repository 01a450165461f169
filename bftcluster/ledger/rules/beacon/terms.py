"""How long windows of ceremonies last, and when a key is lost or old."""

from typing import Final

WINDOW_MS: Final = 60_000
"""For dealings, and then for complaints, at least, in batch time."""
WINDOW_CHECKPOINTS: Final = 2
"""And in checkpoint intervals."""
HANDOVER_PERIODS: Final = 3
"""In which new holders make a beacon, or the key is passed on again."""
LOST_PERIODS: Final = 24
"""Without a beacon, and with batches, after which a key counts as lost."""
KEY_LIFETIME_MS: Final = 365 * 86_400_000
"""After which a key is given up for a new one."""

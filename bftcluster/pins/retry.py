"""How long the tracker waits after a failure, before it tries again."""

import hashlib
from typing import Final

from bftcluster.cid import Cid
from bftcluster.pins.settings import TrackerSettings

_DOUBLINGS_MAX: Final = 32


def delay_ms(settings: TrackerSettings, entropy: bytes, cid: Cid, attempt: int) -> int:
    """Return the pause after ``attempt`` (from 1) failed: doubling, half of it at random.

    ``entropy`` differs from peer to peer, so that those who failed together do not return together.
    """
    assert attempt >= 1, "a pause follows an attempt"
    doubled = settings.retry_min_ms << min(attempt - 1, _DOUBLINGS_MAX)
    longest = min(doubled, settings.retry_max_ms)
    seed = b"".join((len(entropy).to_bytes(2, "big"), entropy, attempt.to_bytes(8, "big"), cid))
    draw = int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest(), "big")
    half = longest // 2
    return half + draw % (longest - half + 1)

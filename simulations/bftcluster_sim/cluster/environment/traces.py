"""What happened, as lines to read and as one hash to compare."""

import hashlib

from bftcluster.pbft.frames import PBFT_FRAMES, kind_of
from bftcluster.pbft.votes import VoteKind
from bftcluster.sync.frames import SYNC_FRAMES
from bftcluster_sim.cluster.environment.clocks import VirtualClock

_NAMES = {
    **{kind: entry.name for kind, entry in PBFT_FRAMES.items()},
    **{kind: entry.name for kind, entry in SYNC_FRAMES.items()},
}
_VOTES = frozenset(VoteKind)
_SHORT_MAX = 23
"""CBOR puts unsigned integers up to this into one byte."""


class Trace:
    """Hashes everything; keeps lines only if asked, because most runs are read by nobody."""

    def __init__(self, clock: VirtualClock, *, is_kept: bool) -> None:
        self.is_kept = is_kept
        self.lines: list[str] = []
        self._clock = clock
        self._hash = hashlib.blake2b(digest_size=16)

    def line(self, text: str) -> None:
        """Note something that happened now."""
        text = f"{self._clock.now_ms:>7} {text}"
        self._hash.update(text.encode())
        if self.is_kept:
            self.lines.append(text)

    def delivered(self, source: int, target: int, frame: bytes) -> None:
        """Note that a frame arrived."""
        self._hash.update(b"%d %d>%d" % (self._clock.now_ms, source, target))
        self._hash.update(frame)
        if self.is_kept:
            self.lines.append(f"{self._clock.now_ms:>7} {source} > {target} {describe(frame)}")

    def digest(self) -> str:
        """Return the hash of the history so far."""
        return self._hash.hexdigest()


def describe(frame: bytes) -> str:
    """Return what a frame is, for people: kind, and of a vote epoch, view, seq and digest."""
    kind = kind_of(frame)
    name = "noise" if kind is None else _NAMES.get(kind, f"kind {kind}")
    if kind in _VOTES:
        numbers = [byte for byte in frame[2:5] if byte <= _SHORT_MAX]
        digest = hashlib.blake2b(frame[2:-66], digest_size=3).hexdigest()
        return f"{name} {numbers} #{digest}"
    return f"{name} #{hashlib.blake2b(frame, digest_size=3).hexdigest()} {len(frame)} B"

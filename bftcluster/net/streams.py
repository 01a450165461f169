"""The classes of one-way streams between two peers, and what a full queue of each means."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from libp2p.custom_types import TProtocol


class StreamClass(Enum):
    """What travels on a stream. The sender opens it; the receiver only reads."""

    CONSENSUS = "consensus"
    SYNC = "sync"
    RPC = "rpc"
    BLOCKS = "blocks"

    @property
    def protocol(self) -> TProtocol:
        """The libp2p protocol id."""
        return TProtocol(f"/bftcluster/{self.value}/1")


class WhenFull(Enum):
    """What a queue does with a frame it has no room for."""

    DROP_OLDEST = "drop-oldest"
    """A newer message supersedes an older one, and what is lost is asked for again."""
    WAIT = "wait"
    """Every frame counts: the sender waits, or is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePolicy:
    """How frames of one class are queued and received."""

    when_full: WhenFull
    frames_max: int
    size_max_bytes: int
    window_bytes: int
    """What the sender may have on its way, unread."""
    is_bulk: bool = False
    """Whether everything else goes first."""


POLICIES: Final = {
    StreamClass.CONSENSUS: QueuePolicy(
        when_full=WhenFull.DROP_OLDEST,
        frames_max=8192,
        size_max_bytes=16 << 20,
        window_bytes=1 << 20,
    ),
    StreamClass.SYNC: QueuePolicy(
        when_full=WhenFull.DROP_OLDEST,
        frames_max=1024,
        size_max_bytes=16 << 20,
        window_bytes=2 << 20,
        is_bulk=True,
    ),
    StreamClass.RPC: QueuePolicy(
        when_full=WhenFull.WAIT,
        frames_max=1024,
        size_max_bytes=8 << 20,
        window_bytes=1 << 20,
    ),
    StreamClass.BLOCKS: QueuePolicy(
        when_full=WhenFull.WAIT,
        frames_max=256,
        size_max_bytes=8 << 20,
        window_bytes=4 << 20,
        is_bulk=True,
    ),
}

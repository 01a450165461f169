"""What a peer has done about a pin, in ipfs-cluster's words and numbers (``api/types.go``)."""

from bftcluster.ids import WordedNumber


class TrackerStatus(WordedNumber):
    """The status of one CID at one peer. Each but ``UNDEFINED`` is one bit of a client's filter."""

    UNDEFINED = 0
    CLUSTER_ERROR = 1 << 1
    """The peer did not say."""
    PIN_ERROR = 1 << 2
    UNPIN_ERROR = 1 << 3
    PINNED = 1 << 4
    PINNING = 1 << 5
    UNPINNING = 1 << 6
    UNPINNED = 1 << 7
    """Not part of the pinset, or not held."""
    REMOTE = 1 << 8
    """Pinned, and allocated to others."""
    PIN_QUEUED = 1 << 9
    UNPIN_QUEUED = 1 << 10
    SHARDED = 1 << 11
    UNEXPECTEDLY_UNPINNED = 1 << 12
    """Should be held, was reported as held, and is not."""

"""The words and numbers that ipfs-cluster's clients know."""

from bftcluster.pins.status import TrackerStatus

IPFS_CLUSTER = {
    "undefined": 0,
    "cluster_error": 2,
    "pin_error": 4,
    "unpin_error": 8,
    "pinned": 16,
    "pinning": 32,
    "unpinning": 64,
    "unpinned": 128,
    "remote": 256,
    "pin_queued": 512,
    "unpin_queued": 1024,
    "sharded": 2048,
    "unexpectedly_unpinned": 4096,
}


def test_words_and_bits_are_ipfs_clusters() -> None:
    assert {status.word: status.value for status in TrackerStatus} == IPFS_CLUSTER

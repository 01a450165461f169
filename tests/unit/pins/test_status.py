"""The words and numbers that ipfs-cluster's clients know."""

import pytest

from bftcluster.errors import UsageError
from bftcluster.pins.status import (
    ANY_STATUS,
    ERROR,
    QUEUED,
    TrackerStatus,
    matches,
    parse_filter,
)

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
    assert (ERROR, QUEUED) == (14, 1536)


def test_every_word_is_parsed_back() -> None:
    for status in TrackerStatus:
        assert TrackerStatus.parse(status.word) is status


@pytest.mark.parametrize("word", ["", "Pinned", "PINNED", "pined", "error,"])
def test_an_unknown_word_is_the_users_mistake(word: str) -> None:
    with pytest.raises(UsageError) as refusal:
        TrackerStatus.parse(word)
    assert "unexpectedly_unpinned" in refusal.value.hint


def test_a_filter_is_a_list_of_words_and_composites() -> None:
    assert parse_filter("pinned, pin_error") == 20
    assert parse_filter("error,queued") == 14 + 1536


@pytest.mark.parametrize("text", ["", "undefined", " , "])
def test_an_empty_filter_matches_everything(text: str) -> None:
    assert parse_filter(text) == ANY_STATUS
    assert all(matches(status, parse_filter(text)) for status in TrackerStatus)


def test_a_filter_matches_its_statuses_only() -> None:
    wanted = parse_filter("error,pinned")

    assert {status.word for status in TrackerStatus if matches(status, wanted)} == {
        "cluster_error",
        "pin_error",
        "unpin_error",
        "pinned",
    }
    with pytest.raises(UsageError):
        parse_filter("pinned,nonsense")

"""The codec, on what PBFT sends most: an array of about 300 bytes. The limit is 5 us a call."""

from benchmarks.result import Result
from benchmarks.timing import seconds_per_call
from bftcluster import codec

GOAL_US = 5.0
VOTE = [1, bytes(32), 0, 3, 1017, b"d" * 32, b"r" * 32, b"s" * 64, b"x" * 100]
BATCH = [1_700_000_000_000, [bytes(500) for _ in range(100)]]


def run() -> list[Result]:
    vote, batch = codec.encode(VOTE), codec.encode(BATCH)
    return [
        _microseconds("codec_encode_vote", seconds_per_call(lambda: codec.encode(VOTE)), GOAL_US),
        _microseconds("codec_decode_vote", seconds_per_call(lambda: codec.decode(vote)), GOAL_US),
        _microseconds("codec_decode_batch_of_100", seconds_per_call(lambda: codec.decode(batch))),
    ]


def _microseconds(name: str, seconds: float, limit: float | None = None) -> Result:
    return Result(name=name, value=seconds * 1e6, unit="us", limit=limit)

"""The codec, on what PBFT sends most, and CIDs: text to bytes and back, and checking a block.

The limit of a call of the codec on an array of about 300 bytes is 5 us; of a block, SHA-256 alone.
"""

import hashlib

from benchmarks.result import Result
from benchmarks.timing import calls_per_second, seconds_per_call
from bftcluster import cid, codec

GOAL_US = 5.0
VOTE = [1, bytes(32), 0, 3, 1017, b"d" * 32, b"r" * 32, b"s" * 64, b"x" * 100]
BATCH = [1_700_000_000_000, [bytes(500) for _ in range(100)]]
BLOCK = bytes(range(256)) * 1024
MB_PER_BLOCK = len(BLOCK) / 1e6


def run() -> list[Result]:
    vote, batch = codec.encode(VOTE), codec.encode(BATCH)
    return [
        _microseconds("codec_encode_vote", seconds_per_call(lambda: codec.encode(VOTE)), GOAL_US),
        _microseconds("codec_decode_vote", seconds_per_call(lambda: codec.decode(vote)), GOAL_US),
        _microseconds("codec_decode_batch_of_100", seconds_per_call(lambda: codec.decode(batch))),
        *_cids(),
    ]


def _cids() -> list[Result]:
    name = cid.of_block(BLOCK)
    text = cid.text(name)
    sha256 = calls_per_second(lambda: hashlib.sha256(BLOCK).digest())
    checked = calls_per_second(lambda: cid.verify_block(name, BLOCK))
    return [
        Result(name="cid_parse", value=calls_per_second(lambda: cid.parse(text)), unit="1/s"),
        Result(name="cid_text", value=calls_per_second(lambda: cid.text(name)), unit="1/s"),
        Result(
            name="block_verify_mb_per_second",
            value=checked * MB_PER_BLOCK,
            unit="MB/s",
            limit=sha256 * MB_PER_BLOCK,
        ),
    ]


def _microseconds(name: str, seconds: float, limit: float | None = None) -> Result:
    return Result(name=name, value=seconds * 1e6, unit="us", limit=limit)
